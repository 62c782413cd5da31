"""A log of sessions with its catalogue, and where it comes from."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ialp.data.catalogue import Catalogue
from ialp.data.interactions import Interactions
from ialp.data.text import text_neighbours
from ialp.recorded import Recorded


@dataclass(frozen=True)
class PromptWords:
    """What the judge's prompt calls platform, items and the users' behaviour.

    Args:
        scenario: Kind of platform, such as music.
        item: What is recommended, such as track.
        behavior: What users do with it, such as listening.
    """

    scenario: str = "music"
    item: str = "track"
    behavior: str = "listening"


MUSIC = PromptWords()
SHOPPING = PromptWords("shopping", "product", "purchase")
FASHION = PromptWords("fashion", "coat", "shopping")


@dataclass(frozen=True)
class Split:
    """Draws the sequences that make the test world.

    Args:
        test_fraction: Share of the sequences.
        seed: Seed of the draw.
    """

    test_fraction: float = 0.2
    seed: int = 0

    def __call__(self, interactions: Interactions) -> tuple[Interactions, Interactions]:
        """Training and test sequences."""
        return interactions.split(self.test_fraction, self.seed)


DEFAULT_SPLIT = Split()


@dataclass
class Log:
    """Sequences of interactions and the items that they are of: what every DataModule works on.

    Attributes:
        name: Shown in the first line of a run.
        catalogue: The items and their texts.
        train: Sequences of the training world; all that is learnt comes from these.
        test: Sequences of the test world: first items and validation.
        words: Words of the judge's prompt.
        is_builtin: The sessions are generated, not anybody's data.
        user_features: (U, F) what is known of users beside their history; (0, 0) where that is nothing.
    """

    name: str
    catalogue: Catalogue
    train: Interactions
    test: Interactions
    words: PromptWords = MUSIC
    is_builtin: bool = False
    user_features: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    @property
    def names(self) -> list[str]:
        """(I,) the catalogue's own id of every id of a history; the padding's is empty."""
        return ["", *self.catalogue.ids]

    @property
    def sizes(self) -> dict[str, int]:
        """What a policy for this log is built with: num_items (N), num_users (U) and user_width (F)."""
        num_users, user_width = self.user_features.shape
        return {"num_items": self.catalogue.num_items, "num_users": num_users, "user_width": user_width}

    def neighbours(self, k: int) -> Tensor:
        """(I, k) the k items most similar by text to every id of a history, best first; fewer in a tiny catalogue."""
        return text_neighbours(self.catalogue, min(k, self.catalogue.num_items - 1))

    @property
    def attribute_names(self) -> list[str]:
        """Columns of the catalogue, in the order in which items are rendered."""
        return list(self.catalogue.attributes)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of catalogue and both parts of the log."""
        parts = self.catalogue.fingerprint, self.train.fingerprint, self.test.fingerprint
        return hashlib.sha256("".join(parts).encode()).hexdigest()


class LogSource(Recorded, ABC):
    """Where a log comes from. A subclass named in YAML (`class_path`) is all that a new format needs."""

    @abstractmethod
    def load(self) -> Log:
        """Read or generate the log.

        Raises:
            UserError: The data cannot be used; the message names file and line.
        """
