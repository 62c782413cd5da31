"""When a user leaves."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ialp.recorded import Recorded


class Step(NamedTuple):
    """What happened to B users in one step.

    Attributes:
        items: (B, T) history before the recommendation, right-padded with 0.
        length: (B,) its length, the first item included.
        action: (B,) what was recommended.
        probability: (B,) of a click on it.
    """

    items: Tensor
    length: Tensor
    action: Tensor
    probability: Tensor


class ExitRule(Recorded, ABC):
    """Decides who leaves. A rule holds no users: what it must remember of each is a tensor that the world keeps.

    Attributes:
        truncates: The episode is cut short rather than ended by the user, so its return still bootstraps.
    """

    truncates: ClassVar[bool] = False

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
        left = memory - (self.scale * (1 - step.probability)).clamp(self.lowest, self.highest)
        return left, left < self.leave_below


class MaxSteps(ExitRule):
    """The episode is cut after so many steps.

    Args:
        steps: Longest episode.
    """

    truncates = True

    def __init__(self, steps: int = 20) -> None:
        self.steps = steps

    def start(self, num_users: int, device: torch.device) -> Tensor:
        """(B,) steps taken."""
        return torch.zeros(num_users, dtype=torch.int64, device=device)

    def advance(self, memory: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """(B,) steps taken, (B,) whether they are enough."""
        return memory + 1, memory + 1 >= self.steps
