"""The simulated worlds and when their users leave."""

from ialp.envs.batch_env import BatchEnv, Feedback
from ialp.envs.exit_rules import ExitRule, MaxSteps, PatienceExit, SimilarityExit, Step
from ialp.envs.world import World

__all__ = ["BatchEnv", "ExitRule", "Feedback", "MaxSteps", "PatienceExit", "SimilarityExit", "Step", "World"]
