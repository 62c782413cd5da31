"""α of Eq. 14 as a function of the environment steps taken."""

import math
from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class AlphaSchedule(ABC):
    """The share of the learnable policy in the mixture. Subclass it for a schedule of one's own.

    Attributes:
        serves_alone: whether some users meet one policy of the set alone while learning; `alone` then says who.
    """

    serves_alone = False

    @abstractmethod
    def __call__(self, environment_steps: int) -> float:
        """α in [0, 1] after that many environment steps."""

    def alone(self, user: Tensor) -> Tensor:
        """(B,) who serves these users (B,) alone while learning: 0 is θ, 1 is φ, all else nobody: the mixture does."""
        raise NotImplementedError(f"{type(self).__name__} has serves_alone, and no method `alone`")

    def hear(self, user: Tensor, returns: Tensor) -> None:  # noqa: B027 - most do not listen
        """Called with the returns (E,) of episodes that users (E,) have just finished."""

    def local_state(self) -> dict[str, Any]:
        """What this process alone knows and a resumed run needs, beside buffers; tensors, numbers and texts."""
        return {}

    def load_local_state(self, state: dict[str, Any]) -> None:  # noqa: B027 - most know nothing
        """Goes on where `local_state` was taken."""

    def figures(self) -> dict[str, float]:
        """What is worth logging beside α."""
        return {}


class LinearAlpha(AlphaSchedule):
    """Rises on a line from `start` to 1.

    Args:
        start: α at the first step; at 0 the new actor has no gradient at all.
        steps: environment steps until α = 1.
    """

    def __init__(self, start: float = 0.1, steps: int = 25_000) -> None:
        self.start, self.steps = start, steps

    def __call__(self, environment_steps: int) -> float:
        """α on the line."""
        return min(1.0, self.start + (1 - self.start) * environment_steps / self.steps)


class ExponentialAlpha(AlphaSchedule):
    """1 − (1 − start)·exp(−steps / tau): fast at first, never quite 1.

    Args:
        start: α at the first step.
        tau: environment steps in which the frozen policy's share falls to 37 %.
    """

    def __init__(self, start: float = 0.1, tau: float = 10_000) -> None:
        self.start, self.tau = start, tau

    def __call__(self, environment_steps: int) -> float:
        """α on the curve."""
        return 1 - (1 - self.start) * math.exp(-environment_steps / self.tau)


class ConstantAlpha(AlphaSchedule):
    """α stays where it is: 0 is the frozen policy, 1 the learnable one.

    Args:
        value: α.
    """

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, environment_steps: int) -> float:
        """α."""
        return self.value
