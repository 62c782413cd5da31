"""Histories that grow by the judge's picks: what takes the place of users in Algorithm 1."""

from typing import Any

import torch
from torch import Tensor

from ialp.rng import stream, uniforms
from ialp.types import History


class GrowingHistories:
    """B sequences that begin with a first item of the log and grow by one item a step, side by side.

    Args:
        first_items: (S,) where sequences of the log begin.
        users: (B,) numbers of the sequences.
        horizon: items added before all begin anew.
        seed: of the first items.
    """

    def __init__(self, first_items: Tensor, users: Tensor, horizon: int, seed: int) -> None:
        self.first_items, self.users, self.horizon = first_items, users, horizon
        self.seed = stream(seed, "first items")
        self.episode = 0
        self.items = torch.zeros(len(users), horizon + 1, dtype=torch.int64)
        self.length = torch.full((len(users),), horizon + 1)  # over: the first step begins an episode

    @property
    def over(self) -> bool:
        """Whether all have reached the horizon."""
        return int(self.length[0]) > self.horizon

    @property
    def history(self) -> History:
        """The histories as they are; changed in place as they grow."""
        return History(self.items, self.length)

    def begin(self) -> None:
        """New first items, drawn from the log."""
        zero = torch.zeros_like(self.users)
        uniform = uniforms(self.seed, self.users, zero + self.episode, zero)[:, 0]
        self.items.zero_()
        self.items[:, 0] = self.first_items[(uniform * len(self.first_items)).long()]
        self.length.fill_(1)
        self.episode += 1

    def append(self, item: Tensor) -> None:
        """One more item (B,) to each."""
        self.items.scatter_(1, self.length.unsqueeze(1), item.unsqueeze(1))
        self.length += 1

    def state_dict(self) -> dict[str, Any]:
        """The histories, and how many episodes have begun."""
        return {"items": self.items.clone(), "length": self.length.clone(), "episode": self.episode}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self.items.copy_(state["items"])
        self.length.copy_(state["length"])
        self.episode = state["episode"]
