"""Files of a run folder: config.yaml, done.json, checkpoints, and what ended an unfinished run."""

import json
from pathlib import Path
from typing import Any

from ialp.errors import UserError

CONFIG = "config.yaml"
DONE = "done.json"
"""Written last, by a run that is finished."""
CRASH = "crash.txt"
"""What a run leaves that an error ended; one that was killed or interrupted leaves neither."""
LAST = "last.ckpt"
"""The checkpoint of a training that is over."""
GRIDS = "grids"
"""Folder below that of the runs which holds a folder for each grid."""
SUMMARY = "summary.json"
"""Of a grid."""


def checkpoints(folder: Path) -> list[Path]:
    """A run's own checkpoints, newest first."""
    steps = sorted(folder.glob("step-*.ckpt"), reverse=True)  # numbers have leading zeros
    return [path for path in (folder / LAST,) if path.is_file()] + steps


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where it is absent or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_done(folder: Path) -> dict[str, Any] | None:
    """done.json of a finished run; None where there is none.

    Raises:
        UserError: It is there and is not what a run writes.
    """
    path = folder / DONE
    if not path.exists():
        return None
    done = read_json(path)
    if done is None or not {"fingerprint", "stage", "seed"} <= done.keys():
        raise UserError(f"{path}: not what a finished run writes: remove {folder}, and the run is made again")
    return done


def read_crash(folder: Path) -> str | None:
    """The error that ended an unfinished run, in one line; None where none is known."""
    try:
        return " ".join((folder / CRASH).read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return None


def read_cells(folder: Path) -> list[Path]:
    """Run folders of a grid's cells that have one, as the grid named them.

    Raises:
        UserError: Its summary.json is not what a grid writes.
    """
    try:
        return [Path(cell["folder"]) for cell in (read_json(folder / SUMMARY) or {})["cells"] if cell["folder"]]
    except (KeyError, TypeError) as error:
        path = folder / SUMMARY
        raise UserError(f"{path}: not the summary of a grid; name the folder of the runs instead") from error
