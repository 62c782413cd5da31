"""How far the reading of files is, on standard error."""

import sys
import time
from pathlib import Path


class ReadingProgress:
    """One line of a terminal that is written over, or a line every few seconds elsewhere.

    Args:
        seconds: Least time between two lines; 5 where none is given, 0.2 on a terminal.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.terminal = sys.stderr.isatty()
        self.seconds = (0.2 if self.terminal else 5.0) if seconds is None else seconds
        self.latest = time.monotonic()

    def __call__(self, path: Path, position: int, size: int) -> None:
        """Say how much of the file is read, if the latest line is old enough."""
        if time.monotonic() - self.latest < self.seconds:
            return
        self.latest = time.monotonic()
        text = f"  {path.name}: {100 * position // size} % of {size / 1e6:,.0f} MB"
        if self.terminal:
            print(f"\r\033[K{text}", end="\r\033[K" if position >= size else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
