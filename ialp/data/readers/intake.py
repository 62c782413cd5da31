"""What is done with bad rows while files are read, and the count of everything that is changed or left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
import rich.progress
from rich.console import Console

from ialp.errors import UserError

LINE = "_line"  # column with the number of the line that a row comes from, counted from 1
SHOWN = 60  # characters of a bad value that a message repeats


@dataclass
class Finding:
    """How often something was found, and where first."""

    count: int
    first: str


class Intake:
    """Decides on bad rows and counts what is changed or left out.

    Args:
        drop: Bad rows are left out and counted; otherwise the first one ends the reading with an error.
        progress: A bar on the terminal shows how far a file is read.

    Attributes:
        cleaned: What was changed or left out on purpose -> how often, and where first.
        problems: Kind of bad row -> how often, and the message about the first.
        sources: The files that were read.
    """

    def __init__(self, drop: bool = False, progress: bool = False) -> None:
        self.drop, self.progress = drop, progress
        self.cleaned: dict[str, Finding] = {}
        self.problems: dict[str, Finding] = {}
        self.sources: list[Path] = []

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """The file, opened and noted as a source.

        Raises:
            UserError: It cannot be read, or is empty.
        """
        console = Console(stderr=True)
        hidden = not (self.progress and console.is_terminal)
        try:
            if not path.stat().st_size:
                raise UserError(f"{path}: empty file: it needs a header and rows")
            with rich.progress.open(path, "rb", description=path.name, console=console, disable=hidden) as file:
                self.sources.append(path)
                yield file
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}: it cannot be read") from None

    def drop_or_raise(self, path: Path, rows: pl.DataFrame, bad: pl.Expr, message: str, *shown: str) -> pl.DataFrame:
        """The rows where `bad` is false; others (true or null) are refused with a UserError, or left out and counted.

        Each `{}` in the message about them stands for the value of a column of `shown`.
        """
        marked = rows.select(bad.fill_null(True).alias("bad"))["bad"]
        if not (count := int(marked.sum())):
            return rows
        first = rows.filter(marked).row(0, named=True)
        text = f"{path}:{first[LINE]}: {message.format(*(shorten(first[name]) for name in shown))}"
        if not self.drop:
            raise UserError(text + (f" (and {count - 1} more so far)" if count > 1 else ""))
        _count(self.problems, message.format(*("…" for _ in shown)), count, text)
        return rows.filter(~marked)

    def note(self, what: str, count: int, first: str) -> None:
        """Count what was changed or left out on purpose, if anything was."""
        if count:
            _count(self.cleaned, what, count, first)

    def leave_out(self, path: Path, rows: pl.DataFrame, which: pl.Expr, what: str) -> pl.DataFrame:
        """The rows for which `which` is not true; the others are counted."""
        if len(lines := rows.filter(which)[LINE]):
            self.note(what, len(lines), f"{path}:{lines[0]}")
        return rows.filter(~which)


def _count(findings: dict[str, Finding], what: str, count: int, first: str) -> None:
    findings.setdefault(what, Finding(0, first)).count += count


def shorten(value: object) -> str:
    """A value as one short line."""
    text = " ".join(str("" if value is None else value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
