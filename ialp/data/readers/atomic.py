"""RecBole atomic files: `name.item` and `name.inter`, tab-separated, header `name:type`, UTF-8."""

import logging
from pathlib import Path

from typing_extensions import override

from ialp.data.builtin_log import BuiltinLog
from ialp.data.log import DEFAULT_SPLIT, MUSIC, Log, PromptWords, Split
from ialp.data.readers.cells import Numbering
from ialp.data.readers.file_log import (
    ITEM,
    Columns,
    FileLog,
    RawLog,
    check_attributes,
    find_file,
    make_log,
    read_interactions,
    read_items,
    sort_by_time,
)
from ialp.data.readers.intake import Intake
from ialp.data.readers.text_table import open_table

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
        words: Words of the judge's prompt.
        max_words: Every attribute is cut to so many words.
        split: Which sequences make the test world.
    """

    def __init__(
        self,
        name: str,
        root: str | None = None,
        attributes: list[str] = ["title", "album", "artist"],  # noqa: B006 - shown as such in the CLI's help
        words: PromptWords = MUSIC,
        max_words: int = 12,
        split: Split = DEFAULT_SPLIT,
    ):
        check_attributes(name, f"{name}.item", attributes)
        super().__init__(name, attributes, words, max_words, split)
        self.root = root

    @override
    def load(self) -> Log:
        if self.root:
            return super().load()
        logger.warning('no data root is set: the built-in catalogue takes the place of "%s"', self.name)
        return BuiltinLog(max_words=self.max_words, split=self.split).load()

    @override
    def read(self, intake: Intake) -> RawLog:
        item_file, path = self.find(".item"), self.find(".inter")
        items = read_items(open_table(item_file), ITEM, self.attributes, intake)
        table = open_table(path)
        columns = Columns(user=next((name for name in USER_COLUMNS if name in table.columns), USER_COLUMNS[0]))
        rows = read_interactions(table, columns, Numbering.of(items[ITEM]), intake, item_file)
        rows = sort_by_time(path, rows, intake, drop_repeated=False)
        return make_log(path, items, rows, intake, columns.user)

    def find(self, ending: str) -> Path:
        """The file with this ending, in a folder of its own or directly under the root."""
        root = Path(self.root or "")
        places = [root / self.name / (self.name + ending), root / (self.name + ending)]
        return find_file(places, "check data_root and the log's name")
