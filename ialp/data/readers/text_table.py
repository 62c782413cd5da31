"""How a text file is split into cells: lines of cells between separators, with or without quotes."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import polars as pl
from typing_extensions import override

from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.lines import first_lines, read_blocks, split_lines
from ialp.data.readers.table import JsonTable, ParquetTable, Table
from ialp.errors import UserError

SEPARATORS = ",\t;|"
QUOTED_ROWS = 50_000  # of a chunk that the csv module reads
JOINT = "\x1f"  # between cells that it has read; one inside a cell makes a row of another width

csv.field_size_limit(2**20)


@dataclass(frozen=True)
class TextFormat:
    """How a text file is split into cells.

    Args:
        separator: Between the columns; null finds comma, tab, semicolon or bar by the first lines.
        header: Names of the columns of a file without a header.
        quotes: A cell may stand in double quotes; otherwise they are letters like any other.
        types: The header is made of name:type.
    """

    separator: str | None = None
    header: list[str] | None = None
    quotes: bool = True
    types: bool = False

    def __post_init__(self) -> None:
        if self.separator is not None and len(self.separator) != 1:
            raise UserError(f'separator is "{self.separator}": it is one character, or null')


GUESSED = TextFormat()


class TextTable(Table):
    """Lines of cells between separators, UTF-8, plain or gzip.

    Args:
        path: The file.
        format: How it is split, as far as that is known.
        expected: Columns that the header should have, to recognise the separator.
    """

    def __init__(self, path: Path, format: TextFormat = GUESSED, expected: Sequence[str] = ()) -> None:
        lines = first_lines(path, 10)
        if not lines:
            raise UserError(f"{path}: empty file: it needs a header and rows")
        self.format, self.header_line = format, lines[0][0]
        self.separator = format.separator or guess_separator([text for _, text in lines], expected)
        first, separator = lines[0][1], self.separator
        header = next(csv.reader([first], delimiter=separator)) if format.quotes else first.split(separator)
        if len(header) == 1 and format.separator and not format.header:
            raise UserError(f"{path}:{self.header_line}: the header has no {separator!r}, which separates the columns")
        names = [(cell.split(":")[0] if format.types else cell).strip() for cell in header]
        super().__init__(path, format.header or names)

    @override
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        places = self.places(wanted, self.header_line)
        cells = [pl.col("cells").list.get(place).alias(name) for name, place in places.items()]
        width, skip = len(self.columns), 0 if self.format.header else 1
        message = f"{{}} fields, the header has {width}: separate them by one {self.separator!r}"
        for rows in self._records(intake):
            rows, skip = rows[skip:].with_columns(pl.col("cells").list.len().alias("_width")), 0
            rows = intake.drop_or_raise(self.path, rows, pl.col("_width") != width, message, "_width")
            if rows.height:
                yield rows.select(LINE, *cells)

    def _records(self, intake: Intake) -> Iterator[pl.DataFrame]:
        """Columns `_line` and `cells`, a list; from the first quote on, the slower csv module reads."""
        blocks = read_blocks(self.path, intake)
        for number, text in blocks:
            if not self.format.quotes or '"' not in text:
                yield split_lines(number, text).select(LINE, pl.col("text").str.split(self.separator).alias("cells"))
                continue
            texts = chain([text], (text for _, text in blocks))
            records = self._quoted(number, chain.from_iterable(io.StringIO(text, newline="\n") for text in texts))
            while part := list(islice(records, QUOTED_ROWS)):
                rows = pl.DataFrame(part, {LINE: pl.UInt32, "cells": pl.String}, orient="row")
                yield rows.with_columns(pl.col("cells").str.split(JOINT))

    def _quoted(self, first: int, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        """The first line and the joined cells of every record; `first` is the number of the first one's."""
        reader, before = csv.reader(lines, delimiter=self.separator, strict=True), first
        try:
            for cells in reader:
                if len(cells) > 1 or any(map(str.strip, cells)):  # a blank line is no record
                    yield first, JOINT.join(cells)
                first = before + reader.line_num
        except csv.Error as error:
            what = "a quote is never closed, or one inside a cell is not written twice"
            raise UserError(f"{self.path}:{first}: {what} ({error})") from None


def guess_separator(lines: list[str], expected: Sequence[str]) -> str:
    """The one that shows the expected columns, then that cuts all lines alike, then the most columns."""

    def fit(separator: str) -> tuple[int, bool, int]:
        rows = list(csv.reader(lines, delimiter=separator))
        header = [cell.strip() for cell in rows[0]]
        alike = len(header) > 1 and len(set(map(len, rows))) == 1
        return sum(name in header for name in expected), alike, len(header)

    return max(SEPARATORS, key=fit)


def open_table(path: Path, format: TextFormat = GUESSED, expected: Sequence[str] = ()) -> Table:
    """The table of a file, by its name: Parquet, lines of JSON, or text with separators."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".parquet", ".pq")):
        return ParquetTable(path)
    return JsonTable(path) if name.endswith((".json", ".jsonl")) else TextTable(path, format, expected)
