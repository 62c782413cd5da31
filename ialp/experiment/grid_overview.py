"""Shows a grid at work: a table that updates on a terminal, a line for every change elsewhere."""

import time
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ialp.experiment.grid_children import last_lines
from ialp.experiment.grid_jobs import Board, Job, State

SHOWN = 8
"""Most failures that the table shows while the grid runs; the summary has them all."""


class Lines:
    """A line for every change.

    Args:
        board: What is shown.
    """

    def __init__(self, board: Board) -> None:
        self.board, self.stopping = board, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def tell(self, job: Job) -> None:
        """A run's state has changed: which, and how the whole stands."""
        if job.state == State.RUNNING:
            print(f"started {job.title} (log {job.log})", flush=True)
            return
        took = f" after {duration(job.seconds)}" if job.seconds and job.state != State.REUSED else ""
        reason = f": {job.reason}" if job.reason else ""
        print(f"{job.state} {job.title}{took}{reason}\n  {standing(self.board)}", flush=True)

    def tick(self) -> None:
        """Time has passed: say once that the end was asked for."""
        if self.board.stopping and not self.stopping:
            self.stopping = True
            print(stopping(self.board), flush=True)


class Drawn(Lines):
    """A table of what runs, with counts and the time left, drawn anew twice a second.

    Args:
        board: What is shown.
        console: A terminal.
    """

    def __init__(self, board: Board, console: Console) -> None:
        super().__init__(board)
        self.live = Live(console=console, get_renderable=self.draw, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        self.live.start(refresh=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self.live.stop()

    def tell(self, job: Job) -> None:
        """Nothing: the next drawing shows it."""

    def tick(self) -> None:
        """Nothing: it draws by itself."""

    def draw(self) -> Group:
        """The overview as it is now."""
        running = Table("running", "for", "latest line of its log", box=None, pad_edge=False)
        for job in self.board.of(State.RUNNING):
            latest = "".join(last_lines(job.log)[-1:]) if job.log else ""
            elapsed = duration(time.monotonic() - job.start)
            running.add_row(job.title, elapsed, Text(latest, no_wrap=True, overflow="ellipsis"))
        failed = [Text(f"failed {job.title}: {job.reason}", style="red") for job in self.board.of(State.FAILED)]
        more = [Text(f"… and {len(failed) - SHOWN} more failed")] if len(failed) > SHOWN else []
        last = [Text(stopping(self.board), style="bold")] if self.board.stopping and running.rows else []
        return Group(Text(standing(self.board), style="bold"), running, *failed[:SHOWN], *more, *last)


def overview(board: Board) -> Lines:
    """The one that fits the output."""
    console = Console()
    return Drawn(board, console) if console.is_terminal else Lines(board)


def standing(board: Board) -> str:
    """Done, running, waiting, failed, and the time left, on one line."""
    counts = {state: len(board.of(state)) for state in State}
    done = counts[State.REUSED] + counts[State.FINISHED]
    reused = f" ({counts[State.REUSED]} reused)" if counts[State.REUSED] else ""
    others = [state for state in State if state not in (State.REUSED, State.FINISHED) and counts[state]]
    parts = [f"{done} of {len(board.jobs)} done{reused}", *(f"{counts[state]} {state}" for state in others)]
    if counts[State.RUNNING] + counts[State.WAITING] and not board.stopping:
        left = board.seconds_left()
        parts.append("time left: known when a run has ended" if left is None else f"about {duration(left)} left")
    return ", ".join(parts)


def stopping(board: Board) -> str:
    """What a first Ctrl-C does."""
    return f"stopping: {len(board.of(State.RUNNING))} running were asked to end; Ctrl-C again kills them"


def duration(seconds: float) -> str:
    """40 s, 3.5 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"
