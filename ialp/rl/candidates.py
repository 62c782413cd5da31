"""Which K candidates the oracle is shown (Sample(Actor[s]) of section 4.1.2)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class CandidateSampler(ABC):
    """Draws K distinct allowed items per user. YAML picks the subclass."""

    def prepare(self, neighbours: Tensor) -> None:  # noqa: B027 - most samplers need no text
        """Hands over the (I, k) nearest items by text, once the catalogue is known."""

    @abstractmethod
    def sample(self, log_pi: Tensor, items: Tensor, length: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(B, K) ids.

        Args:
            log_pi: (B, I) of the actor, -inf where masked.
            items: (B, T) histories, right-padded.
            length: (B,) items of each.
            count: K.
            generator: source of chance.
        """


def gumbel_like(log_pi: Tensor, generator: torch.Generator) -> Tensor:
    """Gumbel noise: the K largest of log π + noise are a draw of K items from π without replacement."""
    uniform = torch.rand(log_pi.shape, generator=generator).clamp_(min=1e-20)
    return uniform.log_().neg_().log_().neg_()


class FromPolicy(CandidateSampler):
    """K items drawn from π without replacement."""

    def sample(self, log_pi: Tensor, items: Tensor, length: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(B, K)."""
        return (log_pi + gumbel_like(log_pi, generator)).topk(count).indices


class TopK(CandidateSampler):
    """The K most probable items of π."""

    def sample(self, log_pi: Tensor, items: Tensor, length: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(B, K)."""
        return log_pi.topk(count).indices


class WithNeighbours(CandidateSampler):
    """Some candidates read like an item of the history, the others are drawn from π.

    Ten of nine thousand items rarely hold one that fits: a judge that always says None teaches nothing.

    Args:
        neighbours: how many at most are text neighbours; those drawn twice or already shown give their place to π.
        uniform: how many of the others are drawn uniformly over the catalogue, as contrast; the rest from π.
    """

    def __init__(self, neighbours: int = 4, uniform: int = 0) -> None:
        self.neighbours, self.uniform = neighbours, uniform
        self.table: Tensor

    def prepare(self, neighbours: Tensor) -> None:
        """Keeps the (I, k) table of nearest items."""
        self.table = neighbours

    def sample(self, log_pi: Tensor, items: Tensor, length: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(B, K), the neighbours first."""
        score = log_pi + gumbel_like(log_pi, generator)
        allowed = log_pi > -torch.inf
        rows = torch.arange(len(items)).unsqueeze(1)
        chance = torch.rand(len(items), self.neighbours, 2, generator=generator)
        place = (chance[..., 0] * length.unsqueeze(1)).long()  # (B, n) which item of the history
        rank = (chance[..., 1] * self.table.shape[1]).long()  # (B, n) which of its neighbours
        near = self.table[items.gather(1, place), rank]
        forced = [near]
        if self.uniform:
            forced.append(torch.randint(1, log_pi.shape[1], (len(items), self.uniform), generator=generator))
        # Two tiers, not users: finite bonuses keep the order neighbours, uniform, π.
        for tier, ids in enumerate(forced):
            bonus = torch.where(allowed[rows, ids], 1e6 / (tier + 1), -torch.inf)
            score = score.scatter(1, ids, bonus)
        return score.topk(count).indices
