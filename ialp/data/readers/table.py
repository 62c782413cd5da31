"""Files of rows with named columns, read in chunks with every cell as text: Parquet, and JSON objects in lines."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import override

from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.lines import read_blocks, split_lines
from ialp.errors import UserError

ROWS = 250_000  # of a chunk
MAX_CELL = 2**20  # bytes
PARQUET_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


class Table(ABC):
    """A file of rows with named columns: how it is split into cells. A new format is a subclass.

    Args:
        path: The file.

    Attributes:
        columns: Names in the order of the file.
    """

    columns: list[str]

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """Frames of `_line`, counted from 1, and the wanted columns as text."""

    def rows(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """The chunks, cells stripped and never null.

        Raises:
            UserError: The file cannot be read, has no rows, or lacks a column; a row of another width than the header;
                a cell of more than 1 MiB.
        """
        wanted = list(dict.fromkeys(wanted))
        empty = True
        for chunk in self.chunks(wanted, intake):
            empty = False
            for name in wanted:
                long = pl.col(name).str.len_bytes() > MAX_CELL
                message = f"column {name}: a cell of more than {MAX_CELL >> 20} MiB"
                chunk = intake.drop_or_raise(self.path, chunk, long, message)
            yield chunk.with_columns(pl.col(wanted).str.strip_chars())
        if empty:
            raise UserError(f"{self.path}: only a header: it needs a header and rows")

    def find(self, wanted: Sequence[str], line: int = 1) -> list[int]:
        """Positions of the wanted columns, each there once."""
        if missing := [name for name in wanted if name not in self.columns]:
            raise UserError(
                f"{self.path}:{line}: no column {' and no '.join(missing)}: the header has {', '.join(self.columns)}"
            )
        if doubled := [name for name in wanted if self.columns.count(name) > 1]:
            raise UserError(f"{self.path}:{line}: column {doubled[0]} appears twice in the header")
        return [self.columns.index(name) for name in wanted]


class ParquetTable(Table):
    """A Parquet file; the line of a row is its number, counted from 1."""

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """Types of the columns."""
        try:
            return dict(pl.read_parquet_schema(self.path))
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror or error}: it cannot be read") from None
        except PARQUET_ERRORS as error:
            raise broken_parquet(self.path, error) from None

    @cached_property
    def columns(self) -> list[str]:  # type: ignore[override]
        """Names in the schema."""
        return list(self.schema)

    @override
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        self.find(wanted)
        cells = [self._as_text(name) for name in wanted]
        with intake.open(self.path):
            size, whole = self.path.stat().st_size, pl.scan_parquet(self.path)
            try:
                height = whole.select(pl.len()).collect().item()
                for start in range(0, height, ROWS):
                    chunk = whole.slice(start, ROWS).select(cells).collect()
                    intake.progress(self.path, size * min(start + ROWS, height) // height, size)
                    yield chunk.with_row_index(LINE, offset=start + 1)
            except PARQUET_ERRORS as error:
                raise broken_parquet(self.path, error) from None

    def _as_text(self, name: str) -> pl.Expr:
        kind = self.schema[name]
        if isinstance(kind, pl.List) and kind.inner == pl.String:
            return pl.col(name).list.join(" ", ignore_nulls=True).fill_null("")
        if kind.is_nested() or kind == pl.Binary:
            raise UserError(f"{self.path}: column {name} is {kind}: write it as text or numbers")
        return pl.col(name).cast(pl.String).fill_null("")


def broken_parquet(path: Path, error: BaseException) -> UserError:
    """The error about a file that polars cannot read."""
    reason = str(error).strip().split("\n")[0]
    return UserError(f"{path}: no whole Parquet file ({reason}): write it again")


class JsonTable(Table):
    """One JSON object per line, plain or gzip; a missing key is an empty cell, and a list's members are joined."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.columns = []  # whatever keys the objects have

    @override
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        schema = {"_object": pl.Boolean, **dict.fromkeys(wanted, pl.String)}
        for number, block in read_blocks(self.path, intake):
            lines = split_lines(number, block)
            values = [_parse(text) for text in lines["text"]]
            cells = {name: [_as_text(value.get(name)) if value else "" for value in values] for name in wanted}
            found = pl.DataFrame({"_object": [value is not None for value in values], **cells}, schema=schema)
            rows = pl.concat([lines.rename({"text": "_text"}), found], how="horizontal")
            message = 'no JSON object: "{}"; the file needs one per line'
            rows = intake.drop_or_raise(self.path, rows, ~pl.col("_object"), message, "_text")
            if rows.height:
                yield rows.select(LINE, *wanted)


def _parse(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _as_text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return " ".join(map(str, value)) if isinstance(value, list) else json.dumps(value)
