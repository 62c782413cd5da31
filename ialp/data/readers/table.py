"""Tables in files: text with separators, or Parquet. Both are read in chunks of rows, every cell as text."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.lines import MAX_LINE, first_lines, read_blocks, split_lines
from ialp.errors import UserError

SEPARATORS = ",\t;|"
NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
ROWS = 250_000  # of a chunk
MAX_CELL = 2**20  # bytes


class Table(ABC):
    """A file of rows with named columns.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names in the order of the file."""

    @abstractmethod
    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """As `rows`, before cells are stripped and measured."""

    def rows(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """Chunks of `_line`, counted from 1, and the wanted columns as stripped text, empty where there is none.

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
                chunk = intake.drop_or_raise(
                    self.path, chunk, long, f"column {name}: a cell of more than {MAX_CELL >> 20} MiB"
                )
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


class TextTable(Table):
    """Lines of cells between separators, UTF-8, plain or gzip.

    Args:
        path: The file.
        separator: Of the columns; without one, what fits the first lines best.
        quoted: A cell may stand in double quotes, and then hold separators and line ends.
        typed: The header is that of an atomic file, `name:type`.
        names: Of the columns of a file without a header.
        expected: Columns that the header should have, to tell the separator by.
    """

    def __init__(
        self,
        path: Path,
        separator: str | None = None,
        quoted: bool = True,
        typed: bool = False,
        names: Sequence[str] | None = None,
        expected: Sequence[str] = (),
    ) -> None:
        super().__init__(path)
        self.quoted, self.typed, self.names = quoted, typed, names
        self._separator, self._expected = separator, expected

    @cached_property
    def beginning(self) -> list[tuple[int, str]]:
        """Numbers and texts of the first ten lines that are not blank."""
        if lines := first_lines(self.path, 10):
            return lines
        raise UserError(f"{self.path}: empty file: it needs a header and rows")

    @cached_property
    def separator(self) -> str:
        """Given, or found."""
        return self._separator or self._sniffed()

    @cached_property
    def columns(self) -> list[str]:
        """Names in the header, or those given."""
        if self.names is not None:
            return list(self.names)
        line, header = self.beginning[0]
        cells = self.cells(header)
        names = [cell.split(":")[0].strip() if self.typed else cell.strip() for cell in cells]
        if len(names) == 1 and self._separator is not None:
            name = NAMES.get(self.separator, repr(self.separator))
            raise UserError(
                f"{self.path}:{line}: the header has no {name}: columns must be separated by {name}s, nothing else"
            )
        return names

    def cells(self, line: str) -> list[str]:
        """Of one line."""
        if not self.quoted:
            return line.split(self.separator)
        csv.field_size_limit(MAX_LINE)
        return next(csv.reader([line], delimiter=self.separator), [])

    def _sniffed(self) -> str:
        """The separator that shows the expected columns, then one that cuts all lines alike, then the most."""
        csv.field_size_limit(MAX_LINE)

        def fit(separator: str) -> tuple[int, bool, int]:
            rows = list(csv.reader((text for _, text in self.beginning), delimiter=separator))
            header = [cell.strip() for cell in rows[0]]
            alike = len(header) > 1 and len(set(map(len, rows))) == 1
            return sum(name in header for name in self._expected), alike, len(header)

        return max(SEPARATORS, key=fit)

    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """Cells of the wanted columns; rows of another width than the header are refused or left out."""
        places = self.find(wanted, self.beginning[0][0])
        width, skip = len(self.columns), self.names is None
        complaint = (
            f"{{}} fields, the header has {width}: separate them by one {NAMES.get(self.separator, 'separator')}"
        )
        for table in self._records(intake):
            if skip:
                table, skip = table[1:], False
            if table.height:
                table = table.with_columns(pl.col("fields").list.len().alias("width"))
                table = intake.drop_or_raise(self.path, table, pl.col("width") != width, complaint, "width")
                cells = (pl.col("fields").list.get(i).alias(name) for i, name in zip(places, wanted, strict=True))
                yield table.select(LINE, *cells)

    def _records(self, intake: Intake) -> Iterator[pl.DataFrame]:
        """Columns `_line` and `fields`; from the first block with a quote on, the slower csv module reads."""
        blocks = read_blocks(self.path, intake)
        for number, text in blocks:
            if self.quoted and '"' in text:
                yield from self._quoted_records(number, text, blocks)
            else:
                yield split_lines(number, text).select(LINE, pl.col("text").str.split(self.separator).alias("fields"))

    def _quoted_records(self, number: int, text: str, blocks: Iterator[tuple[int, str]]) -> Iterator[pl.DataFrame]:
        csv.field_size_limit(MAX_LINE)
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
                if len(rows) == ROWS:
                    yield _frame(lines, rows)
                    lines, rows = [], []
        except csv.Error as error:
            open_quote = "unexpected end" in str(error) or "limit" in str(error)
            what = "a quote that opens in this row is never closed" if open_quote else str(error)
            raise UserError(f"{self.path}:{first}: {what}: write a quote inside a cell twice") from None
        yield _frame(lines, rows)


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


def _frame(lines: list[int], rows: list[list[str]]) -> pl.DataFrame:
    return pl.DataFrame({LINE: lines, "fields": rows}, schema={LINE: pl.UInt32, "fields": pl.List(pl.String)})


class ParquetTable(Table):
    """A Parquet file; the line of a row is its number, counted from 1."""

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """Types of the columns."""
        try:
            return dict(pl.read_parquet_schema(self.path))
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror or error}: it cannot be read") from None
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise self._broken(error) from None

    @property
    def columns(self) -> list[str]:
        """Names in the schema."""
        return list(self.schema)

    def chunks(self, wanted: Sequence[str], intake: Intake) -> Iterator[pl.DataFrame]:
        """The wanted columns as text."""
        self.find(wanted)
        cells = [self._as_text(name) for name in wanted]
        with intake.open(self.path):
            whole = pl.scan_parquet(self.path)
            try:
                height = whole.select(pl.len()).collect().item()
                for start in range(0, height, ROWS):
                    chunk = whole.slice(start, ROWS).select(cells).collect()
                    intake.progress.at(self.path.stat().st_size * min(start + ROWS, height) // height)
                    yield chunk.with_row_index(LINE, offset=start + 1)
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise self._broken(error) from None

    def _as_text(self, name: str) -> pl.Expr:
        kind = self.schema[name]
        if isinstance(kind, pl.List) and kind.inner == pl.String:
            return pl.col(name).list.join(" ", ignore_nulls=True).fill_null("")
        if kind.is_nested() or kind == pl.Binary:
            raise UserError(f"{self.path}: column {name} is {kind}: write it as text or numbers")
        return pl.col(name).cast(pl.String).fill_null("")

    def _broken(self, error: BaseException) -> UserError:
        reason = str(error).strip().split("\n")[0]
        return UserError(f"{self.path}: no whole Parquet file ({reason}): write it again")


def open_table(
    path: Path, separator: str | None = None, names: Sequence[str] | None = None, expected: Sequence[str] = ()
) -> Table:
    """A Parquet file by its name, anything else as text."""
    if path.suffix in (".parquet", ".pq"):
        return ParquetTable(path)
    return TextTable(path, separator, names=names, expected=expected)
