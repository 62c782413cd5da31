"""Calibration of a world to the uniformly random policy: an intercept on the logit, or a threshold of the exit."""

from collections.abc import Callable

import torch
from torch import Tensor

from ialp.envs.exit_rules import MaxSteps, SimilarityExit, Step
from ialp.envs.world import World

BLOCK = 100  # users whose random items are drawn at a time
USERS = 1000  # episodes played


@torch.no_grad()
def calibrate(world: World, first_items: Tensor, target: float = 0.4) -> dict[str, float]:
    """Sets the intercept of the world's response so that a uniformly random policy's average reward is `target`.

    The random policy does not depend on the responses. So every user's sequence of recommendations is drawn and its
    logits computed once; bisection then only replays the exit rules on shifted logits.

    Returns:
        The intercept, and the random policy's average_reward, ΣR / ΣLen, and mean episode length.
    """
    items, logits = _random_scores(world, first_items)

    def average_reward(intercept: float) -> float:
        return world.reward_scale * play(world, items, (logits + intercept).sigmoid())[0]

    _, _, intercept = _bisect(lambda value: average_reward(value) > target, -30.0, 30.0, 1e-10)
    world.response.intercept.fill_(intercept)
    reward, length = play(world, items, (logits + intercept).sigmoid())
    return {"intercept": intercept, "average_reward": world.reward_scale * reward, "length": length}


@torch.no_grad()
def calibrate_exit(world: World, first_items: Tensor, target: float = 13.0) -> dict[str, float]:
    """Sets the threshold of the world's `SimilarityExit` so that a uniformly random policy's episodes last `target`.

    Returns:
        The threshold, and the random policy's average_return and mean episode length.
    """
    items, scores = _random_scores(world, first_items)
    responses = world.response.activation(scores)
    rules = list(world.exit_rules)

    def attempt(threshold: float) -> tuple[float, float]:
        world.exit_rules = [
            SimilarityExit(threshold, rule.window) if isinstance(rule, SimilarityExit) else rule for rule in rules
        ]
        for rule in world.exit_rules:
            rule.prepare(world.response)
        return play(world, items, responses)

    highest = 10.0 * world.response.num_items**0.5
    _, threshold, _ = _bisect(lambda value: attempt(value)[1] <= target, 0.0, highest, 1e-4)
    reward, length = attempt(threshold)
    return {"threshold": threshold, "average_return": world.reward_scale * reward * length, "length": length}


def play(world: World, items: Tensor, response: Tensor) -> tuple[float, float]:
    """Average response and mean episode length, if users shown `items` (U, T + 1) respond with `response` (U, T)."""
    exit_rules = [*world.exit_rules, MaxSteps(world.horizon)]
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


def random_episodes(world: World, first_items: Tensor, num_users: int) -> Tensor:
    """(U, horizon + 1) a first item and `horizon` random others each, none twice (while the catalogue lasts)."""
    num_items, generator = world.response.num_items, torch.Generator().manual_seed(0)
    first = first_items.cpu()[torch.randint(len(first_items), (num_users,), generator=generator)]
    blocks = []
    for start in first.split(BLOCK):
        priority = torch.rand(len(start), num_items + 1, generator=generator)
        priority[:, 0] = -1
        priority[torch.arange(len(start)), start * (start <= num_items)] = -1  # ids past the catalogue are users
        blocks.append(priority.topk(min(world.horizon, num_items - 1)).indices)
    return torch.cat([first[:, None], torch.cat(blocks)], dim=1).to(world.response.intercept.device)


def _random_scores(world: World, first_items: Tensor) -> tuple[Tensor, Tensor]:
    """Random episodes (U, horizon + 1) and the scores (U, horizon) of what they recommend."""
    response = world.response.eval()
    items = random_episodes(world, first_items, USERS)
    states = response.states(items[:, :-1])  # (U, horizon, D)
    return items, response.score(states.flatten(0, 1), items[:, 1:].reshape(-1, 1)).view(len(items), -1)


def _bisect(too_high: Callable[[float], bool], low: float, high: float, width: float) -> tuple[float, float, float]:
    """Bounds at most `width` apart between which `too_high` begins to hold, and the value that was tried last."""
    middle = low
    while high - low > width:
        middle = (low + high) / 2
        low, high = (low, middle) if too_high(middle) else (middle, high)
    return low, high, middle
