"""Whole episodes, played for evaluation."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ialp.envs.batch_env import BatchEnv
from ialp.envs.exit_rules import Step
from ialp.rl.schemes.base import Scheme
from ialp.rng import stream, uniforms
from ialp.types import History

Choose = Callable[[History], Tensor]
"""A policy: histories of the A users whose episodes go on → actions (A,); `Scheme.best` is one."""


@dataclass
class Episodes:
    """One episode of each of E users.

    Attributes:
        items: (E, T + 1) first item and recommendations, right-padded with 0.
        returns: (E,) summed rewards.
        lengths: (E,) recommendations.
        terminated: (E,) the user left, rather than reaching the horizon.
    """

    items: Tensor
    returns: Tensor
    lengths: Tensor
    terminated: Tensor


@torch.no_grad()
def run_episodes(
    choose: Choose, env: BatchEnv, observe: Callable[[Step, list[Tensor]], None] = lambda step, ends: None
) -> Episodes:
    """Plays one episode of every user of `env`; users who have left cost nothing more.

    Args:
        choose: The policy, called once per step.
        env: Reset here; left at the final states.
        observe: Called with `env.latest` after each step.
    """
    env.reset()
    returns = torch.zeros(env.num_users)
    terminated = torch.zeros(env.num_users, dtype=torch.bool)
    active = torch.arange(env.num_users)
    while len(active):
        actions = torch.zeros(env.num_users, dtype=torch.int64)  # 0, the padding id: no action
        actions[active] = choose(History(env.items, env.length, user=env.user).select(active))
        feedback = env.step(actions)
        observe(*env.latest)
        returns += feedback.reward
        terminated |= feedback.terminated
        active = active[~feedback.done[active]]
    return Episodes(env.items.clone(), returns, env.length - 1, terminated)


def sampled_from(scheme: Scheme, seed: int) -> Choose:
    """An action drawn from π̂ by uniforms of (seed, user, step), so that the same seed plays the same episodes."""
    seed = stream(seed, "evaluation")

    def choose(history: History) -> Tensor:
        assert history.user is not None
        uniform = uniforms(seed, history.user, torch.zeros_like(history.user), history.length, 2)
        return scheme.sample(history, uniform)

    return choose
