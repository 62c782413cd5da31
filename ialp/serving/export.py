"""`ialp export`: the policy of a finished run as one file that needs no `ialp`."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ialp import __version__
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.serving.opening import Finished, open_finished
from ialp.serving.policy import ServedPolicy
from ialp.types import History

SUFFIXES = {"torch_export": ".pt2", "onnx": ".onnx"}
TOLERANCE = 1e-5  # of a probability
LARGEST_ONNX = 2**31 - 2**20  # bytes: protobuf ends at 2 GiB

Play = Callable[[Tensor, Tensor], Tensor]
"""Histories (B, T) of `length` (B,) items -> probabilities (B, I)."""


def export(ckpt: str, format: str = "torch_export", out: str | None = None, data_root: str | None = None) -> Path:
    """Export a finished policy, check the export, write it, and print what came of it.

    Args:
        ckpt: Folder of a finished run, or its last checkpoint.
        format: torch_export or onnx.
        out: The file; by default it lies in the run's folder.
        data_root: Where the data lies, if not where the run says.

    Returns:
        The path of the file.

    Raises:
        UserError: No such run, a package is missing, `out` cannot be written, or the export gives other probabilities.
    """
    suffix = SUFFIXES[format]
    if out is not None and (Path(out).suffix != suffix or Path(out).is_dir()):
        raise UserError(f"--out {out}: {format} writes a file, whose name ends in {suffix}")
    if format == "onnx":
        need_onnx()
    finished = open_finished(ckpt, data_root)
    path = Path(out) if out else finished.folder / "export" / f"policy{suffix}"
    module = ServedPolicy(finished.policy)
    content, play = (as_onnx if format == "onnx" else as_torch_export)(traced(module))
    difference = largest_difference(finished, play)
    if not difference <= TOLERANCE:
        raise UserError(
            f"the exported policy's probabilities differ by up to {difference:.2g} from the run's, {TOLERANCE} at most "
            f"is allowed: nothing is written; try the other --format, and report it"
        )
    card = describe(finished, module, path, format, difference)
    write_atomically(path.with_name(f"{path.name}.items.jsonl"), "\n".join(numbered(finished)) + "\n")
    write_atomically(path.with_name(f"{path.name}.json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    write_atomically(path, content)
    print(
        f"{path}: {len(content) / 2**20:.1f} MiB, {format}, {card['catalogue']['items']:,} items, histories of up to "
        f"{module.max_length}; probabilities differ by {difference:.1e} at most from the run's\n"
        f"beside it: {path.name}.json (what it takes and gives), {path.name}.items.jsonl (numbers, ids, texts)"
    )
    return path


def need_onnx() -> None:
    """Whether what exports to ONNX and reads it back is installed.

    Raises:
        UserError: It is not.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f'--format onnx needs {error.name}: pip install "ialp[onnx]"') from None


def traced(module: ServedPolicy) -> torch.export.ExportedProgram:
    """The module as a graph in which B is any and T any up to the longest history."""
    time = min(3, module.max_length)
    batch, steps = torch.export.Dim("batch", min=1), torch.export.Dim("time", min=1, max=module.max_length)
    example = torch.ones(3, time, dtype=torch.int64), torch.full((3,), time)
    return torch.export.export(module, example, dynamic_shapes={"items": (batch, steps), "length": (batch,)})


def as_torch_export(program: torch.export.ExportedProgram) -> tuple[bytes, Play]:
    """A .pt2 file's content, and how the policy in it plays."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    module = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return buffer.getvalue(), torch.no_grad()(module)


def as_onnx(program: torch.export.ExportedProgram) -> tuple[bytes, Play]:
    """An .onnx file's content, and how the policy in it plays in onnxruntime.

    Raises:
        UserError: The policy is larger than such a file can be.
    """
    import onnxruntime

    size = sum(value.nbytes for value in program.state_dict.values())
    if size > LARGEST_ONNX:
        raise UserError(f"the policy has {size / 2**30:.1f} GiB, an .onnx file ends at 2: --format torch_export")
    with quiet():
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


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages that this policy needs nothing of."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@torch.no_grad()
def largest_difference(finished: Finished, play: Play) -> float:
    """The largest difference between the run's probabilities and the exported ones; infinite where masks differ.

    Histories are random, of all lengths, in batches of 1, 3 and 64. Each spares an item, so that one is left to show.
    """
    generator = torch.Generator().manual_seed(0)
    longest, policy = finished.policy.max_length, finished.policy
    found = 0.0
    for batch, time in ((1, 1), (1, longest), (3, (longest + 1) // 2), (64, min(2, longest)), (64, longest)):
        items, length = random_histories(finished, batch, time, generator)
        history = History(items, length)
        theirs, ours = policy.probabilities(history), play(items, length)
        if ours.shape != theirs.shape or ours[~policy.mask(history)].any():
            return float("inf")
        found = max(found, float((ours - theirs).abs().max()))
    return found


def random_histories(finished: Finished, batch: int, time: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(B, T) random histories, right-padded, and their lengths (B,); they begin with a user where users are known."""
    num_items = finished.log.catalogue.num_items
    spared = torch.randint(num_items, (batch, 1), generator=generator)
    items = (spared + torch.randint(1, num_items, (batch, time), generator=generator)) % num_items + 1
    if finished.num_users:
        items[:, 0] = num_items + 1 + torch.randint(finished.num_users, (batch,), generator=generator)
    length = torch.randint(1, time + 1, (batch,), generator=generator)
    return items * (torch.arange(time) < length.unsqueeze(1)), length


def describe(finished: Finished, module: ServedPolicy, path: Path, format: str, difference: float) -> dict[str, Any]:
    """What FILE.json says: all that is needed to serve the file."""
    catalogue, users = finished.log.catalogue, finished.num_users
    holds = "numbers of the items shown so far, oldest first, right-padded with 0"
    if users:
        holds += f"; a history begins with its user: {catalogue.num_items + 1} … {catalogue.num_items + users}"
    return {
        "file": path.name,
        "format": format,
        "made_with": {"ialp": __version__, "torch": torch.__version__},
        "run": {key: finished.done.get(key) for key in ("stage", "seed", "fingerprint")},
        "inputs": {
            "items": {
                "type": "int64",
                "shape": ["batch", "time"],
                "time": [1, module.max_length],
                "holds": holds,
            },
            "length": {"type": "int64", "shape": ["batch"], "holds": "how many of each row count, from 1 to time"},
        },
        "output": {
            "probabilities": {
                "type": "float32",
                "shape": ["batch", catalogue.num_items + 1],
                "holds": "of each number; 0 for padding" + ("" if module.repeats else " and for items shown already"),
            }
        },
        "repeats": module.repeats,
        "catalogue": {"items": catalogue.num_items, "users": users, "fingerprint": catalogue.fingerprint},
        "largest_difference": difference,
    }


def numbered(finished: Finished) -> Iterator[str]:
    """The lines of FILE.items.jsonl: number, the catalogue's own id and text, from padding on; users have no text."""
    texts = finished.log.catalogue.texts
    for number, name in enumerate(finished.log.names):
        text = texts[number] if number < len(texts) else ""
        yield json.dumps({"number": number, "id": name, "text": text}, ensure_ascii=False)
