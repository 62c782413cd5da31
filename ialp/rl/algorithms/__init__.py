"""Update rules."""

from ialp.rl.algorithms.a2c import A2C
from ialp.rl.algorithms.base import Algorithm
from ialp.rl.algorithms.dqn import DQN
from ialp.rl.algorithms.reinforce import Reinforce

__all__ = ["A2C", "DQN", "Algorithm", "Reinforce"]
