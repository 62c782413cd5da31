"""Logs in CSV or Parquet files with named columns."""

from pathlib import Path

from ialp.data.readers.cells import Numbering
from ialp.data.readers.file_log import (
    ITEM,
    Columns,
    FileLog,
    RawLog,
    check_attributes,
    make_log,
    read_interactions,
    read_items,
    sort_by_time,
)
from ialp.data.readers.intake import Intake
from ialp.data.readers.table import open_table
from ialp.errors import UserError


class TableLog(FileLog):
    """A log in CSV (plain or gzip) or Parquet files: one of interactions, and one of items or none.

    Each user's interactions, sorted by time, are one sequence. Rows with user, item and time of another are left out.

    Args:
        root: Folder that holds the files.
        interactions: File of interactions in it.
        items: File of items in it; null where the text stands beside the interactions (an item's first row counts).
        attributes: Columns that make an item's text, in this order.
        user: Column that makes the sequences.
        item: Column of the item's id, in both files.
        time: Column of a number or date; null where the rows are in the order of time.
        rating: Column of ratings; null where there is none.
        rating_range: Least and greatest rating there is.
        min_rating: Interactions rated lower are left out; null keeps all.
        separator: Between the columns; null finds comma, tab, semicolon or bar.
        header: Names of the columns of interactions, where that file has no header.
        name: Of the log.
        scenario: Kind of platform, as the prompt names it.
        item_word: What is recommended, as the prompt names it.
        behavior: What users do with it, as the prompt names it.
        max_words: Every attribute is cut to so many words.
        test_fraction: Share of the sequences that make the test world.
        split_seed: Seed of that choice.
    """

    def __init__(
        self,
        root: str,
        interactions: str = "interactions.csv",
        items: str | None = "items.csv",
        attributes: list[str] = ["title"],  # noqa: B006 - shown as such in the CLI's help
        user: str = "user_id",
        item: str = "item_id",
        time: str | None = "timestamp",
        rating: str | None = None,
        rating_range: tuple[float, float] = (1, 5),
        min_rating: float | None = None,
        separator: str | None = None,
        header: list[str] | None = None,
        name: str = "table",
        scenario: str = "shopping",
        item_word: str = "product",
        behavior: str = "purchase",
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ) -> None:
        check_attributes(name, items or interactions, attributes, item)
        if ITEM in attributes:
            raise UserError(f"{name}: attributes has {ITEM}: the prepared items' id is called so; rename the column")
        if separator is not None and len(separator) != 1:
            raise UserError(f'separator is "{separator}": it is one character, or null')
        super().__init__(name, attributes, scenario, item_word, behavior, max_words, test_fraction, split_seed)
        self.root = root
        self.interactions, self.items = interactions, items
        self.columns = Columns(user, item, time, rating, *rating_range, min_rating)
        self.separator, self.header = separator, header

    def read(self, intake: Intake) -> RawLog:
        """The items, if they have a file, and the interactions."""
        path = Path(self.root) / self.interactions
        table = open_table(path, self.separator, self.header, self.columns.all)
        item_file = Path(self.root) / self.items if self.items else None
        if item_file:
            names = [self.columns.item, *self.attributes]
            items = read_items(open_table(item_file, self.separator, expected=names), names[0], self.attributes, intake)
            known = Numbering.of(ITEM, items[ITEM])
        else:
            known = Numbering(ITEM, tuple(self.attributes))
        rows = read_interactions(table, self.columns, known, intake, item_file)
        rows = sort_by_time(path, rows, intake, drop_repeated=self.columns.time is not None)
        found = items if item_file else known.table.drop("_number")
        return make_log(path, found, rows.rename({"user": "sequence"}), intake, self.columns.user)
