"""Logs in CSV or Parquet files with named columns."""

from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from ialp.data.log import DEFAULT_SPLIT, SHOPPING, PromptWords, Split
from ialp.data.readers import pipeline
from ialp.data.readers.cleaning import Numbering
from ialp.data.readers.file_log import ITEM, Columns, FileLog, RawLog
from ialp.data.readers.intake import Intake
from ialp.data.readers.table import Table
from ialp.data.readers.text_table import GUESSED, TextFormat, open_table

STANDARD = Columns()


class TableLog(FileLog):
    """A log in CSV (plain or gzip), Parquet or JSON lines: a file of interactions, and one of items or none.

    Each user's interactions, sorted by time, are one sequence. Rows with user, item and time of another are left out.

    Args:
        root: Folder that holds the files.
        interactions: File of interactions in it.
        items: File of items in it; null where the text stands beside the interactions (an item's first row counts).
        attributes: Columns that make an item's text, in this order.
        columns: Names of the other columns; that of the item's id is the same in both files.
        format: How the files are split into cells; a header is that of the interactions.
        name, words, max_words, split: As in `FileLog`.
    """

    def __init__(
        self,
        root: str,
        interactions: str = "interactions.csv",
        items: str | None = "items.csv",
        attributes: list[str] = ["title"],  # noqa: B006 - shown as such in the CLI's help
        columns: Columns = STANDARD,
        format: TextFormat = GUESSED,
        name: str = "table",
        words: PromptWords = SHOPPING,
        max_words: int = 12,
        split: Split = DEFAULT_SPLIT,
    ) -> None:
        super().__init__(name, attributes, words, max_words, split, item=columns.item)
        self.root, self.interactions, self.items = root, interactions, items
        self.columns, self.format = columns, format
        self.drop_repeated = columns.time is not None

    @override
    def read(self, intake: Intake) -> RawLog:
        path, item_file = self.find(self.interactions), self.find(self.items) if self.items else None
        table = open_table(path, self.format, self.columns.names)
        columns = self.columns_of(table)
        known = Numbering(ITEM, () if item_file else tuple(self.attributes))
        if item_file:
            item_table = open_table(item_file, replace(self.format, header=None), [columns.item, *self.attributes])
            items = pipeline.read_items(item_table, columns.item, self.attributes, intake)
            known.number(items)
        rows = pipeline.read_interactions(table, columns, known, intake, item_file)
        rows = pipeline.sort_by_time(path, rows, intake, self.drop_repeated)
        items = items if item_file else known.table.drop("_number")
        return pipeline.make_log(path, items, rows, intake, columns.user)

    def find(self, name: str) -> Path:
        """Where a file of this name lies."""
        return Path(self.root) / name

    def columns_of(self, table: Table) -> Columns:
        """What the columns of the interactions are called."""
        return self.columns
