"""The three figures of the method (paper, section 5.3): return, length and average reward of whole episodes.

Each metric is a sum over a count, added up across ranks: the figure of several ranks is that of all their episodes.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric


class EpisodeMetric(Metric, ABC):
    """A total over a count; a subclass says which. Without episodes yet, the figure is nan."""

    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, returns: Tensor, lengths: Tensor) -> None:
        """Add finished episodes: their returns (B,) in reward units and lengths (B,) in steps."""
        total, count = self.share(returns, lengths)
        self.total += total
        self.count += count

    def compute(self) -> Tensor:
        """() the total over the count."""
        return self.total / self.count

    @abstractmethod
    def share(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        """What these episodes (B,) add to the total, and to the count."""


class EpisodeReturn(EpisodeMetric):
    """R: mean over episodes of the summed rewards."""

    def share(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        """Summed rewards, number of episodes."""
        return returns.sum(), returns.numel()


class EpisodeLength(EpisodeMetric):
    """Len: mean over episodes of the number of recommendations until the user left or the episode was cut."""

    def share(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        """Steps, number of episodes."""
        return lengths.sum(), lengths.numel()


class AverageReward(EpisodeMetric):
    """R_avg = ΣR / ΣLen: the mean reward of a recommendation, long episodes weighing more than short ones."""

    def share(self, returns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | int]:
        """Summed rewards, steps."""
        return returns.sum(), lengths.sum()
