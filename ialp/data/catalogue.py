"""The items that can be recommended, and how each is written down for a reader."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from ialp.errors import UserError


@dataclass(frozen=True)
class Catalogue:
    """Items 1 … N with their text attributes; 0 is padding.

    Args:
        ids: External ids; the one at position i belongs to item i + 1.
        attributes: Column name to the texts of all items, in the order in which an item is rendered.
        max_words: Every attribute is cut to so many words when an item is rendered.

    Raises:
        UserError: Fewer than two items, an id twice, or an item without any text.
    """

    ids: list[str]
    attributes: dict[str, list[str]]
    max_words: int = 12

    def __post_init__(self) -> None:
        if len(self.ids) < 2:
            raise UserError(f"{len(self.ids)} item in the catalogue: there is nothing to choose from below two")
        if self.max_words < 1:
            raise UserError(f"max_words is {self.max_words}: it must be at least 1")
        if len(set(self.ids)) < len(self.ids):
            twice = Counter(self.ids).most_common(1)[0][0]
            raise UserError(f'item id "{twice}" appears twice in the catalogue: ids must be unique')
        if silent := [name for name, text in zip(self.ids, self.texts[1:], strict=True) if not text]:
            raise UserError(f'item "{silent[0]}" has no text in any of: {", ".join(self.attributes)}')

    @property
    def num_items(self) -> int:
        """N; tensors over items are one wider, for the padding id."""
        return len(self.ids)

    @cached_property
    def texts(self) -> list[str]:
        """Every id 0 … N as "title; album; artist", empty attributes left out; the padding's text is empty."""
        cut = ([" ".join(text.split()[: self.max_words]) for text in column] for column in self.attributes.values())
        return ["", *("; ".join(filter(None, parts)) for parts in zip(*cut, strict=True))]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of ids and attributes: a checkpoint's item vectors mean something under this one only."""
        return hashlib.sha256(json.dumps([self.ids, self.attributes]).encode()).hexdigest()
