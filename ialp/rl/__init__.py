"""Learning and acting: algorithms, exploration, schedules, candidates, replay."""

from ialp.rl.algorithms import A2C, DQN, Algorithm, Reinforce
from ialp.rl.candidates import CandidateSampler, FromPolicy, TopK, WithNeighbours
from ialp.rl.exploration import Categorical, EpsilonGreedy, Exploration, Greedy
from ialp.rl.replay import ReplayBuffer
from ialp.rl.schedules import AlphaSchedule, ConstantAlpha, ExponentialAlpha, LinearAlpha

__all__ = [
    "A2C",
    "DQN",
    "Algorithm",
    "AlphaSchedule",
    "CandidateSampler",
    "Categorical",
    "ConstantAlpha",
    "EpsilonGreedy",
    "Exploration",
    "ExponentialAlpha",
    "FromPolicy",
    "Greedy",
    "LinearAlpha",
    "Reinforce",
    "ReplayBuffer",
    "TopK",
    "WithNeighbours",
]
