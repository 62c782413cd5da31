"""α of Eq. 14 as a function of the environment steps taken."""

import math
from abc import ABC, abstractmethod

from typing_extensions import override

from ialp.recorded import Recorded


class AlphaSchedule(Recorded, ABC):
    """The weight of the learnable policy in the mixture. YAML picks the subclass."""

    @abstractmethod
    def __call__(self, environment_steps: int) -> float:
        """α in [0, 1] after that many environment steps."""


class LinearAlpha(AlphaSchedule):
    """Rises linearly from `start` to 1.

    Args:
        start: α at the first step; at 0 the new actor has no gradient at all.
        steps: environment steps until α = 1.
    """

    def __init__(self, start: float = 0.1, steps: int = 50_000) -> None:
        self.start, self.steps = start, steps

    @override
    def __call__(self, environment_steps: int) -> float:
        return min(1.0, self.start + (1 - self.start) * environment_steps / self.steps)


class ExponentialAlpha(AlphaSchedule):
    """1 − (1 − start)·exp(−steps / tau).

    Args:
        start: α at the first step.
        tau: environment steps in which the frozen policy's weight falls to 37 %.
    """

    def __init__(self, start: float = 0.1, tau: float = 10_000) -> None:
        self.start, self.tau = start, tau

    @override
    def __call__(self, environment_steps: int) -> float:
        return 1 - (1 - self.start) * math.exp(-environment_steps / self.tau)


class ConstantAlpha(AlphaSchedule):
    """α stays at `value`: 0 is the frozen policy, 1 the learnable one.

    Args:
        value: α.
    """

    def __init__(self, value: float) -> None:
        self.value = value

    @override
    def __call__(self, environment_steps: int) -> float:
        return self.value
