"""RecBole atomic files: `name.item` and `name.inter`, tab-separated, header `name:type`, UTF-8."""

import logging
from pathlib import Path

import polars as pl

from ialp.data.builtin_log import BuiltinLog
from ialp.data.log import Log
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
from ialp.data.readers.table import TextTable
from ialp.errors import UserError

logger = logging.getLogger(__name__)

USER_COLUMNS = ("user_id", "session_id")  # either makes the sequences


class AtomicLog(FileLog):
    """A log in two files, one's own or a published one: ROOT/NAME/NAME.item and .inter, or ROOT/NAME.item and .inter.

    NAME.item has a column item_id and the text attributes; NAME.inter has user_id (or session_id), item_id and
    timestamp. Each user's interactions, sorted by timestamp, are one sequence; equal timestamps keep the file's order.

    Args:
        name: The files' name without ending.
        root: Folder that holds them; without one the built-in catalogue takes their place, and a warning says so.
        attributes: Columns of NAME.item that make an item's text, in this order.
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
        root: str | None = None,
        attributes: list[str] = ["title", "album", "artist"],  # noqa: B006 - shown as such in the CLI's help
        scenario: str = "music",
        item_word: str = "track",
        behavior: str = "listening",
        max_words: int = 12,
        test_fraction: float = 0.2,
        split_seed: int = 0,
    ):
        check_attributes(name, f"{name}.item", attributes)
        super().__init__(name, attributes, scenario, item_word, behavior, max_words, test_fraction, split_seed)
        self.root = root

    def load(self) -> Log:
        """Read both files and split the sequences.

        Raises:
            UserError: A file is missing or cannot be used; the text names file and line.
        """
        if not self.root:
            logger.warning('no data root is set: the built-in catalogue takes the place of "%s"', self.name)
            return BuiltinLog(
                max_words=self.max_words, test_fraction=self.test_fraction, split_seed=self.split_seed
            ).load()
        return super().load()

    def read(self, intake: Intake) -> RawLog:
        """Both files, whole."""
        item_file, inter_file = self.find(".item"), self.find(".inter")
        items = read_items(atomic_table(item_file), ITEM, self.attributes, intake)
        return read_inter(inter_file, items, item_file, intake)

    def find(self, ending: str) -> Path:
        """The file with this ending, in a folder of its own or directly under the root."""
        root = Path(self.root or "")
        places = [root / self.name / (self.name + ending), root / (self.name + ending)]
        for place in places:
            if place.is_file():
                return place
        raise UserError(f"no {self.name}{ending} at {places[0]} or {places[1]}: check data_root and the log's name")


def atomic_table(path: Path) -> TextTable:
    """Tabs, no quotes, a header `name:type`."""
    return TextTable(path, separator="\t", quoted=False, typed=True)


def read_inter(path: Path, items: pl.DataFrame, item_file: Path, intake: Intake) -> RawLog:
    """One sequence per user, in the order in which users first appear."""
    table = atomic_table(path)
    user = next((name for name in USER_COLUMNS if name in table.columns), USER_COLUMNS[0])
    rows = read_interactions(table, Columns(user), Numbering.of(ITEM, items[ITEM]), intake, item_file)
    rows = sort_by_time(path, rows, intake, drop_repeated=False).rename({"user": "sequence"})
    return make_log(path, items, rows, intake, user)
