"""How a file is split into cells: tables in Parquet and in lines of JSON, read in chunks with every cell as text."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import override

from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.lines import read_blocks, split_lines
from ialp.errors import UserError

ROWS = 250_000  # of a chunk
PARQUET_ERRORS = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


class Table(ABC):
    """A file of rows with named columns: how it is split into cells. A new format is a subclass.

    Attributes:
        path: The file.
        columns: Names in the order of the file.
    """

    def __init__(self, path: Path, columns: Sequence[str] = ()) -> None:
        self.path, self.columns = path, list(columns)

    @abstractmethod
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """Frames of `_line`, counted from 1, and the wanted columns as text."""

    def rows(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """The chunks, cells stripped and never null.

        Raises:
            UserError: The file cannot be read, has no rows, or lacks a column; a row of another width than the header.
        """
        empty, wanted = True, list(dict.fromkeys(wanted))
        for chunk in self.chunks(wanted, intake):
            empty = False
            yield chunk.with_columns(pl.col(wanted).str.strip_chars())
        if empty:
            raise UserError(f"{self.path}: only a header: it needs a header and rows")

    def places(self, wanted: Sequence[str], line: int = 1) -> dict[str, int]:
        """Positions of the wanted columns, each there once; the header is in `line`."""
        for name in wanted:
            if (times := self.columns.count(name)) != 1:
                found = f"no column {name}" if times == 0 else f"column {name} appears twice"
                raise UserError(f"{self.path}:{line}: {found}: the header has {', '.join(self.columns)[:200]}")
        return {name: self.columns.index(name) for name in wanted}


class ParquetTable(Table):
    """A Parquet file; the line of a row is its number, counted from 1."""

    def __init__(self, path: Path) -> None:
        with reading_parquet(path):
            super().__init__(path, list(pl.read_parquet_schema(path)))

    @override
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        self.places(wanted)
        cells = [pl.col(name).cast(pl.String).fill_null("") for name in wanted]
        intake.sources.append(self.path)
        with reading_parquet(self.path):
            whole = pl.scan_parquet(self.path)
            for start in range(0, whole.select(pl.len()).collect().item(), ROWS):
                chunk = whole.slice(start, ROWS).select(cells).collect()
                yield chunk.with_row_index(LINE, offset=start + 1)


@contextmanager
def reading_parquet(path: Path) -> Iterator[None]:
    """Errors of polars become one about the file."""
    try:
        yield
    except PARQUET_ERRORS as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{path}: no whole Parquet file of text and numbers ({reason}): write it again") from None


class JsonTable(Table):
    """One JSON object per line, plain or gzip; a missing key is an empty cell, and a list's members are joined."""

    @override
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        message = 'no JSON object with keys: "{}"; the file needs one per line'
        for number, block in read_blocks(self.path, intake):
            lines = split_lines(number, block)
            values = [_parse(text) for text in lines["text"]]
            cells = {name: [_as_text(value.get(name)) for value in values] for name in wanted}
            rows = lines.rename({"text": "_text"}).with_columns(pl.Series("_bad", [not value for value in values]))
            rows = rows.hstack(pl.DataFrame(cells, dict.fromkeys(wanted, pl.String)))
            rows = intake.drop_or_raise(self.path, rows, pl.col("_bad"), message, "_text")
            if rows.height:
                yield rows.select(LINE, *wanted)


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _as_text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return " ".join(map(str, value)) if isinstance(value, list) else json.dumps(value)
