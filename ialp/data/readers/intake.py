"""What is done with bad rows while files are read, and the count of everything that is changed or left out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import polars as pl

from ialp.errors import UserError

LINE = "_line"  # column with the number of the line that a row comes from, counted from 1
SHOWN = 60  # characters of a bad value that a message repeats
BAD_ROWS = ("refuse", "drop", "list")

Progress = Callable[[Path, int, int], None]  # a file, how many bytes of it are read, and how many it has
Result = TypeVar("Result")


@dataclass
class Finding:
    """How often something was found, and where first."""

    count: int
    first: str


class Intake:
    """Decides on bad rows and counts what is changed or left out.

    Args:
        bad_rows: `refuse`: the first bad row ends the reading with an error. `drop`: bad rows are left out and counted.
            `list`: they are left out, and each kind is one of the `problems`.
        progress: Called whenever a piece of a file has been read.

    Attributes:
        cleaned: What was changed or left out -> how often, and where first.
        problems: Kind of problem -> how often, and the message about the first; of `list` only.
        sources: The files that were read.
    """

    def __init__(self, bad_rows: str = "refuse", progress: Progress | None = None) -> None:
        if bad_rows not in BAD_ROWS:
            raise UserError(f"bad_rows is {bad_rows}: it is one of {', '.join(BAD_ROWS)}")
        self.bad_rows = bad_rows
        self.progress = progress or (lambda path, position, size: None)
        self.cleaned: dict[str, Finding] = {}
        self.problems: dict[str, Finding] = {}
        self.sources: list[Path] = []

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """The file, opened and noted as a source.

        Raises:
            UserError: It cannot be read, or is empty.
        """
        try:
            with path.open("rb") as file:
                if not path.stat().st_size:
                    raise UserError(f"{path}: empty file: it needs a header and rows")
                self.sources.append(path)
                yield file
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}: it cannot be read") from None

    def drop_or_raise(self, path: Path, rows: pl.DataFrame, bad: pl.Expr, message: str, *shown: str) -> pl.DataFrame:
        """The rows where `bad` is false; the others are refused, or left out and counted.

        Args:
            path: Where the rows come from.
            rows: With the column `_line`.
            bad: True (or null) for a bad row.
            message: What is wrong with it; each `{}` stands for the value of a column of `shown`.
            shown: Those columns.

        Raises:
            UserError: There is a bad row and `bad_rows` is `refuse`.
        """
        marked = rows.select(bad.fill_null(True).alias("bad"))["bad"]
        if not (count := int(marked.sum())):
            return rows
        first = rows.filter(marked).row(0, named=True)
        text = f"{path}:{first[LINE]}: {message.format(*(shorten(first[name]) for name in shown))}"
        if self.bad_rows == "refuse":
            raise UserError(text + (f" (and {count - 1} more so far)" if count > 1 else ""))
        findings = self.problems if self.bad_rows == "list" else self.cleaned
        _count(findings, message.format(*("…" for _ in shown)), count, text)
        return rows.filter(~marked)

    def note(self, what: str, count: int, first: str) -> None:
        """Count what was changed or left out on purpose, if anything was."""
        if count:
            _count(self.cleaned, what, count, first)

    def note_rows(self, path: Path, rows: pl.DataFrame, which: pl.Expr, what: str) -> None:
        """Count the rows for which `which` is true."""
        lines = rows.filter(which)[LINE]
        if len(lines):
            self.note(what, len(lines), f"{path}:{lines[0]}")

    def leave_out(self, path: Path, rows: pl.DataFrame, which: pl.Expr, what: str) -> pl.DataFrame:
        """The rows for which `which` is not true; the others are counted."""
        self.note_rows(path, rows, which, what)
        return rows.filter(~which)

    def fail(self, error: UserError) -> None:
        """Raise what is wrong with a file as a whole, or list it as a problem."""
        if self.bad_rows != "list":
            raise error
        _count(self.problems, str(error), 1, str(error))

    def attempt(self, read: Callable[[], Result]) -> Result | None:
        """What `read` returns; None where it fails and problems are listed."""
        try:
            return read()
        except UserError as error:
            self.fail(error)
            return None


def _count(findings: dict[str, Finding], what: str, count: int, first: str) -> None:
    findings.setdefault(what, Finding(0, first)).count += count


def shorten(value: object) -> str:
    """A value as one short line."""
    text = " ".join(str("" if value is None else value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
