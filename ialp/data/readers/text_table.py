"""Tables as text: lines of cells between separators, with or without quotes."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
from typing_extensions import override

from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.lines import MAX_LINE, first_lines, read_blocks, split_lines
from ialp.data.readers.table import JsonTable, ParquetTable, Table
from ialp.errors import UserError

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
QUOTED_ROWS = 50_000  # of a chunk that the csv module reads, as Python's lists take ten times the text's memory

csv.field_size_limit(MAX_LINE)


@dataclass(frozen=True)
class TextFormat:
    """How a text file is split into cells.

    Args:
        separator: Between the columns; null finds comma, tab, semicolon or bar by the first lines.
        header: Names of the columns of a file without a header.
    """

    separator: str | None = None
    header: list[str] | None = None

    def __post_init__(self) -> None:
        if self.separator is not None and len(self.separator) != 1:
            raise UserError(f'separator is "{self.separator}": it is one character, or null')


GUESSED = TextFormat()


class TextTable(Table):
    """Lines of cells between separators, UTF-8, plain or gzip.

    Args:
        path: The file.
        format: Separator and names of the columns, where they are known.
        expected: Columns that the header should have, to recognise the separator.
        atomic: An atomic file: quotes are letters like any other, and the header is `name:type`.
    """

    def __init__(
        self,
        path: Path,
        format: TextFormat = GUESSED,
        expected: Sequence[str] = (),
        atomic: bool = False,
    ) -> None:
        super().__init__(path)
        self.format, self.expected, self.atomic = format, expected, atomic

    @cached_property
    def beginning(self) -> list[tuple[int, str]]:
        """Numbers and texts of the first ten lines that are not blank."""
        if lines := first_lines(self.path, 10):
            return lines
        raise UserError(f"{self.path}: empty file: it needs a header and rows")

    @cached_property
    def separator(self) -> str:
        """Given, or the one that shows the expected columns, then that cuts all lines alike, then the most columns."""
        if self.format.separator:
            return self.format.separator

        def fit(separator: str) -> tuple[int, bool, int]:
            rows = list(csv.reader((text for _, text in self.beginning), delimiter=separator))
            header = [cell.strip() for cell in rows[0]]
            alike = len(header) > 1 and len(set(map(len, rows))) == 1
            return sum(name in header for name in self.expected), alike, len(header)

        return max(SEPARATORS, key=fit)

    @cached_property
    def columns(self) -> list[str]:  # type: ignore[override]
        """Names given, or in the header."""
        if self.format.header is not None:
            return list(self.format.header)
        line, header = self.beginning[0]
        cells = header.split(self.separator) if self.atomic else next(csv.reader([header], delimiter=self.separator))
        names = [cell.split(":")[0].strip() if self.atomic else cell.strip() for cell in cells]
        if len(names) == 1 and self.format.separator:
            name = SEPARATORS.get(self.separator, repr(self.separator))
            raise UserError(
                f"{self.path}:{line}: the header has no {name}: columns must be separated by {name}s, nothing else"
            )
        return names

    @override
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        places = dict(zip(wanted, self.find(wanted, self.beginning[0][0]), strict=True))
        width, header = len(self.columns), self.format.header is None
        separator = SEPARATORS.get(self.separator, "separator")
        message = f"{{}} fields, the header has {width}: separate them by one {separator}"
        for rows in self._records(places, intake):
            if header and rows.height:
                rows, header = rows[1:], False
            if rows.height:
                rows = intake.drop_or_raise(self.path, rows, pl.col("_width") != width, message, "_width")
                yield rows.drop("_width")

    def _records(self, places: dict[str, int], intake: Intake) -> Iterator[pl.DataFrame]:
        """Columns `_line`, `_width` and those of `places`; from the first quote on, the slower csv module reads."""
        blocks = read_blocks(self.path, intake)
        for number, text in blocks:
            if '"' in text and not self.atomic:
                yield from self._quoted_records(number, text, blocks, places)
                return
            lines = split_lines(number, text).with_columns(pl.col("text").str.split(self.separator))
            cells = (pl.col("text").list.get(place, null_on_oob=True).alias(name) for name, place in places.items())
            yield lines.select(LINE, pl.col("text").list.len().alias("_width"), *cells)

    def _quoted_records(
        self, number: int, text: str, blocks: Iterator[tuple[int, str]], places: dict[str, int]
    ) -> Iterator[pl.DataFrame]:
        reader = csv.reader(_lines(text, blocks), delimiter=self.separator, strict=True)
        lines: list[int] = []
        rows: list[list[str]] = []
        first = number
        try:
            for row in reader:
                if len(row) > 1 or any(map(str.strip, row)):  # a blank line is no row
                    lines.append(first)
                    rows.append(row)
                first = number + reader.line_num
                if len(rows) == QUOTED_ROWS:
                    yield _frame(lines, rows, places)
                    lines, rows = [], []
        except csv.Error as error:
            unclosed = "unexpected end" in str(error) or "limit" in str(error)
            what = "a quote that opens in this row is never closed" if unclosed else str(error)
            raise UserError(f"{self.path}:{first}: {what}: write a quote inside a cell twice") from None
        yield _frame(lines, rows, places)


def _lines(text: str, blocks: Iterator[tuple[int, str]]) -> Iterator[str]:
    """Lines with their ends, of this block and the following ones."""
    while True:
        lines = text.split("\n")
        yield from (line + "\n" for line in lines[:-1])
        if lines[-1]:
            yield lines[-1]
        if (following := next(blocks, None)) is None:
            return
        text = following[1]


def _frame(lines: list[int], rows: list[list[str]], places: dict[str, int]) -> pl.DataFrame:
    cells = {name: [row[at] if at < len(row) else None for row in rows] for name, at in places.items()}
    schema = {LINE: pl.UInt32, "_width": pl.UInt32, **dict.fromkeys(places, pl.String)}
    return pl.DataFrame({LINE: lines, "_width": list(map(len, rows)), **cells}, schema=schema)


def open_table(path: Path, format: TextFormat = GUESSED, expected: Sequence[str] = ()) -> Table:
    """The table of a file, by its name: Parquet, lines of JSON, an atomic file, or text with separators."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".parquet", ".pq")):
        return ParquetTable(path)
    if name.endswith((".json", ".jsonl")):
        return JsonTable(path)
    if name.endswith((".item", ".inter")):
        return TextTable(path, TextFormat("\t"), atomic=True)
    return TextTable(path, format, expected)
