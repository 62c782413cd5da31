"""Logs that are read from files: what all readers share."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource
from ialp.data.readers.cells import Numbering, clean_ids, clean_ratings, clean_times
from ialp.data.readers.intake import LINE, Intake
from ialp.data.readers.table import Table
from ialp.errors import UserError

logger = logging.getLogger(__name__)

ITEM = "item_id"
ONE_ITEM = "sequences of one item, left out"
UNSORTED = "interactions before an earlier one of the same sequence, sorted by time"
REPEATED = "interactions with user, item and time of another, left out"


@dataclass
class RawLog:
    """What a reader makes of files.

    Attributes:
        items: Columns item_id and the attributes, all text; row i is item i + 1.
        interactions: Columns sequence (from 0), item (from 1) and timestamp, sorted by sequence and then by time.
    """

    items: pl.DataFrame
    interactions: pl.DataFrame

    @property
    def counts(self) -> dict[str, float]:
        """The row of the paper's Table 2, mean length of a sequence and density (share of all pairs that occur)."""
        sequences, interactions = self.interactions["sequence"].n_unique(), self.interactions.height
        pair = pl.col("sequence").cast(pl.UInt64) * (self.items.height + 1) + pl.col("item")
        pairs = self.interactions.select(pair.n_unique()).item()
        return {
            "items": self.items.height,
            "sequences": sequences,
            "interactions": interactions,
            "mean_length": interactions / max(sequences, 1),
            "density": pairs / max(sequences * self.items.height, 1),
        }


class FileLog(LogSource):
    """A log that is read from files. A subclass writes `read`, and hands on what all logs have.

    Args:
        name: Of the log.
        attributes: Columns of the items that make their text, in this order.
        scenario: Kind of platform, as the prompt names it.
        item_word: What is recommended, as the prompt names it.
        behavior: What users do with it, as the prompt names it.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the sequences that make the test world.
        split_seed: Seed of that choice.
    """

    def __init__(
        self,
        name: str,
        attributes: Sequence[str],
        scenario: str,
        item_word: str,
        behavior: str,
        max_words: int,
        test_fraction: float,
        split_seed: int,
    ) -> None:
        self.name = name
        self.attributes = list(attributes)
        self.scenario, self.item_word, self.behavior = scenario, item_word, behavior
        self.max_words = max_words
        self.test_fraction, self.split_seed = test_fraction, split_seed

    @abstractmethod
    def read(self, intake: Intake) -> RawLog:
        """Read the files whole.

        Raises:
            UserError: They cannot be used; the text names file and line.
        """

    def load(self) -> Log:
        """Read the files and split the sequences.

        Raises:
            UserError: A file is missing or cannot be used; the text names file and line.
        """
        intake = Intake()
        raw = self.read(intake)
        interactions = Interactions.from_arrays(
            raw.interactions["item"].to_numpy(), raw.interactions["sequence"].to_numpy()
        )
        if dropped := intake.cleaned.get(ONE_ITEM):
            total = dropped.count + len(interactions)
            logger.warning(
                "%s: %d of %d sequences have one item only and are left out", dropped.first, dropped.count, total
            )
        texts = {name: raw.items[name].to_list() for name in self.attributes}
        train, test = interactions.split(self.test_fraction, self.split_seed)
        return Log(
            name=self.name,
            catalogue=Catalogue(raw.items[ITEM].to_list(), texts, self.max_words),
            train=train,
            test=test,
            scenario=self.scenario,
            item_word=self.item_word,
            behavior=self.behavior,
        )


def check_attributes(name: str, where: str, attributes: Sequence[str], item: str = ITEM) -> None:
    """Attributes are text columns, each named once."""
    if not attributes:
        raise UserError(f"{name}: attributes is empty: name the columns of {where} that hold text")
    if len({item, *attributes}) <= len(attributes):
        raise UserError(f"{name}: attributes are {', '.join(attributes)}: name each text column once, {item} is none")


@dataclass
class Columns:
    """Names of the columns of a log.

    Attributes:
        user: Makes the sequences.
        item: The item's id.
        time: When it was; None where the order of the rows is the order of time.
        rating: None where there is none.
        lowest: Least rating there is.
        highest: Greatest rating there is.
        least: Ratings below are left out.
    """

    user: str
    item: str = ITEM
    time: str | None = "timestamp"
    rating: str | None = None
    lowest: float = 1
    highest: float = 5
    least: float | None = None

    @property
    def all(self) -> list[str]:
        """Those there are."""
        return [name for name in (self.user, self.item, self.time, self.rating) if name]


