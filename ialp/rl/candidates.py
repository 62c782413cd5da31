"""Which K candidates the oracle is shown (Sample(Actor[s]) of section 4.1.2)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ialp.rl.exploration import sample_index


class CandidateSampler(ABC):
    """Draws K distinct allowed items per user. YAML picks the subclass."""

    def prepare(self, neighbours: Tensor, popularity: Tensor) -> None:  # noqa: B027 - most samplers need neither
        """Hands over the (I, k) nearest items by text and the (I,) counts of the training log, once they are known."""

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
    """Some candidates read like an item of the history, some are known from the log, the others are drawn from π.

    Ten of nine thousand items rarely hold one that fits: a judge that always says None teaches nothing. Neighbours and
    known items are drawn as often as the training log holds them (plus one), so that the judge is asked more often
    about what people do take; whether it fits this history stays the judge's decision.

    Args:
        neighbours: how many at most are text neighbours; those drawn twice or already shown give their place to π.
        known: how many of the others are drawn from the whole log by popularity.
    """

    def __init__(self, neighbours: int = 4, known: int = 0) -> None:
        self.neighbours, self.known = neighbours, known
        self.table: Tensor
        self.weights: Tensor
        self.cumulative: Tensor

    def prepare(self, neighbours: Tensor, popularity: Tensor) -> None:
        """Keeps the (I, k) table of nearest items and the (I,) weights of all, also summed up."""
        self.table = neighbours
        self.weights = popularity.double() + 1
        self.weights[0] = 0
        self.cumulative = self.weights.cumsum(0)

    def sample(self, log_pi: Tensor, items: Tensor, length: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """(B, K), the neighbours first."""
        score = log_pi + gumbel_like(log_pi, generator)
        allowed = log_pi > -torch.inf
        rows = torch.arange(len(items)).unsqueeze(1)
        place = (torch.rand(len(items), self.neighbours, generator=generator) * length.unsqueeze(1)).long()
        near = self.table[items.gather(1, place)]  # (B, n, k): the neighbours of n items of the history
        drawn = [self._one_of(near.flatten(0, 1), generator).view(len(items), self.neighbours)]
        if self.known:
            drawn.append(self._from_log((len(items), self.known), generator))
        # Two tiers, not users: finite bonuses keep the order neighbours, known, π.
        for tier, ids in enumerate(drawn):
            bonus = torch.where(allowed[rows, ids], 1e6 / (tier + 1), -torch.inf)
            score = score.scatter(1, ids, bonus)
        return score.topk(count).indices

    def _one_of(self, choices: Tensor, generator: torch.Generator) -> Tensor:
        """(M,) one id of each row of choices (M, k), by weight."""
        uniform = torch.rand(len(choices), generator=generator)
        return choices.gather(1, sample_index(self.weights[choices], uniform).unsqueeze(1)).squeeze(1)

    def _from_log(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Ids of the given shape, by weight."""
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64) * self.cumulative[-1]
        return torch.searchsorted(self.cumulative, uniform, right=True)
