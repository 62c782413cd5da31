"""What became of a grid: summary.json, written anew after every change, and a table at the end."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ialp.experiment.grid_jobs import DONE, Board, Job, State
from ialp.files import write_atomically
from ialp.runs.folder import SUMMARY


def write_summary(folder: Path, board: Board, about: Mapping[str, Any]) -> None:
    """Write summary.json: `about`, counts by state, the cells, and the stages that they are built on."""
    states = {str(state): len(found) for state in State if (found := board.of(state))}
    cells = [row for job in board.jobs if job.asked for row in _rows(job)]
    shared = [_row(job, None) for job in board.jobs if not job.asked]
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    content = {**about, "written": now, "runs": states, "cells": cells, "stages": shared}
    write_atomically(folder / SUMMARY, json.dumps(content, indent=2) + "\n")


def _rows(job: Job) -> list[dict[str, Any]]:
    """A row for each set of overrides, two of which may ask for the same run."""
    return [_row(job, name) for name in job.overrides]


def _row(job: Job, overrides: str | None) -> dict[str, Any]:
    return {
        "config": job.name,
        **({} if overrides is None else {"overrides": overrides}),
        "seed": job.seed,
        "state": str(job.state),
        "minutes": round(job.seconds / 60, 2),
        "folder": job.key or None,
        "log": str(job.log) if job.log else None,
        "reason": job.reason or None,
    }


def print_table(board: Board) -> None:
    """Print every run, and below them why some failed."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 200
    sets = any(name for job in board.jobs for name in job.overrides)
    titles = ["config", *(["overrides"] if sets else []), "seed", "state", "minutes", "run"]
    table = Table(*titles, box=None, pad_edge=False)
    for job in sorted(board.jobs, key=lambda job: not job.asked):
        named = [", ".join(name or "-" for name in job.overrides)] if sets else []
        minutes = f"{job.seconds / 60:.1f}" if job.state in (*DONE, State.FAILED, State.INTERRUPTED) else ""
        seed = "" if job.seed is None else str(job.seed)
        table.add_row(job.name, *named, seed, str(job.state), minutes, job.key)
    console.print(table)
    for job in board.of(State.FAILED):
        where = f" (log {job.log})" if job.log else ""
        console.print(f"failed {job.title}: {job.reason}{where}", soft_wrap=True, markup=False, highlight=False)
