"""Export of a finished policy as one file that needs no `ialp`: torch.export or ONNX."""

import io
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

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

Play = Callable[[Tensor, Tensor], Tensor]
"""Histories (B, T) of `length` (B,) items -> probabilities (B, I)."""


def export(run: FinishedRun, format: str = "torch_export", out: str | None = None) -> Path:
    """Exports a finished policy, checks the result against the policy, writes it and prints a summary.

    Args:
        run: From `open_finished`.
        format: torch_export or onnx.
        out: The file; by default export/policy.pt2 or .onnx in the run's folder.

    Raises:
        UserError: A package is missing, `out` has another suffix, or the export gives other probabilities.
    """
    suffix = SUFFIXES[format]
    path = Path(out) if out else run.folder / "export" / f"policy{suffix}"
    if path.suffix != suffix:
        raise UserError(f"--out {path}: {format} writes a file, whose name ends in {suffix}")
    module = ServedPolicy(run.policy)
    content, play = (as_onnx if format == "onnx" else as_torch_export)(module)
    difference = largest_difference(run, play)
    if not difference <= TOLERANCE:
        raise UserError(
            f"the exported policy's probabilities differ by up to {difference:.2g} from the run's, {TOLERANCE} at most "
            f"is allowed: nothing is written; try the other --format, and report it"
        )
    catalogue = run.log.catalogue
    card = {
        "made_with": {"ialp": __version__, "torch": torch.__version__},
        "run": {key: run.done.get(key) for key in ("stage", "seed", "fingerprint")},
        "max_length": module.max_length,
        "repeats": module.repeats,
        "items": catalogue.num_items,
        "users": run.num_users,
        "catalogue": catalogue.fingerprint,
        "largest_difference": difference,
        "ids": run.log.names,
        "texts": catalogue.texts,
    }
    write_atomically(path.with_name(f"{path.name}.json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    write_atomically(path, content)
    print(
        f"{path}: {len(content) / 2**20:.1f} MiB, {format}, {catalogue.num_items:,} items, histories of up to "
        f"{module.max_length}; probabilities differ by {difference:.1e} at most from the run's\n"
        f"beside it: {path.name}.json (what it was made of; ids and texts of the numbers)"
    )
    return path


def as_torch_export(module: ServedPolicy) -> tuple[bytes, Play]:
    """A .pt2 file's content, and the policy read back from it."""
    buffer = io.BytesIO()
    torch.export.save(_traced(module), buffer)
    return buffer.getvalue(), torch.no_grad()(torch.export.load(io.BytesIO(buffer.getvalue())).module())


def as_onnx(module: ServedPolicy) -> tuple[bytes, Play]:
    """An .onnx file's content, and the policy read back from it by onnxruntime."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f'--format onnx needs {error.name}: pip install "ialp[onnx]"') from None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of optional packages that are not needed here
    with warnings.catch_warnings(action="ignore"):
        made = torch.onnx.export(
            _traced(module),
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


def _traced(module: ServedPolicy) -> torch.export.ExportedProgram:
    """The module as a graph with dynamic B, and dynamic T up to the longest history."""
    time = min(3, module.max_length)
    batch, steps = torch.export.Dim("batch", min=1), torch.export.Dim("time", min=1, max=module.max_length)
    example = torch.ones(3, time, dtype=torch.int64), torch.full((3,), time)
    return torch.export.export(module, example, dynamic_shapes={"items": (batch, steps), "length": (batch,)})


@torch.no_grad()
def largest_difference(run: FinishedRun, play: Play) -> float:
    """The largest difference between the run's probabilities and the exported ones; infinite where masks differ.

    Compared on random histories of all lengths in batches of 1, 3 and 64, each of which leaves an item to recommend.
    """
    generator = torch.Generator().manual_seed(0)
    longest, policy = run.policy.max_length, run.policy
    found = 0.0
    for batch, time in ((1, 1), (1, longest), (3, (longest + 1) // 2), (64, min(2, longest)), (64, longest)):
        history = _random_histories(run, batch, time, generator)
        expected, exported = policy.probabilities(history), play(history.items, history.length)
        if exported.shape != expected.shape or exported[~policy.mask(history)].any():
            return float("inf")
        found = max(found, float((exported - expected).abs().max()))
    return found


def _random_histories(run: FinishedRun, batch: int, time: int, generator: torch.Generator) -> History:
    """(B, T) random histories, right-padded; they begin with a user where users are known."""
    num_items = run.log.catalogue.num_items
    spared = torch.randint(num_items, (batch, 1), generator=generator)
    items = (spared + torch.randint(1, num_items, (batch, time), generator=generator)) % num_items + 1
    if run.num_users:
        items[:, 0] = num_items + 1 + torch.randint(run.num_users, (batch,), generator=generator)
    length = torch.randint(1, time + 1, (batch,), generator=generator)
    return History(items * (torch.arange(time) < length.unsqueeze(1)), length)
