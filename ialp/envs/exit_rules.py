"""When a user leaves."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.nets.rating import RatingNet
from ialp.nets.response import ResponseNet
from ialp.recorded import Recorded


class Step(NamedTuple):
    """What happened to B users in one step.

    Attributes:
        items: (B, T) history before the recommendation, right-padded with 0.
        length: (B,) its length, the first item included.
        action: (B,) what was recommended.
        response: (B,) what the user answered: p of a click, or a rating.
    """

    items: Tensor
    length: Tensor
    action: Tensor
    response: Tensor


class ExitRule(Recorded, ABC):
    """Decides who leaves. A rule holds no users: what it must remember of each is a tensor that the world keeps.

    Attributes:
        truncates: The episode is cut short rather than ended by the user, so its return still bootstraps.
    """

    truncates: ClassVar[bool] = False

    def prepare(self, response: ResponseNet) -> None:
        """Hands over the net whose users these are, trained and in eval mode, before anybody comes."""

    @abstractmethod
    def start(self, num_users: int, device: torch.device) -> Tensor:
        """(B, ...) what is remembered of users who have just come."""

    @abstractmethod
    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """What is remembered after the step, and (B,) bool: who leaves."""


class PatienceExit(ExitRule):
    """Every step costs patience, a welcome one little; the user leaves when too little is left.

    A step costs clamp(scale·(1 - p), lowest, highest).

    Args:
        start: Patience of a user who has just come.
        leave_below: The user leaves when less than this is left.
        scale: Cost of a step that is certainly unwelcome, before it is clamped.
        lowest: Every step costs at least this.
        highest: No step costs more.
    """

    def __init__(
        self,
        start: float = 10.0,
        leave_below: float = 1.0,
        scale: float = 2.0,
        lowest: float = 0.1,
        highest: float = 2.0,
    ) -> None:
        self.patience = start
        self.leave_below = leave_below
        self.scale = scale
        self.lowest = lowest
        self.highest = highest

    def start(self, num_users: int, device: torch.device) -> Tensor:
        """(B,) patience."""
        return torch.full((num_users,), self.patience, device=device)

    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """(B,) patience left, (B,) whether it is too little."""
        left = memory - (self.scale * (1 - step.response)).clamp(self.lowest, self.highest)
        return left, left < self.leave_below


class SimilarityExit(ExitRule):
    """The user leaves when the new item is too much like one of the latest that were recommended.

    The distance of two items is the Euclidean one between their columns of the table of all users' predicted ratings;
    that of a repeat is 0.

    Args:
        threshold: The user leaves below this distance.
        window: So many latest recommendations are compared; the first item of a history is none.
    """

    def __init__(self, threshold: float = 1.0, window: int = 7) -> None:
        self.threshold = threshold
        self.window = window
        self.near: Tensor

    def prepare(self, response: ResponseNet) -> None:
        """Makes the (I, I) table of what is too near to what; nothing is near the padding id.

        Raises:
            UserError: The answers depend on the history, so that there is no one table of ratings.
            ValueError: A predicted rating is no number.
        """
        if not isinstance(response, RatingNet):
            raise UserError(
                f"SimilarityExit compares items by predicted ratings, and {type(response).__name__} has none"
            )
        columns = response.table().T.double()
        if columns.isnan().any():
            raise ValueError("a predicted rating is NaN: the rating net is broken, train it again")
        distance = torch.cdist(columns, columns, compute_mode="donot_use_mm_for_euclid_dist")
        self.near = distance < self.threshold
        self.near[0] = self.near[:, 0] = False

    def start(self, num_users: int, device: torch.device) -> Tensor:
        """(B, window) the latest recommendations, 0 where there were none."""
        return torch.zeros(num_users, self.window, dtype=torch.int64, device=device)

    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """(B, window) latest recommendations, (B,) whether the new one is near one of those before it."""
        action = step.action.unsqueeze(1)
        pairs = torch.add(memory, action, alpha=len(self.near))  # (B, window) places in the flat table
        near = self.near.take(pairs)  # a third of the time of near[…, …]
        return torch.cat([memory.narrow(1, 1, self.window - 1), action], dim=1), near.any(1)

    def ends(self, items: Tensor, length: Tensor) -> Tensor:
        """(B, I) which items would end the episode after histories (B, T) of `length` (B,) items."""
        position = length.unsqueeze(1) - 1 - torch.arange(self.window, device=items.device)
        recent = items.gather(1, position.clamp(min=0)) * (position > 0)
        return self.near[recent].any(1)


class MaxSteps(ExitRule):
    """The episode is cut after so many steps.

    Args:
        steps: Longest episode.
    """

    truncates = True

    def __init__(self, steps: int = 20) -> None:
        self.steps = steps

    def start(self, num_users: int, device: torch.device) -> Tensor:
        """(B, 0): the history tells how many steps were taken."""
        return torch.zeros(num_users, 0, device=device)

    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """(B, 0), (B,) whether the steps taken are enough."""
        return memory, step.length >= self.steps
