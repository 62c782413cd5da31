"""Metrics of whole episodes (paper, section 5.3): return, length and average reward.

Each is a sum over a count, both added up across ranks: the value of several ranks is that of all their episodes.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override


class EpisodeMetric(Metric, ABC):
    """A total over a count; a subclass says which. nan before the first episode."""

    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @override
    def update(self, returns: Tensor, lengths: Tensor) -> None:
        total, count = self.terms(returns, lengths)
        self.total += total
        self.count += count

    @override
    def compute(self) -> Tensor:
        return self.total / self.count

    @abstractmethod
    def terms(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        """What finished episodes add to the total and to the count: returns (B,) in reward units, lengths (B,)."""


class EpisodeReturn(EpisodeMetric):
    """R: mean over episodes of the summed rewards."""

    @override
    def terms(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        return returns.sum(), returns.numel()


class EpisodeLength(EpisodeMetric):
    """Len: mean over episodes of the number of recommendations until the user left or the episode was truncated."""

    @override
    def terms(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        return lengths.sum(), lengths.numel()


class AverageReward(EpisodeMetric):
    """R_avg = ΣR / ΣLen: mean reward of a recommendation, so that long episodes weigh more than short ones."""

    @override
    def terms(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        return returns.sum(), lengths.sum()
