"""What cells mean: ids, times and ratings from text, checked; and texts numbered in the order of their appearance."""

from pathlib import Path

import polars as pl

from ialp.data.readers.intake import Intake

MISSING = ("nan", "NaN", "NAN", "null", "NULL", "None", "<NA>")  # what programs write where they have no id
NOT_AN_ID = r"^-\d+(\.\d*)?$|^-?\d*\.\d*[1-9]\d*$"
WHOLE_FLOAT = r"^\d+\.0*$"
MILLISECONDS = 1e11  # seconds would be past the year 5000
DATE_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%d %b %Y, %H:%M",
)
ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z")
DAY_FORMATS = ("%Y-%m-%d", "%d %b %Y")


def clean_ids(path: Path, rows: pl.DataFrame, name: str, none: str, intake: Intake) -> pl.DataFrame:
    """Rows with an id in column `name`; 3.0 becomes 3, as programs write whole numbers with gaps between them.

    Args:
        path: Where the rows come from.
        rows: With `_line` and the column as text.
        name: The column.
        none: The complaint about a row without an id.
        intake: Refuses or counts an empty id, and a number that is negative or fractional.
    """
    cell = pl.col(name)
    rows = intake.drop_or_raise(path, rows, (cell == "") | cell.is_in(MISSING), none)
    rows = intake.drop_or_raise(
        path, rows, cell.str.contains(NOT_AN_ID), f'{name} "{{}}": a number is an id if whole', name
    )
    intake.note_rows(path, rows, cell.str.contains(WHOLE_FLOAT), f"{name} written like 3.0, read as 3")
    return rows.with_columns(cell.str.replace(r"^(\d+)\.0*$", "${1}"))


def clean_times(path: Path, rows: pl.DataFrame, name: str, intake: Intake) -> pl.DataFrame:
    """Rows with a time, as float64 seconds in a new column `timestamp`, replacing any of that name.

    Numbers are taken as they are, from 1e11 on as milliseconds; dates as DATE_FORMATS say, without a zone as UTC.
    """
    rows = rows.with_columns(seconds(rows[name]).alias("_seconds"))
    unknown = ~pl.col("_seconds").is_finite().fill_null(False)
    rows = intake.drop_or_raise(path, rows, unknown, f'{name} "{{}}" is not a number or date', name)
    return rows.with_columns(pl.col("_seconds").alias("timestamp")).drop("_seconds")


def seconds(cells: pl.Series) -> pl.Series:
    """(n,) float64 of numbers and dates as text; null where a cell is neither."""
    found = cells.cast(pl.Float64, strict=False)
    found = pl.select(pl.when(found >= MILLISECONDS).then(found / 1000).otherwise(found)).to_series()
    plain = cells.str.strip_suffix("Z").str.strip_suffix(" UTC")
    kinds: tuple[tuple[tuple[str, ...], pl.Date | pl.Datetime], ...] = (
        (DATE_FORMATS, pl.Datetime("ms")),
        (ZONED_FORMATS, pl.Datetime("ms", "UTC")),
        (DAY_FORMATS, pl.Date()),
    )
    for formats, kind in kinds:
        for form in formats:
            if found.null_count():
                found = found.fill_null(_milliseconds(plain, kind, form) / 1000)
    return found


def _milliseconds(cells: pl.Series, dtype: pl.Date | pl.Datetime, form: str) -> pl.Series:
    return cells.str.strptime(dtype, form, strict=False).cast(pl.Datetime("ms")).dt.timestamp("ms")


def clean_ratings(path: Path, rows: pl.DataFrame, name: str, low: float, high: float, intake: Intake) -> pl.DataFrame:
    """Rows with a rating from `low` to `high`, as float64 in the same column."""
    rows = rows.with_columns(pl.col(name).cast(pl.Float64, strict=False).alias("_rating"))
    inside = pl.col("_rating").is_between(low, high) & pl.col("_rating").is_not_nan()
    complaint = f'{name} "{{}}" is no number from {low:g} to {high:g}'
    rows = intake.drop_or_raise(path, rows, ~inside.fill_null(False), complaint, name)
    return rows.with_columns(pl.col("_rating").alias(name)).drop("_rating")


class Numbering:
    """Texts numbered from 1 in the order in which they first appear, with what stands beside them there.

    Args:
        key: Column of the texts.
        beside: Columns kept of the row where a text first appears.

    Attributes:
        table: columns `_number` (UInt32), key and `beside`.
    """

    def __init__(self, key: str, beside: tuple[str, ...] = ()) -> None:
        self.key = key
        self.columns = [key, *beside]
        schema: dict[str, pl.DataType] = {"_number": pl.UInt32(), **dict.fromkeys(self.columns, pl.String())}
        self.table = pl.DataFrame(schema=schema)

    @classmethod
    def of(cls, key: str, texts: pl.Series) -> "Numbering":
        """Of texts that are known."""
        numbering = cls(key)
        numbering.number(texts.to_frame(key))
        return numbering

    def number(self, rows: pl.DataFrame) -> pl.Series:
        """(n,) UInt32 numbers of the rows' texts; new ones are added."""
        unique = rows.select(self.columns).unique(self.key, keep="first", maintain_order=True)
        new = unique.join(self.table, on=self.key, how="anti", maintain_order="left")
        new = new.with_row_index("_number", offset=self.table.height + 1)
        self.table = pl.concat([self.table, new.select(self.table.columns)])
        return self.look_up(rows)

    def look_up(self, rows: pl.DataFrame) -> pl.Series:
        """(n,) UInt32 numbers of the rows' texts; null for those unknown."""
        known = self.table.select(self.key, "_number")
        return rows.select(self.key).join(known, on=self.key, how="left", maintain_order="left")["_number"]
