"""Export of a finished policy as one file that needs no `ialp`: torch.export or ONNX."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ialp import __version__
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.serving.opening import FinishedRun
from ialp.serving.policy import ServedPolicy
from ialp.types import History

SUFFIXES = {"torch_export": ".pt2", "onnx": ".onnx"}
TOLERANCE = 1e-5  # of a probability
LARGEST_ONNX = 2**31 - 2**20  # bytes: protobuf ends at 2 GiB

Play = Callable[[Tensor, Tensor], Tensor]
"""Histories (B, T) of `length` (B,) items -> probabilities (B, I)."""


def export(run: FinishedRun, format: str = "torch_export", out: str | None = None) -> Path:
    """Exports a finished policy, checks the result against the policy, writes it and prints a summary.

    Args:
        run: See `open_finished`.
        format: torch_export or onnx.
        out: The file; by default export/policy.pt2 or .onnx in the run's folder.

    Returns:
        The path of the file.

    Raises:
        UserError: A package is missing, `out` has another suffix, or the export gives other probabilities.
    """
    suffix = SUFFIXES[format]
    if out is not None and (Path(out).suffix != suffix or Path(out).is_dir()):
        raise UserError(f"--out {out}: {format} writes a file, whose name ends in {suffix}")
    if format == "onnx":
        require_onnx()
    path = Path(out) if out else run.folder / "export" / f"policy{suffix}"
    module = ServedPolicy(run.policy)
    content, play = (as_onnx if format == "onnx" else as_torch_export)(traced(module))
    difference = largest_difference(run, play)
    if not difference <= TOLERANCE:
        raise UserError(
            f"the exported policy's probabilities differ by up to {difference:.2g} from the run's, {TOLERANCE} at most "
            f"is allowed: nothing is written; try the other --format, and report it"
        )
    card = describe(run, module, path, format, difference)
    write_atomically(path.with_name(f"{path.name}.items.jsonl"), "\n".join(numbered(run)) + "\n")
    write_atomically(path.with_name(f"{path.name}.json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    write_atomically(path, content)
    print(
        f"{path}: {len(content) / 2**20:.1f} MiB, {format}, {card['catalogue']['items']:,} items, histories of up to "
        f"{module.max_length}; probabilities differ by {difference:.1e} at most from the run's\n"
        f"beside it: {path.name}.json (inputs and output), {path.name}.items.jsonl (numbers, ids, texts)"
    )
    return path


def require_onnx() -> None:
    """Imports the packages that export to ONNX and read it back.

    Raises:
        UserError: One is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f'--format onnx needs {error.name}: pip install "ialp[onnx]"') from None


def traced(module: ServedPolicy) -> torch.export.ExportedProgram:
    """The module as a graph with dynamic B, and dynamic T up to the longest history."""
    time = min(3, module.max_length)
    batch, steps = torch.export.Dim("batch", min=1), torch.export.Dim("time", min=1, max=module.max_length)
    example = torch.ones(3, time, dtype=torch.int64), torch.full((3,), time)
    return torch.export.export(module, example, dynamic_shapes={"items": (batch, steps), "length": (batch,)})


def as_torch_export(program: torch.export.ExportedProgram) -> tuple[bytes, Play]:
    """A .pt2 file's content, and the policy read back from it."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    module = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return buffer.getvalue(), torch.no_grad()(module)


def as_onnx(program: torch.export.ExportedProgram) -> tuple[bytes, Play]:
    """An .onnx file's content, and the policy read back from it by onnxruntime.

    Raises:
        UserError: The policy is larger than such a file can be.
    """
    import onnxruntime

    size = sum(value.nbytes for value in program.state_dict.values())
    if size > LARGEST_ONNX:
        raise UserError(f"the policy has {size / 2**30:.1f} GiB, an .onnx file ends at 2: --format torch_export")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of optional packages that are not needed here
    with warnings.catch_warnings(action="ignore"):
        made = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["items", "length"],
            output_names=["probabilities"],
            dynamic_shapes={"items": {0: "batch", 1: "time"}, "length": {0: "batch"}},  # their names in the file
            external_data=False,
            verbose=False,
        )
    assert made is not None
    content = made.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def play(items: Tensor, length: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"items": items.numpy(), "length": length.numpy()})[0])

    return content, play


@torch.no_grad()
def largest_difference(run: FinishedRun, play: Play) -> float:
    """The largest difference between the run's probabilities and the exported ones; infinite where masks differ.

    Compared on random histories of all lengths in batches of 1, 3 and 64, each of which leaves an item to recommend.
    """
    generator = torch.Generator().manual_seed(0)
    longest, policy = run.policy.max_length, run.policy
    found = 0.0
    for batch, time in ((1, 1), (1, longest), (3, (longest + 1) // 2), (64, min(2, longest)), (64, longest)):
        items, length = random_histories(run, batch, time, generator)
        history = History(items, length)
        expected, exported = policy.probabilities(history), play(items, length)
        if exported.shape != expected.shape or exported[~policy.mask(history)].any():
            return float("inf")
        found = max(found, float((exported - expected).abs().max()))
    return found


def random_histories(run: FinishedRun, batch: int, time: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(B, T) random histories, right-padded, and their lengths (B,); they begin with a user where users are known."""
    num_items = run.log.catalogue.num_items
    spared = torch.randint(num_items, (batch, 1), generator=generator)
    items = (spared + torch.randint(1, num_items, (batch, time), generator=generator)) % num_items + 1
    if run.num_users:
        items[:, 0] = num_items + 1 + torch.randint(run.num_users, (batch,), generator=generator)
    length = torch.randint(1, time + 1, (batch,), generator=generator)
    return items * (torch.arange(time) < length.unsqueeze(1)), length


def describe(run: FinishedRun, module: ServedPolicy, path: Path, format: str, difference: float) -> dict[str, Any]:
    """Content of FILE.json: everything that is needed to serve the file."""
    catalogue, users = run.log.catalogue, run.num_users
    items = "numbers of the items shown so far, oldest first, right-padded with 0"
    if users:
        items += f"; a history begins with its user: {catalogue.num_items + 1} … {catalogue.num_items + users}"
    length = "how many of each row count, from 1 to time"
    output = "of each number; 0 for padding" + ("" if module.repeats else " and for items shown already")
    shape = ["batch", catalogue.num_items + 1]
    time = [1, module.max_length]
    return {
        "file": path.name,
        "format": format,
        "made_with": {"ialp": __version__, "torch": torch.__version__},
        "run": {key: run.done.get(key) for key in ("stage", "seed", "fingerprint")},
        "inputs": {
            "items": {"type": "int64", "shape": ["batch", "time"], "time": time, "holds": items},
            "length": {"type": "int64", "shape": ["batch"], "holds": length},
        },
        "output": {"probabilities": {"type": "float32", "shape": shape, "holds": output}},
        "repeats": module.repeats,
        "catalogue": {"items": catalogue.num_items, "users": users, "fingerprint": catalogue.fingerprint},
        "largest_difference": difference,
    }


def numbered(run: FinishedRun) -> Iterator[str]:
    """Lines of FILE.items.jsonl: number, the catalogue's own id and text, from padding on; users have no text."""
    texts = run.log.catalogue.texts
    for number, name in enumerate(run.log.names):
        text = texts[number] if number < len(texts) else ""
        yield json.dumps({"number": number, "id": name, "text": text}, ensure_ascii=False)
