"""Executes golden runs in this process, and reads the values that they must repeat."""

import csv
import hashlib
import json
import re
from contextlib import chdir
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from ialp.cli.main import main
from tests.golden.cut import CutOnce
from tests.golden.runs import CACHE, CLASSES, COAT_ROOT, RUNS
from tests.helpers.coat_files import write_coat

VALUES = Path(__file__).with_name("values.json")
TIMES = re.compile("seconds|_per_second|time")
Row = dict[str, float | str | None]


class Bench:
    """Makes golden runs in a folder, each once, after the runs that it builds on.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folders: dict[str, Path] = {}
        write_coat(root / "coat_files", users=40, items=30)

    def run(self, name: str) -> Path:
        """The folder of the finished run."""
        if name not in self.folders:
            config = self._filled(name)
            upstream = config["upstream"] or {}
            config["upstream"] = {key: str(self.run(value)) for key, value in upstream.items()} or None
            file = self.root / f"{name}.yaml"
            file.write_text(yaml.safe_dump(config, sort_keys=False))
            self._fit(file, cut=f"class_path: {CLASSES['CutOnce']}" in file.read_text())
            [done] = (self.root / "runs" / name).glob("*/done.json")
            self.folders[name] = done.parent
        return self.folders[name]

    def _filled(self, name: str) -> dict[str, Any]:
        """The config with this folder's paths in it."""
        text = json.dumps(RUNS[name])
        paths = {COAT_ROOT: self.root / "coat_files", CACHE: self.root / f"{name}.sqlite"}
        for mark, path in paths.items():
            text = text.replace(mark, str(path))
        return json.loads(text) | {"runs_dir": str(self.root / "runs")}

    def _fit(self, file: Path, cut: bool) -> None:
        """`ialp fit`; where the run is to be cut off, once until there and once more to its end."""
        torch.set_num_threads(1)
        before = torch.are_deterministic_algorithms_enabled()
        try:
            with chdir(self.root):
                if cut:
                    CutOnce.armed = True
                    assert main(["fit", "--config", str(file)]) == 1, "the run was not cut off"
                    CutOnce.armed = False
                assert main(["fit", "--config", str(file)]) == 0, f"{file.stem} failed"
        finally:
            CutOnce.armed = False
            torch.use_deterministic_algorithms(before)


def values(folder: Path) -> dict[str, Any]:
    """All that a finished run must repeat: its figures without times and texts, and a hash of its weights."""
    done = json.loads((folder / "done.json").read_text())
    return {
        "metrics.csv": rows(folder / "metrics.csv"),
        "evaluation.csv": rows(folder / "evaluation.csv"),
        "metrics": numbers(done["metrics"]),
        "results": numbers(done["results"]),
        "oracle": {path.name: numbers(json.loads(path.read_text())) for path in fitted(folder)},
        "weights": weights(folder),
    }


def fitted(folder: Path) -> list[Path]:
    """The files of numbers that a tuned judge has besides weights; PEFT's own file is no result."""
    return [path for path in sorted(folder.glob("oracle/*.json")) if path.name != "adapter_config.json"]


def rows(path: Path) -> list[Row]:
    """The rows of a CSV file; cells that are empty are left out, and columns of times."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [
            {name: number(cell) for name, cell in row.items() if cell and not TIMES.search(name)}
            for row in csv.DictReader(file)
        ]


def number(cell: str) -> float | str:
    """The number of a cell, or its text."""
    try:
        return float(cell)
    except ValueError:
        return cell


def numbers(value: Any) -> Any:
    """What of a JSON value is numbers: no texts, such as paths and names of judges, and no times."""
    if isinstance(value, dict):
        kept = {key: numbers(item) for key, item in value.items() if not TIMES.search(key)}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return value if isinstance(value, int | float) else None


def weights(folder: Path) -> dict[str, Any]:
    """One hash of all tensors that a run has written, whatever their names and files; and how many there are."""
    tensors = [tensor for path in sorted(folder.rglob("*.safetensors")) for tensor in load_file(path).values()]
    digests = sorted(digest(tensor) for tensor in tensors)
    together = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return {"sha256": together, "tensors": len(tensors), "numbers": sum(tensor.numel() for tensor in tensors)}


def digest(tensor: Tensor) -> str:
    """The sha256 of a tensor's bytes."""
    return hashlib.sha256(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


def probe() -> str:
    """A hash of how this machine computes: products, exponentials, a transformer block, gradients, as the runs do."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    state, table = (torch.randn(size, 16, generator=generator) for size in (128, 81))
    logits = state @ table.T
    found = [logits, logits.softmax(1), logits.exp(), logits.abs().log1p(), logits.log_softmax(1), logits.logsumexp(1)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = nn.TransformerEncoderLayer(16, 2, 64, dropout=0.0, batch_first=True, norm_first=True, activation="gelu")
        embedding, wide = nn.Embedding(81, 16), nn.Linear(64, 512)
    items = torch.randint(0, 81, (16, 9), generator=generator)
    mask = nn.Transformer.generate_square_subsequent_mask(9)
    hidden = block(embedding(items), src_mask=mask, is_causal=True)
    loss = (hidden @ table.T).log_softmax(-1).square().mean()
    loss += wide(torch.randn(40, 64, generator=generator)).sigmoid().mean()
    loss.backward()
    modules = nn.ModuleList([block, embedding, wide])
    found += [hidden, loss.reshape(1), *(each.grad for each in modules.parameters() if each.grad is not None)]
    optimizer = torch.optim.Adam(modules.parameters(), lr=0.01, fused=True)
    optimizer.step()
    found += list(modules.parameters())
    return hashlib.sha256("".join(map(digest, found)).encode()).hexdigest()


def recorded() -> dict[str, Any]:
    """What values.json holds: `probe`, and `runs` by name."""
    return json.loads(VALUES.read_text())
