"""Update rules."""

from ialp.rl.algorithms.a2c import A2C
from ialp.rl.algorithms.base import Algorithm

__all__ = ["A2C", "Algorithm"]
