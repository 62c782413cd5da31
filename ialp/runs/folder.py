"""Run folders: done.json, checkpoints, and what ended an unfinished run."""

import json
from pathlib import Path
from typing import Any

from ialp.errors import UserError

DONE = "done.json"
CRASH = "crash.txt"
"""What a run leaves that an error ended; one that was killed or interrupted leaves neither."""
LAST = "last.ckpt"
"""The checkpoint of a training that is over."""
SUMMARY = "summary.json"
GRIDS = "grids"
"""Folder below that of the runs which holds a folder for each grid."""


def checkpoints(folder: Path) -> list[Path]:
    """A run's own checkpoints, newest first."""
    steps = sorted(folder.glob("step-*.ckpt"), reverse=True)  # numbers have leading zeros
    return [path for path in (folder / LAST,) if path.is_file()] + steps


def read_done(folder: Path) -> dict[str, Any] | None:
    """done.json of a finished run; None where there is none.

    Raises:
        UserError: It is there and is not what a run writes.
    """
    path = folder / DONE
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError):
        done = None
    if not isinstance(done, dict) or not {"fingerprint", "stage", "seed"} <= set(done):
        raise UserError(f"{path}: not what a finished run writes: remove {folder}, and the run is made again")
    return done


def read_crash(folder: Path) -> str | None:
    """The error that ended an unfinished run, in one line; None where none is known."""
    try:
        return " ".join((folder / CRASH).read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return None


def find_runs(runs_dir: str) -> dict[Path, dict[str, Any] | None]:
    """Every run folder below runs_dir with its done.json, None for the unfinished."""
    folders = sorted(path.parent for path in Path(runs_dir).glob("*/*/config.yaml"))
    return {folder: read_done(folder) for folder in folders}


def read_cells(folder: Path) -> list[Path]:
    """Run folders of a grid's cells that have one, as the grid named them.

    Raises:
        UserError: Its summary.json is not what `write_summary` writes.
    """
    try:
        cells = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["cells"]
        return [Path(cell["folder"]) for cell in cells if cell["folder"]]
    except (ValueError, KeyError, TypeError) as error:
        path = folder / SUMMARY
        raise UserError(f"{path}: not the summary of a grid; name the folder of the runs instead") from error
