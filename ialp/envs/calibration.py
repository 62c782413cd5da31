"""Sets how hard the simulated users are to please: one intercept on the logit of a click."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ialp.envs.exit_rules import ExitRule, MaxSteps, Step
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
        """Both figures are where the method's published random policies lie."""
        reward, length = self.average_reward, self.length
        return REWARD_RANGE[0] <= reward <= REWARD_RANGE[1] and LENGTH_RANGE[0] <= length <= LENGTH_RANGE[1]


@torch.no_grad()
def calibrate(
    world: World, first_items: Tensor, target: float = 0.4, num_users: int = 1000, seed: int = 0
) -> Calibration:
    """Sets the intercept of the world's response so that a uniformly random policy gets `target` as its average reward.

    The random policy does not look at the answers. So every user's whole sequence of recommendations is drawn and its
    logits computed once; bisection then only replays the exit rules on shifted logits.

    Args:
        world: Its response's intercept is overwritten.
        first_items: (S,) where episodes begin.
        target: Average reward wanted.
        num_users: Episodes played.
        seed: Of the random recommendations.
    """
    response = world.response
    items = random_episodes(first_items, response.num_items, num_users, world.horizon, seed)
    items = items.to(response.intercept.device)
    states = response.eval().states(items[:, :-1])  # (U, horizon, D)
    logits = response.score(states.flatten(0, 1), items[:, 1:].reshape(-1, 1)).view(num_users, -1)  # (U, horizon)
    rules = [*world.exit_rules, MaxSteps(world.horizon)]
    low, high = -30.0, 30.0
    for _ in range(40):
        middle = (low + high) / 2
        reward, _ = play(items, (logits + middle).sigmoid(), rules)
        low, high = (low, middle) if world.reward_scale * reward > target else (middle, high)
    response.intercept.fill_(middle)
    reward, length = play(items, (logits + middle).sigmoid(), rules)
    return Calibration(middle, world.reward_scale * reward, length)


def random_episodes(first_items: Tensor, num_items: int, num_users: int, horizon: int, seed: int) -> Tensor:
    """(U, horizon + 1) a first item and `horizon` random others each, none twice (while the catalogue lasts)."""
    generator = torch.Generator().manual_seed(seed)
    first = first_items.cpu()[torch.randint(len(first_items), (num_users,), generator=generator)]
    blocks = []
    for start in first.split(BLOCK):
        chance = torch.rand(len(start), num_items + 1, generator=generator)
        chance[:, 0] = -1
        chance[torch.arange(len(start)), start] = -1
        blocks.append(chance.topk(min(horizon, num_items - 1)).indices)
    return torch.cat([first[:, None], torch.cat(blocks)], dim=1)


def play(items: Tensor, probability: Tensor, exit_rules: Sequence[ExitRule]) -> tuple[float, float]:
    """Average p of a recommendation and mean episode length, if the users answer with `probability` (U, horizon)."""
    memory = [rule.start(len(items), items.device) for rule in exit_rules]
    present = torch.ones(len(items), dtype=torch.bool, device=items.device)
    length = torch.zeros_like(items[:, 0])
    total = 0.0
    for t in range(probability.shape[1]):
        total += float(probability[present, t].sum())
        length += present
        step = Step(items[:, : t + 1], torch.full_like(length, t + 1), items[:, t + 1], probability[:, t])
        for index, rule in enumerate(exit_rules):
            memory[index], leaves = rule.advance(memory[index], step)
            present = present & ~leaves
    return total / int(length.sum()), float(length.float().mean())
