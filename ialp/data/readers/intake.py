"""What happens while a log is read: bad rows are refused or counted, and a progress bar moves."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import polars as pl

from ialp.errors import UserError

LINE = "_line"  # column with the number of the line that a row comes from, counted from 1
SHOWN = 60  # characters of a bad value that a complaint repeats
BAD_ROWS = ("refuse", "drop", "list")


class Progress(Protocol):
    """Where to say how far the reading is."""

    def file(self, path: Path, size: int) -> AbstractContextManager["Progress"]:
        """A file of `size` bytes is read within the block."""

    def at(self, position: int) -> None:
        """So many bytes of it are read."""


class Silent:
    """No progress is shown."""

    def file(self, path: Path, size: int) -> AbstractContextManager["Silent"]:
        """Nothing."""
        return nullcontext(self)

    def at(self, position: int) -> None:
        """Nothing."""


@dataclass
class Finding:
    """How often something was met, and where first."""

    count: int
    first: str


class Intake:
    """Decides on bad rows and keeps count, so that nothing is left out silently.

    Args:
        bad_rows: `refuse`: the first bad row ends the reading with an error. `drop`: bad rows are left out and counted.
            `list`: they are left out, and each kind is one of the `problems`.
        progress: Told how far the reading is.

    Attributes:
        cleaned: What was left out or changed -> how often, and where first.
        problems: Complaint -> how often, and the line that says where first; of `list` only.
        sources: The files that were read.
    """

    def __init__(self, bad_rows: str = "refuse", progress: Progress | None = None) -> None:
        if bad_rows not in BAD_ROWS:
            raise UserError(f"bad_rows is {bad_rows}: it is one of {', '.join(BAD_ROWS)}")
        self.bad_rows = bad_rows
        self.progress = progress or Silent()
        self.cleaned: dict[str, Finding] = {}
        self.problems: dict[str, Finding] = {}
        self.sources: list[Path] = []

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """The file, opened, noted as a source and shown in the progress.

        Raises:
            UserError: It cannot be read, or is empty.
        """
        try:
            with path.open("rb") as file:
                size = path.stat().st_size
                if not size:
                    raise UserError(f"{path}: empty file: it needs a header and rows")
                self.sources.append(path)
                with self.progress.file(path, size):
                    yield file
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}: it cannot be read") from None

    def drop_or_raise(
        self, path: Path, table: pl.DataFrame, bad: pl.Expr, complaint: str, shown: str | None = None
    ) -> pl.DataFrame:
        """The rows where `bad` is false; the others are refused, or left out and counted.

        Args:
            path: Where the rows come from.
            table: Rows with their `_line`.
            bad: True for a bad row.
            complaint: What is wrong with it; `{}` stands for what column `shown` holds there.
            shown: That column.

        Raises:
            UserError: There is a bad row and `bad_rows` is `refuse`.
        """
        marked = table.select(bad.fill_null(True).alias("bad"))["bad"]
        if not (count := int(marked.sum())):
            return table
        first = table.filter(marked).head(1)
        text = f"{path}:{first[LINE][0]}: {complaint.format(shorten(first[shown][0]) if shown else '')}"
        if self.bad_rows == "refuse":
            raise UserError(text + (f" (and {count - 1} more so far)" if count > 1 else ""))
        self.complain(complaint.format("…"), text, count)
        return table.filter(~marked)

    def complain(self, kind: str, text: str, count: int = 1) -> None:
        """Count a complaint of this kind; the first one's text is kept."""
        findings = self.problems if self.bad_rows == "list" else self.cleaned
        findings.setdefault(kind, Finding(0, text)).count += count

    def fail(self, error: UserError) -> None:
        """What ended the reading of a file: raised, or one of the problems."""
        if self.bad_rows != "list":
            raise error
        self.problems.setdefault(str(error), Finding(0, str(error))).count += 1

    def note(self, what: str, count: int, first: str = "") -> None:
        """Count what was changed or left out on purpose, if anything was."""
        if count:
            self.cleaned.setdefault(what, Finding(0, first)).count += count

    def note_rows(self, path: Path, table: pl.DataFrame, rows: pl.Expr, what: str) -> None:
        """As `note`, of the rows of a table where `rows` is true."""
        lines = table.filter(rows)[LINE]
        if len(lines):
            self.note(what, len(lines), f"{path}:{lines[0]}")


def shorten(value: object) -> str:
    """A value as one short line."""
    text = " ".join(str("" if value is None else value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
