"""Calibration of a world to the uniformly random policy: an intercept on the logit, or a threshold of the exit."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ialp.envs.exit_rules import ExitRule, MaxSteps, SimilarityExit, Step
from ialp.envs.world import World

REWARD_RANGE = (0.3, 0.5)  # average reward of the uniformly random policy
LENGTH_RANGE = (5.0, 5.5)  # its mean episode length, under the default exit rule
BLOCK = 100  # users whose random items are drawn at a time


@dataclass
class Calibration:
    """The intercept and what the uniformly random policy gets with it.

    Attributes:
        intercept: Added to every logit.
        average_reward: ΣR / ΣLen.
        length: Mean episode length.
    """

    intercept: float
    average_reward: float
    length: float

    @property
    def in_range(self) -> bool:
        """Both figures are where the paper's random policies lie."""
        reward, length = self.average_reward, self.length
        return REWARD_RANGE[0] <= reward <= REWARD_RANGE[1] and LENGTH_RANGE[0] <= length <= LENGTH_RANGE[1]


@dataclass
class ExitCalibration:
    """The threshold of the similarity exit and what the uniformly random policy gets with it.

    Attributes:
        threshold: Distance below which the user leaves.
        average_return: Mean return of an episode.
        length: Mean episode length.
    """

    threshold: float
    average_return: float
    length: float


@torch.no_grad()
def calibrate(
    world: World, first_items: Tensor, target: float = 0.4, num_users: int = 1000, seed: int = 0
) -> Calibration:
    """Sets the intercept of the world's response so that a uniformly random policy's average reward is `target`.

    The random policy does not depend on the responses. So every user's sequence of recommendations is drawn and its
    logits computed once; bisection then only replays the exit rules on shifted logits.

    Args:
        world: Its response's intercept is overwritten.
        first_items: (S,) where episodes begin.
        target: Average reward wanted.
        num_users: Episodes played.
        seed: Of the random recommendations.
    """
    response = world.response.eval()
    items = random_episodes(world, first_items, num_users, seed)
    states = response.states(items[:, :-1])  # (U, horizon, D)
    logits = response.score(states.flatten(0, 1), items[:, 1:].reshape(-1, 1)).view(num_users, -1)  # (U, horizon)
    rules = [*world.exit_rules, MaxSteps(world.horizon)]
    low, high = -30.0, 30.0
    for _ in range(40):
        middle = (low + high) / 2
        reward, length = play(items, (logits + middle).sigmoid(), rules)
        low, high = (low, middle) if world.reward_scale * reward > target else (middle, high)
    response.intercept.fill_(middle)
    return Calibration(middle, world.reward_scale * reward, length)


@torch.no_grad()
def calibrate_exit(
    world: World, first_items: Tensor, target: float = 13.0, num_users: int = 1000, seed: int = 0
) -> ExitCalibration:
    """Sets the threshold of the world's `SimilarityExit` so that a uniformly random policy's episodes last `target`.

    Episodes are the shorter, the higher the threshold: bisection finds it. A world without the rule is left unchanged.

    Args:
        world: Its exit rules are replaced.
        first_items: (S,) where episodes begin.
        target: Mean episode length wanted.
        num_users: Episodes played.
        seed: Of the random recommendations.
    """
    response = world.response.eval()
    items = random_episodes(world, first_items, num_users, seed)
    length = torch.ones_like(items[:, 0])
    turns = range(items.shape[1] - 1)
    scores = [response.score_item(items[:, : t + 1], length + t, items[:, t + 1]) for t in turns]
    responses = response.activation(torch.stack(scores, 1))
    rules = list(world.exit_rules)

    def attempt(threshold: float) -> tuple[float, float]:
        world.exit_rules = [
            SimilarityExit(threshold, rule.window) if isinstance(rule, SimilarityExit) else rule for rule in rules
        ]
        for rule in world.exit_rules:
            rule.prepare(response)
        return play(items, responses, [*world.exit_rules, MaxSteps(world.horizon)])

    low, high = 0.0, 10.0 * response.num_items**0.5
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if attempt(middle)[1] > target else (low, middle)
    reward, steps = attempt(high)
    found = next((rule.threshold for rule in world.exit_rules if isinstance(rule, SimilarityExit)), 0.0)
    return ExitCalibration(found, world.reward_scale * reward * steps, steps)


def random_episodes(world: World, first_items: Tensor, num_users: int, seed: int) -> Tensor:
    """(U, horizon + 1) a first item and `horizon` random others each, none twice (while the catalogue lasts)."""
    num_items, generator = world.response.num_items, torch.Generator().manual_seed(seed)
    first = first_items.cpu()[torch.randint(len(first_items), (num_users,), generator=generator)]
    blocks = []
    for start in first.split(BLOCK):
        priority = torch.rand(len(start), num_items + 1, generator=generator)
        priority[:, 0] = -1
        priority[torch.arange(len(start)), start * (start <= num_items)] = -1  # ids past the catalogue are users
        blocks.append(priority.topk(min(world.horizon, num_items - 1)).indices)
    return torch.cat([first[:, None], torch.cat(blocks)], dim=1).to(world.response.intercept.device)


def play(items: Tensor, response: Tensor, exit_rules: Sequence[ExitRule]) -> tuple[float, float]:
    """Average response and mean episode length, if users shown `items` (U, T + 1) respond with `response` (U, T)."""
    states = [rule.start(len(items), items.device) for rule in exit_rules]
    present = torch.ones(len(items), dtype=torch.bool, device=items.device)
    length = torch.zeros_like(items[:, 0])
    total = 0.0
    for t in range(response.shape[1]):
        total += float(response[present, t].sum())
        length += present
        step = Step(items[:, : t + 1], torch.full_like(length, t + 1), items[:, t + 1], response[:, t])
        for index, rule in enumerate(exit_rules):
            states[index], ends = rule.advance(states[index], step)
            present = present & ~ends
    return total / int(length.sum()), float(length.float().mean())
