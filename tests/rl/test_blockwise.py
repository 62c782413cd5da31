"""Acting a block of the catalogue at a time is acting on all of it."""

import math

import pytest
import torch
from ialp.rl.blockwise import BlockwisePolicy, group_sums, pick

from ialp.masking import shown_items
from ialp.nets import ActorCritic
from ialp.rl import Categorical, ConstantAlpha, EpsilonGreedy, Greedy, blockwise
from ialp.rl.schemes import PolicySet, Scratch

ITEMS = torch.tensor([[3, 7, 2, 0], [40, 1, 0, 0], [4, 0, 0, 0]])
LENGTH = torch.tensor([3, 2, 1])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Eight items to a group, two groups to a block of three users: 41 columns are six groups in three blocks."""
    monkeypatch.setattr(blockwise, "GROUP", 8)
    monkeypatch.setattr(blockwise, "BLOCK", 48)


def policy(seed: int, spread: float = 1.0) -> ActorCritic:
    torch.manual_seed(seed)
    made = ActorCritic(40, dim=8, layers=1, max_length=6)
    for head in (made.actor, made.critic):
        torch.nn.init.normal_(head.weight, std=spread)
        torch.nn.init.normal_(head.bias)
    return made


def scheme(kind: str):
    if kind == "set":
        made = PolicySet(ConstantAlpha(0.3), "random")
        made.build(policy(0), policy(1))
        return made
    made = Scratch()
    made.build(None, policy(2, spread=30.0 if kind == "sharp" else 1.0))
    if kind == "by Q":
        made.learner.act_by_q(0.5)
    return made


def blockwise_of(made, items=ITEMS, length=LENGTH) -> BlockwisePolicy:
    parts = [(weight, part, part.state(items, length)) for weight, part in made.mixture().values()]
    return BlockwisePolicy(parts, shown_items(items, length, 41, made.repeats))


def distribution(made, draw, cells: int, items=ITEMS) -> torch.Tensor:
    """(B, I) shares of the items that `draw(policy, uniforms)` draws, by an even walk through the uniforms."""
    many = blockwise_of(made, items.repeat_interleave(cells, 0), LENGTH.repeat_interleave(cells))
    uniform = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    drawn = draw(many, uniform.repeat(3)).view(3, cells)
    return torch.zeros(3, 41).scatter_add_(1, drawn, torch.ones(3, cells)) / cells


KINDS = ["one", "by Q", "sharp", "set"]


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repeats", [False, True])
def test_the_best_item_is_the_argmax(kind, repeats):
    made = scheme(kind)
    made.repeats = repeats
    assert torch.equal(blockwise_of(made).best(), made.probabilities(ITEMS, LENGTH).argmax(1))


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_an_even_walk_through_the_uniforms_draws_every_item_as_often_as_the_policy_says(kind, temperature):
    made = scheme(kind)
    exact = made.probabilities(ITEMS, LENGTH).double() ** (1 / temperature)
    exact = exact / exact.sum(1, keepdim=True)
    cells = 1000
    drawn = distribution(made, lambda policy, uniform: policy.draw(uniform, temperature), cells)
    # An item's uniforms are one stretch, or one per part of the mixture: each wrong by less than a step at either end.
    assert float((drawn - exact).abs().max()) <= 2 * len(made.mixture()) / cells
    assert not drawn[exact == 0].any()


@torch.no_grad()
def test_any_allowed_item_is_drawn_equally_often_and_no_other():
    made = scheme("one")
    twice = torch.tensor([[3, 7, 3, 0], [40, 1, 0, 0], [4, 0, 0, 0]])  # 38, 38 and 39 are left
    drawn = distribution(made, BlockwisePolicy.any_allowed, 38 * 39, twice)
    allowed = made.allowed(twice, LENGTH)
    assert torch.allclose(drawn, allowed / allowed.sum(1, keepdim=True), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("strategy", [Greedy(), Categorical(), Categorical(0.5), EpsilonGreedy(0.0, 0.0, 0)])
def test_strategies_choose_by_blocks_what_they_select_of_all(strategy):
    made = scheme("one")  # of a set, chance first decides between its policies
    uniforms = torch.rand(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    selected = strategy.select(made.probabilities(ITEMS, LENGTH), made.allowed(ITEMS, LENGTH), uniforms)
    assert torch.equal(strategy.act(blockwise_of(made), uniforms), selected)


@torch.no_grad()
def test_epsilon_greedy_explores_by_blocks_too():
    made = scheme("one")
    strategy = EpsilonGreedy(0.5, 0.5, 0)
    uniforms = torch.tensor([[0.1, 0.0], [0.9, 0.0], [0.1, 0.999]], dtype=torch.float64)
    best = made.probabilities(ITEMS, LENGTH).argmax(1)
    assert strategy.act(blockwise_of(made), uniforms).tolist() == [1, int(best[1]), 40]


def test_what_is_left_of_the_chance_is_as_good_as_new():
    weights = torch.tensor([[0.0, 1.0, 3.0]], dtype=torch.float64).repeat(3, 1)
    column, rest = pick(weights, torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64))
    assert column.tolist() == [1, 1, 2]
    assert torch.allclose(rest, torch.tensor([0.0, 0.8, 1 / 3], dtype=torch.float64))


def test_sums_of_huge_and_of_missing_scores():
    score = torch.full((16, 2), -torch.inf)
    score[8:, 0] = 1000.0
    sums = group_sums(score)
    assert float(sums[1, 0]) == pytest.approx(1000 + math.log(8)) and (sums[0] == -torch.inf).all()
