"""From cells to a log: what all readers share once a file is split into cells."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ialp.data.readers.cleaning import Numbering, clean_ids, clean_times
from ialp.data.readers.file_log import ITEM, ONE_ITEM, Columns, RawLog
from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.table import Table
from ialp.errors import UserError

REPEATED = "interactions with user, item and time of another, left out"


def find_file(places: Sequence[Path], hint: str) -> Path:
    """The first place where a file lies."""
    for place in places:
        if place.is_file():
            return place
    raise UserError(f"no {places[0].name} at {' or '.join(map(str, places))}: {hint}")


def read_items(table: Table, item: str, attributes: Sequence[str], intake: Intake) -> pl.DataFrame:
    """Columns item_id and the attributes, in the order of the file; every item has an id of its own and some text."""
    rows = pl.concat(table.rows([item, *attributes], intake))
    rows = clean_ids(table.path, rows, item, intake)
    again = ~pl.col(item).is_first_distinct()
    rows = intake.drop_or_raise(table.path, rows, again, 'item id "{}" appears a second time', item)
    message = 'item "{}" has no text in any of: ' + ", ".join(attributes)
    rows = intake.drop_or_raise(table.path, rows, textless(attributes), message, item)
    return rows.select(pl.col(item).alias(ITEM), *attributes)


def textless(attributes: Sequence[str]) -> pl.Expr:
    """True for an item without any text."""
    return pl.all_horizontal(pl.col(name) == "" for name in attributes)


def read_interactions(
    table: Table,
    columns: Columns,
    items: Numbering,
    intake: Intake,
    item_file: Path | None = None,
    users: Numbering | None = None,
) -> pl.DataFrame:
    """Columns sequence (from 1; the number of the user), item and timestamp in the order of the file.

    Users, and items where no `item_file` says which there are, are numbered as they appear; `users` are those of
    several files.

    Raises:
        UserError: See `Table.rows`; no user or item, an unknown item, a time or rating that is none.
    """
    users, parts = users or Numbering(columns.user), []
    for rows in table.rows([*columns.names, *items.beside], intake):
        rows = _clean(table.path, rows, columns, intake)
        rows = rows.rename({columns.item: items.key}) if columns.item != items.key else rows
        if item_file:
            rows = rows.with_columns(items.look_up(rows).alias("_number"))
            message = f'item "{{}}" is not in {item_file}'
            rows = intake.drop_or_raise(table.path, rows, pl.col("_number").is_null(), message, items.key)
        else:
            if items.beside:
                message = 'item "{}" has no text in this row'
                rows = intake.drop_or_raise(table.path, rows, textless(items.beside), message, items.key)
            rows = rows.with_columns(items.number(rows).alias("_number"))
        item = pl.col("_number").alias("item")
        parts.append(rows.select(users.number(rows).alias("sequence"), item, "timestamp"))
    return pl.concat(parts)


def _clean(path: Path, rows: pl.DataFrame, columns: Columns, intake: Intake) -> pl.DataFrame:
    """Rows with a user, an item, a `timestamp` and a sufficient rating."""
    for name in (columns.user, columns.item):
        rows = clean_ids(path, rows, name, intake)
    if columns.time:
        rows = clean_times(path, rows, columns.time, intake)
    else:
        rows = rows.with_columns(pl.col(LINE).cast(pl.Float64).alias("timestamp"))
    if columns.rating and columns.min_rating is not None:
        rating = pl.col(columns.rating).cast(pl.Float64, strict=False)
        message = f'{columns.rating} "{{}}" is not a number'
        rows = intake.drop_or_raise(path, rows, ~rating.is_finite(), message, columns.rating)
        what = f"interactions rated below {columns.min_rating:g}, left out"
        rows = intake.leave_out(path, rows, rating < columns.min_rating, what)
    return rows


def sort_by_time(path: Path, rows: pl.DataFrame, intake: Intake, drop_repeated: bool = True) -> pl.DataFrame:
    """Rows sequence, item, timestamp by sequence and then by time; equal times keep their order."""
    rows = rows.sort("sequence", "timestamp", maintain_order=True)
    if not drop_repeated:
        return rows
    once = rows.unique(["sequence", "item", "timestamp"], keep="first", maintain_order=True)
    intake.note(REPEATED, rows.height - once.height, str(path))
    return once


def make_log(
    path: Path, items: pl.DataFrame, rows: pl.DataFrame, intake: Intake, sequence_word: str = "sequence"
) -> RawLog:
    """The log of sorted rows; sequences of one item are left out and counted.

    Raises:
        UserError: There are fewer than two items, or no sequence of two.
    """
    if items.height < 2:
        raise UserError(f"{path}: {items.height} item in the catalogue: there is nothing to choose from below two")
    kept = rows.filter(pl.len().over("sequence") > 1)
    if kept.is_empty():
        raise UserError(f"{path}: every {sequence_word} has one interaction: a sequence needs two or more")
    intake.note(ONE_ITEM, rows["sequence"].n_unique() - kept["sequence"].n_unique(), str(path))
    number = pl.col("sequence").rle_id().cast(pl.UInt32)
    return RawLog(items, kept.select(number.alias("sequence"), "item", "timestamp"))
