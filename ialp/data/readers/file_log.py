"""Logs that are read from files."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from typing_extensions import override

from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource, PromptWords, Split
from ialp.data.readers.intake import Intake
from ialp.errors import UserError

logger = logging.getLogger(__name__)

ITEM = "item_id"
ONE_ITEM = "sequences of one item, left out"


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
    def counts(self) -> dict[str, int]:
        """The row of the paper's Table 2."""
        sequences = self.interactions["sequence"].n_unique()
        return {"items": self.items.height, "sequences": sequences, "interactions": self.interactions.height}


class FileLog(LogSource):
    """A log that is read from files. A subclass writes `read`: which files there are and what their columns mean.

    Args:
        name: Name of the log.
        attributes: Columns of the items that make their text, in this order.
        words: Words of the judge's prompt.
        max_words: Every attribute is cut to so many words.
        split: Which sequences make the test world.
        known: All attributes that the format has, where it has certain ones only.
        item: Column of the item's id.

    Raises:
        UserError: The attributes are not text columns of the format, each named once.
    """

    def __init__(
        self,
        name: str,
        attributes: Sequence[str],
        words: PromptWords,
        max_words: int,
        split: Split,
        known: Sequence[str] | None = None,
        item: str = ITEM,
    ) -> None:
        listed = ", ".join(attributes)
        if not attributes or len({ITEM, item, *attributes}) < len({ITEM, item}) + len(attributes):
            raise UserError(f"{name}: attributes are [{listed}]: name text columns of the items, each once, not the id")
        if known is not None and (unknown := sorted(set(attributes) - set(known))):
            raise UserError(f"{name}: attributes has {', '.join(unknown)}: there are {', '.join(known)}")
        self.name, self.attributes, self.words = name, list(attributes), words
        self.max_words, self.split = max_words, split

    @abstractmethod
    def read(self, intake: Intake) -> RawLog:
        """Read the files whole.

        Raises:
            UserError: They cannot be used; the message names file and line.
        """

    @override
    def load(self) -> Log:
        intake = Intake()
        raw = self.read(intake)
        columns = (raw.interactions[name].to_numpy() for name in ("item", "sequence"))
        interactions = Interactions.from_arrays(*columns)
        if dropped := intake.cleaned.get(ONE_ITEM):
            total, message = dropped.count + len(interactions), "%s: %d of %d sequences have one item only: left out"
            logger.warning(message, dropped.first, dropped.count, total)
        texts = {name: raw.items[name].to_list() for name in self.attributes}
        catalogue = Catalogue(raw.items[ITEM].to_list(), texts, self.max_words)
        return Log(self.name, catalogue, *self.split(interactions), self.words)


@dataclass(frozen=True)
class Columns:
    """What the columns of interactions are called.

    Args:
        user: Makes the sequences.
        item: The item's id.
        time: A number or date; null where the order of the rows is the order of time.
        rating: What `min_rating` is about; null where there is none.
        min_rating: Interactions rated lower are left out; null keeps all.
    """

    user: str = "user_id"
    item: str = ITEM
    time: str | None = "timestamp"
    rating: str | None = None
    min_rating: float | None = None

    @property
    def names(self) -> list[str]:
        """Those there are."""
        return [name for name in (self.user, self.item, self.time, self.rating) if name]
