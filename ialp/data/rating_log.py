"""A log of ratings: users with features, and what they thought of items."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from typing_extensions import override

from ialp.data.log import Log


@dataclass
class Ratings:
    """n ratings, one user and one item each.

    Attributes:
        user: (n,) int64 from 0.
        item: (n,) int64 ids from 1.
        rating: (n,) float32.
    """

    user: Tensor
    item: Tensor
    rating: Tensor

    def __len__(self) -> int:
        return len(self.rating)

    def select(self, rows: Tensor) -> "Ratings":
        """The ratings at `rows`."""
        return Ratings(self.user[rows], self.item[rows], self.rating[rows])

    def split(self, fraction: float, seed: int) -> tuple["Ratings", "Ratings"]:
        """All but a random `fraction` of them, and that fraction."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        held_out = round(fraction * len(self))
        return self.select(order[held_out:]), self.select(order[:held_out])


@dataclass(kw_only=True)
class RatingLog(Log):
    """A log whose users are known by features, and whose items were rated.

    Each sequence begins with the user: the id N + 1 + u, an id like an item's that is never recommended. So a user's
    features are the first token of every history, and the initial state of an episode.

    Attributes:
        item_features: (I, G) float32, row 0 zero.
        rated: What users chose to rate.
        rated_at_random: What they rated because it was put before them: an unbiased sample, never trained on.
    """

    item_features: Tensor = field()
    rated: Ratings = field()
    rated_at_random: Ratings = field()

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.user_features)

    @cached_property
    @override
    def names(self) -> list[str]:  # (I + U)
        return ["", *self.catalogue.ids, *(f"user {user}" for user in range(self.num_users))]

    @override
    def neighbours(self, k: int) -> Tensor:
        """(I + U, k) most similar items by text; those of a user, of whom no text is known, are the most popular."""
        of_items = super().neighbours(k)
        popularity = self.train.popularity(self.catalogue.num_items)
        known = 1 + popularity[1:].topk(of_items.shape[1]).indices
        return torch.cat([of_items, known.expand(self.num_users, -1)])

    @cached_property
    @override
    def fingerprint(self) -> str:
        digest = hashlib.sha256(super().fingerprint.encode())
        ratings = *vars(self.rated).values(), *vars(self.rated_at_random).values()
        for part in (self.user_features, self.item_features, *ratings):
            digest.update(part.numpy().tobytes())
        return digest.hexdigest()
