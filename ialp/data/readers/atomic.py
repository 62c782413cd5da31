"""RecBole atomic files: `name.item` and `name.inter`, tab-separated, header `name:type`, UTF-8."""

import logging
from pathlib import Path

from typing_extensions import override

from ialp.data.builtin import BuiltinLog
from ialp.data.log import DEFAULT_SPLIT, MUSIC, Log, PromptWords, Split
from ialp.data.readers.file_log import ITEM, Columns
from ialp.data.readers.pipeline import find_file
from ialp.data.readers.table import Table
from ialp.data.readers.table_log import TableLog
from ialp.data.readers.text_table import TextFormat, TextTable

logger = logging.getLogger(__name__)

ATOMIC = TextFormat("\t", quotes=False, types=True)


class AtomicLog(TableLog):
    """A log in two files, one's own or a published one: ROOT/NAME/NAME.item and .inter, or ROOT/NAME.item and .inter.

    NAME.item has a column item_id and the text attributes; NAME.inter has user_id (or session_id), item_id and
    timestamp. Each user's interactions, sorted by timestamp, are one sequence; equal timestamps keep the file's order.

    Args:
        name: The files' name without ending.
        root: Folder that holds them; without one the built-in catalogue takes their place, and a warning says so.
        attributes: Columns of NAME.item that make an item's text, in this order.
        words, max_words, split: As in `FileLog`.
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
        files = f"{name}.inter", f"{name}.item"
        super().__init__(
            root or "", *files, attributes, format=ATOMIC, name=name, words=words, max_words=max_words, split=split
        )
        self.drop_repeated = False

    @classmethod
    def with_all_texts(cls, path: Path) -> "AtomicLog":
        """The log of PATH.inter, with all columns of the items but the id as attributes."""
        log = cls(path.stem, str(path.parent))
        log.attributes = [name for name in TextTable(path.with_suffix(".item"), ATOMIC).columns if name != ITEM]
        return log

    @override
    def load(self) -> Log:
        if self.root:
            return super().load()
        logger.warning('no data root is set: the built-in catalogue takes the place of "%s"', self.name)
        return BuiltinLog(max_words=self.max_words, split=self.split).load()

    @override
    def find(self, name: str) -> Path:
        places = [Path(self.root) / self.name / name, Path(self.root) / name]
        return find_file(places, "check data_root and the log's name")

    @override
    def columns_of(self, table: Table) -> Columns:
        named = {"user_id", "session_id"} & set(table.columns)
        return Columns(user="session_id" if named == {"session_id"} else "user_id")
