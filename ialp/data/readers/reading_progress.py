"""How far the reading of files is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from ialp.data.readers.intake import Progress


class Bar:
    """A bar per file, of the bytes read."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        self.bars = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self.task: Any = None

    @contextmanager
    def file(self, path: Path, size: int) -> Iterator[Self]:
        """Its bar."""
        self.task = self.bars.add_task(path.name, total=size)
        with self.bars:
            yield self
        self.bars.remove_task(self.task)

    def at(self, position: int) -> None:
        """Move it."""
        self.bars.update(self.task, completed=position)


class Lines:
    """A line on standard error when a file has taken so long again.

    Args:
        seconds: Least time between two lines.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds
        self.path, self.size, self.latest = Path(), 1, 0.0

    @contextmanager
    def file(self, path: Path, size: int) -> Iterator[Self]:
        """Time counts from here."""
        self.path, self.size, self.latest = path, size, time.monotonic()
        yield self

    def at(self, position: int) -> None:
        """A line, if the latest is old enough."""
        if time.monotonic() - self.latest >= self.seconds:
            self.latest = time.monotonic()
            share = 100 * position // self.size
            print(f"  {self.path.name}: {share} % of {self.size / 1e6:,.0f} MB", file=sys.stderr, flush=True)


def progress() -> Progress:
    """A bar if somebody looks on."""
    return Bar() if sys.stderr.isatty() else Lines()
