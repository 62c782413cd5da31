"""`ialp grid`: configs × seeds × sets of overrides."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ialp.errors import UserError
from ialp.experiment.grid_children import threads
from ialp.experiment.grid_jobs import Board, Job, State, plan_jobs
from ialp.experiment.grid_overview import Lines, overview, standing
from ialp.experiment.grid_request import Request, read_request
from ialp.experiment.grid_runner import Runner
from ialp.experiment.grid_summary import print_table, write_summary
from ialp.runs.folder import GRIDS, SUMMARY


def run_grid_verb(arguments: Sequence[str]) -> int:
    """Run a grid; the exit code is 0 if all of it is finished and 1 if something failed.

    Raises:
        UserError: Nothing of it can be run.
        KeyboardInterrupt: Ctrl-C; what is finished is kept, the same command goes on.
    """
    request = read_request(arguments)
    board = Board(_planned(request), request.processes)
    if request.dry_run:
        print_table(board)
        print(standing(board))
        return _code(board)
    folder = _folder(board, request.name)
    with _alone(folder), overview(board) as shown:
        ended_by = _run(board, folder, request, list(arguments), shown)
    print_table(board)
    print(f"{standing(board)}\nsummary: {folder / SUMMARY}", flush=True)
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    return 128 + ended_by if ended_by else _code(board)


def _planned(request: Request) -> list[Job]:
    from ialp.experiment.planning import ManyPlanner

    cells = request.cells()
    if sys.stdout.isatty():
        print(f"planning {len(cells)} runs", end="\r", flush=True)
    return plan_jobs(cells, ManyPlanner.make().plan)


def _run(board: Board, folder: Path, request: Request, arguments: list[str], shown: Lines) -> int:
    """Run all of it; the number of the signal that ended it, or 0."""
    about = {"grid": request.name, "arguments": arguments, "processes": request.processes}
    about |= {"threads": threads(request.processes)}
    start = time.monotonic()

    def tell(job: Job | None = None) -> None:
        write_summary(folder, board, {**about, "minutes": round((time.monotonic() - start) / 60, 2)})
        if job:
            shown.tell(job)

    tell()
    for job in board.of(State.FAILED):
        shown.tell(job)
    ended_by = Runner(board, folder / "logs", tell, shown.tick).run()
    tell()
    return ended_by


def _folder(board: Board, name: str) -> Path:
    """<runs_dir>/grids/<name>."""
    stage = next(job.stage for job in board.jobs if job.stage and job.stage.config)
    return Path(stage.config["runs_dir"]) / GRIDS / name


def _code(board: Board) -> int:
    return int(bool(board.of(State.FAILED, State.BLOCKED)))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One grid of a name at a time: two would write into the same logs."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder}: this grid is at work already; wait for it, or give another --name") from None
    try:
        yield
    finally:
        lock.release()
