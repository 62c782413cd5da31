"""Ids and times from text, checked; and texts numbered in the order of their appearance."""

from pathlib import Path

import polars as pl

from ialp.data.readers.intake import Intake

NO_ID = r"(?i)^(nan|null|none|<na>|-\d+(\.\d*)?|-?\d*\.\d*[1-9]\d*)?$"  # nothing, a negative or a fractional number
WHOLE_FLOAT = r"^(\d+)\.0*$"
MILLISECONDS = 1e11  # seconds would be past the year 5000
DATE_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d",
    "%d %b %Y",
)


def clean_ids(path: Path, rows: pl.DataFrame, name: str, intake: Intake) -> pl.DataFrame:
    """Rows with an id in column `name`; 3.0 becomes 3, as programs write whole numbers with gaps between them."""
    message = f'no {name}: an id is text or a whole number, not "{{}}"'
    rows = intake.drop_or_raise(path, rows, pl.col(name).str.contains(NO_ID), message, name)
    return rows.with_columns(pl.col(name).str.replace(WHOLE_FLOAT, "${1}"))


def clean_times(path: Path, rows: pl.DataFrame, name: str, intake: Intake) -> pl.DataFrame:
    """Rows with a time, as float64 seconds in a new column `timestamp`, replacing any of that name."""
    rows = rows.with_columns(seconds(rows[name]).alias("_seconds"))
    message = f'{name} "{{}}" is not a number or date'
    rows = intake.drop_or_raise(path, rows, ~pl.col("_seconds").is_finite(), message, name)
    return rows.with_columns(pl.col("_seconds").alias("timestamp")).drop("_seconds")


def seconds(cells: pl.Series) -> pl.Series:
    """(n,) float64 of numbers (milliseconds from 1e11 on) and dates (UTC without a zone); null for anything else."""
    number = cells.cast(pl.Float64, strict=False)
    found = pl.select(pl.when(number >= MILLISECONDS).then(number / 1000).otherwise(number)).to_series()
    if not found.null_count():
        return found
    dates = cells.str.replace(r"(\d)T(\d)", "$1 $2").str.replace(",", "").str.replace("(Z| UTC)$", "")
    for form in DATE_FORMATS:
        found = found.fill_null(dates.str.to_datetime(form, time_unit="ms", strict=False).dt.timestamp("ms") / 1000)
    return found


class Numbering:
    """Texts numbered from 1 in the order in which they first appear, with what stands beside them there.

    Args:
        key: Column of the texts.
        beside: Columns kept of the row where a text first appears.

    Attributes:
        table: columns `_number` (UInt32), key and `beside`.
    """

    def __init__(self, key: str, beside: tuple[str, ...] = ()) -> None:
        self.key, self.beside = key, beside
        schema = {"_number": pl.UInt32, **dict.fromkeys((key, *beside), pl.String)}
        self.table = pl.DataFrame(schema=schema)

    def number(self, rows: pl.DataFrame) -> pl.Series:
        """(n,) UInt32 numbers of the rows' texts; new ones are added."""
        unique = rows.select(self.key, *self.beside).unique(self.key, keep="first", maintain_order=True)
        new = unique.join(self.table, on=self.key, how="anti", maintain_order="left")
        new = new.with_row_index("_number", offset=self.table.height + 1)
        self.table = pl.concat([self.table, new.select(self.table.columns)])
        return self.look_up(rows)

    def look_up(self, rows: pl.DataFrame) -> pl.Series:
        """(n,) UInt32 numbers of the rows' texts; null for those unknown."""
        known = self.table.select(self.key, "_number")
        return rows.select(self.key).join(known, on=self.key, how="left", maintain_order="left")["_number"]