def read_items(table: Table, item: str, attributes: Sequence[str], intake: Intake) -> pl.DataFrame:
    """Columns item_id and the attributes, in the order of the file.

    Raises:
        UserError: See `Table.rows`; an item without an id or without any text, an id that appears twice.
    """
    path = table.path
    rows = pl.concat(table.rows([item, *attributes], intake))
    rows = clean_ids(path, rows, item, "item without an id", intake)
    rows = sift_items(path, rows, item, attributes, intake)
    return rows.select(pl.col(item).alias(ITEM), *attributes)


def sift_items(path: Path, rows: pl.DataFrame, item: str, attributes: Sequence[str], intake: Intake) -> pl.DataFrame:
    """Every item once, and each with a text."""
    rows = intake.drop_or_raise(
        path, rows, ~pl.col(item).is_first_distinct(), 'item id "{}" appears a second time', item
    )
    said = 'item "{}" has no text in any of: ' + ", ".join(attributes)
    return intake.drop_or_raise(path, rows, silent(attributes), said, item)


def silent(attributes: Sequence[str]) -> pl.Expr:
    """True for an item without any text."""
    return pl.all_horizontal(pl.col(name) == "" for name in attributes)


def read_interactions(
    table: Table, columns: Columns, items: Numbering, intake: Intake, item_file: Path | None
) -> pl.DataFrame:
    """Columns user, item and timestamp in the order of the file; users are numbered as they first appear.

    Args:
        table: The rows.
        columns: What they are called.
        items: Known items. Those without `item_file` are numbered as they appear.
        intake: Refuses or counts bad rows.
        item_file: Where the items are from.

    Raises:
        UserError: See `Table.rows`; no user or item, an unknown item, a time or rating that is none.
    """
    path, users, parts = table.path, Numbering(columns.user), []
    wanted = columns.all if item_file else [*columns.all, *items.columns[1:]]
    for rows in table.rows(wanted, intake):
        rows = clean_ids(path, rows, columns.user, f"no {columns.user}", intake)
        rows = clean_ids(path, rows, columns.item, f"no {columns.item}", intake)
        if columns.time:
            rows = clean_times(path, rows, columns.time, intake)
        else:
            rows = rows.with_columns(pl.col(LINE).cast(pl.Float64).alias("timestamp"))
        if columns.rating:
            rows = clean_ratings(path, rows, columns.rating, columns.lowest, columns.highest, intake)
            if columns.least is not None:
                low = pl.col(columns.rating) < columns.least
                intake.note_rows(path, rows, low, f"interactions rated below {columns.least:g}, left out")
                rows = rows.filter(~low)
        rows = rows.rename({columns.item: items.key}) if columns.item != items.key else rows
        if item_file:
            rows = rows.with_columns(items.look_up(rows).alias("_item"))
            unknown = f'item "{{}}" is not in {item_file}'
            rows = intake.drop_or_raise(path, rows, pl.col("_item").is_null(), unknown, items.key)
        else:
            rows = intake.drop_or_raise(
                path, rows, silent(items.columns[1:]), 'item "{}" has no text in this row', items.key
            )
            rows = rows.with_columns(items.number(rows).alias("_item"))
        parts.append(rows.select(users.number(rows).alias("user"), pl.col("_item").alias("item"), pl.col("timestamp")))
    return pl.concat(parts)


def sort_by_time(path: Path, rows: pl.DataFrame, intake: Intake, drop_repeated: bool) -> pl.DataFrame:
    """Rows user, item, timestamp by user and then by time; equal times keep their order."""
    rows = rows.sort("user", maintain_order=True)
    backwards = (pl.col("timestamp").diff() < 0) & (pl.col("user").diff() == 0)
    intake.note(UNSORTED, int(rows.select(backwards.sum()).item() or 0), str(path))
    rows = rows.sort("user", "timestamp", maintain_order=True)
    if drop_repeated:
        once = rows.unique(["user", "item", "timestamp"], keep="first", maintain_order=True)
        intake.note(REPEATED, rows.height - once.height, str(path))
        return once
    return rows


def make_log(
    path: Path, items: pl.DataFrame, rows: pl.DataFrame, intake: Intake, sequence_word: str = "sequence"
) -> RawLog:
    """The log of sorted rows (`sequence`, item, timestamp); sequences of one item are left out and counted.

    Raises:
        UserError: There are fewer than two items, or no sequence of two.
    """
    if items.height < 2:
        raise UserError(f"{path}: {items.height} item in the catalogue: there is nothing to choose from below two")
    kept = rows.filter(pl.len().over("sequence") > 1)
    if kept.is_empty():
        raise UserError(f"{path}: every {sequence_word} has one interaction: a sequence needs two or more")
    before, after = rows["sequence"].n_unique(), kept["sequence"].n_unique()
    intake.note(ONE_ITEM, before - after, str(path))
    number = pl.col("sequence").rle_id().cast(pl.UInt32)
    return RawLog(items, kept.select(number.alias("sequence"), "item", "timestamp"))
