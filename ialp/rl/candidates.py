"""The K candidates that the judge is shown, a^k ~ Sample(Actor[s]) of section 4.1.2."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from ialp.data import Log
from ialp.recorded import Recorded
from ialp.rl.exploration import sample_index
from ialp.types import History, Judgement


class CandidateSampler(Recorded, ABC):
    """Draws K distinct allowed items per user. YAML picks the subclass.

    Args:
        count: K.

    Attributes:
        generator: of all draws.
    """

    def __init__(self, count: int = 10) -> None:
        self.count = count
        self.generator = torch.Generator()

    def setup(self, log: Log, seed: int) -> None:
        """Called once before the first draw."""
        self.generator.manual_seed(seed)

    @abstractmethod
    def sample(self, log_pi: Tensor, history: History) -> Tensor:
        """(B, K) ids from the actor's log-probabilities (B, I), -inf where masked, for B histories."""

    def choose(self, judgement: Judgement) -> Tensor:
        """(B,) index of the judge's pick among the candidates, or of a random candidate where it answers None."""
        random_pick = torch.randint(self.count, judgement.choice.shape, generator=self.generator)
        return torch.where(judgement.accepted, judgement.choice, random_pick)

    def state_dict(self) -> dict[str, Any]:
        """State of the generator."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self.generator.set_state(state["generator"].cpu())


def gumbel_like(log_pi: Tensor, generator: torch.Generator) -> Tensor:
    """Gumbel noise: the K largest of log π + noise are a draw of K items from π without replacement."""
    uniform = torch.rand(log_pi.shape, generator=generator).clamp_(min=1e-20)
    return uniform.log_().neg_().log_().neg_()


class FromPolicy(CandidateSampler):
    """K items drawn from π without replacement."""

    @override
    def sample(self, log_pi: Tensor, history: History) -> Tensor:
        return (log_pi + gumbel_like(log_pi, self.generator)).topk(self.count).indices


class TopK(CandidateSampler):
    """The K most probable items of π."""

    @override
    def sample(self, log_pi: Tensor, history: History) -> Tensor:
        return log_pi.topk(self.count).indices


class WithNeighbours(CandidateSampler):
    """Some candidates are textual neighbours of the history, some popular in the log, the others drawn from π.

    Ten of nine thousand items drawn from an untrained π rarely hold one that fits, and a judge that always answers None
    teaches nothing. Neighbours and popular items are drawn in proportion to their count in the training log plus one.

    Args:
        count: K.
        neighbours: how many at most are text neighbours; those drawn twice or already shown give their place to π.
        known: how many of the others are drawn from the whole log by popularity.
        pool: nearest items by text of each item that neighbours are drawn from.
    """

    def __init__(self, count: int = 10, neighbours: int = 3, known: int = 7, pool: int = 20) -> None:
        super().__init__(count)
        self.neighbours, self.known, self.pool = neighbours, known, pool
        self.table: Tensor  # (I, pool) ids of the nearest items
        self.weights: Tensor  # (I,)
        self.cumulative: Tensor  # (I,)

    @override
    def setup(self, log: Log, seed: int) -> None:
        super().setup(log, seed)
        self.prepare(log.neighbours(self.pool), log.train.popularity(log.catalogue.num_items))

    def prepare(self, table: Tensor, popularity: Tensor) -> None:
        """Takes the (I, k) table of nearest items and the (I,) counts of the training log."""
        self.table = table
        self.weights = popularity.double() + 1
        self.weights[0] = 0
        self.cumulative = self.weights.cumsum(0)

    @override
    def sample(self, log_pi: Tensor, history: History) -> Tensor:
        """(B, K), the neighbours first."""
        items, length, generator = history.items, history.length, self.generator
        score = log_pi + gumbel_like(log_pi, generator)
        allowed = log_pi > -torch.inf
        rows = torch.arange(len(items)).unsqueeze(1)
        place = (torch.rand(len(items), self.neighbours, generator=generator) * length.unsqueeze(1)).long()
        near = self.table[items.gather(1, place)]  # (B, n, k): the neighbours of n items of the history
        drawn = [self._one_of(near.flatten(0, 1)).view(len(items), self.neighbours)]
        if self.known:
            drawn.append(self._from_log((len(items), self.known)))
        # Finite bonuses keep the order neighbours, known, π.
        for tier, ids in enumerate(drawn):
            bonus = torch.where(allowed[rows, ids], 1e6 / (tier + 1), -torch.inf)
            score = score.scatter(1, ids, bonus)
        return score.topk(self.count).indices

    def _one_of(self, choices: Tensor) -> Tensor:
        """(M,) one id of each row of choices (M, k), by weight."""
        uniform = torch.rand(len(choices), generator=self.generator)
        return choices.gather(1, sample_index(self.weights[choices], uniform).unsqueeze(1)).squeeze(1)

    def _from_log(self, shape: tuple[int, int]) -> Tensor:
        """Ids of the given shape, by weight."""
        uniform = torch.rand(shape, generator=self.generator, dtype=torch.float64) * self.cumulative[-1]
        return torch.searchsorted(self.cumulative, uniform, right=True)
