"""Acting a block of the catalogue at a time is acting on all of it."""

import math

import pytest
import torch

from ialp.masking import shown_items
from ialp.nets import ActorCritic
from ialp.rl import Categorical, ConstantAlpha, EpsilonGreedy, Exploration, Greedy
from ialp.rl.exploration import UNIFORMS
from ialp.rl.large import BlockwisePolicySet, BlockwiseScratch, blockwise
from ialp.rl.large.blockwise import BlockwisePolicy, group_sums, pick, select
from ialp.rl.schemes import PolicySet, SavedPolicy, Scheme, Scratch, load_policy, save_scheme
from ialp.types import History

ITEMS = torch.tensor([[3, 7, 2, 0], [40, 1, 0, 0], [4, 0, 0, 0]])
LENGTH = torch.tensor([3, 2, 1])
HISTORY = History(ITEMS, LENGTH)


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


def scheme(kind: str, by_blocks: bool = False) -> Scheme:
    if kind == "set":
        made = (BlockwisePolicySet if by_blocks else PolicySet)(ConstantAlpha(0.3), "random")
        made.build(policy(0), policy(1))
        return made
    made = (BlockwiseScratch if by_blocks else Scratch)()
    made.build(None, policy(2, spread=30.0 if kind == "sharp" else 1.0))
    if kind == "by Q":
        made.learner.act_by_q(0.5)
    return made


def blockwise_of(made: Scheme, items: torch.Tensor = ITEMS, length: torch.Tensor = LENGTH) -> BlockwisePolicy:
    parts = [(weight, part, part.state(History(items, length))) for weight, part in made.mixture().values()]
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
def test_blockwise_best_is_the_argmax(kind, repeats):
    made = scheme(kind)
    made.repeats = repeats
    assert torch.equal(blockwise_of(made).best(), made.probabilities(HISTORY).argmax(1))


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_blockwise_draws_every_item_as_often_as_the_policy_says(kind, temperature):
    made = scheme(kind)
    exact = made.probabilities(HISTORY).double() ** (1 / temperature)
    exact = exact / exact.sum(1, keepdim=True)
    cells = 1000
    drawn = distribution(made, lambda policy, uniform: policy.draw(uniform, temperature), cells)
    # An item's uniforms are one stretch, or one per part of the mixture: each wrong by less than a step at either end.
    assert float((drawn - exact).abs().max()) <= 2 * len(made.mixture()) / cells
    assert not drawn[exact == 0].any()


@torch.no_grad()
def test_blockwise_any_allowed_draws_the_allowed_items_equally_often():
    made = scheme("one")
    twice = torch.tensor([[3, 7, 3, 0], [40, 1, 0, 0], [4, 0, 0, 0]])  # 38, 38 and 39 are left
    drawn = distribution(made, BlockwisePolicy.any_allowed, 38 * 39, twice)
    allowed = made.mask(History(twice, LENGTH))
    assert torch.allclose(drawn, allowed / allowed.sum(1, keepdim=True), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("strategy", [Greedy(), Categorical(), Categorical(0.5), EpsilonGreedy(0.0, 0.0, 0)])
def test_blockwise_select_chooses_what_a_strategy_selects_of_all(strategy):
    made = scheme("one")  # of a set, chance first decides between its policies
    uniforms = torch.rand(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    selected = strategy.select(made.probabilities(HISTORY), made.mask(HISTORY), uniforms)
    assert torch.equal(select(strategy, blockwise_of(made), uniforms), selected)


@torch.no_grad()
def test_blockwise_select_explores_with_epsilon_greedy():
    made = scheme("one")
    strategy = EpsilonGreedy(0.5, 0.5, 0)
    uniforms = torch.tensor([[0.1, 0.0], [0.9, 0.0], [0.1, 0.999]], dtype=torch.float64)
    best = made.probabilities(HISTORY).argmax(1)
    assert select(strategy, blockwise_of(made), uniforms).tolist() == [1, int(best[1]), 40]


def test_pick_leaves_a_uniform_number():
    weights = torch.tensor([[0.0, 1.0, 3.0]], dtype=torch.float64).repeat(3, 1)
    column, rest = pick(weights, torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64))
    assert column.tolist() == [1, 1, 2]
    assert torch.allclose(rest, torch.tensor([0.0, 0.8, 1 / 3], dtype=torch.float64))


def test_group_sums_of_huge_and_of_missing_scores():
    score = torch.full((16, 2), -torch.inf)
    score[8:, 0] = 1000.0
    sums = group_sums(score)
    assert float(sums[1, 0]) == pytest.approx(1000 + math.log(8)) and (sums[0] == -torch.inf).all()


class Own(Categorical):
    """A strategy that needs all probabilities."""

    def select(self, probabilities, mask, uniforms):
        return probabilities.argmin(1)


class ByBlocks(Exploration):
    def select(self, probabilities, mask, uniforms):
        return probabilities.argmax(1)

    def select_blockwise(self, policy, uniforms):
        return policy.best()


@torch.no_grad()
def test_blockwise_scheme_refuses_a_strategy_that_needs_all_probabilities():
    made, uniforms = blockwise_of(scheme("one")), torch.zeros(3, 2, dtype=torch.float64)
    assert "Own selects from" in (BlockwiseScratch().refusal(Own()) or "")
    assert BlockwiseScratch().refusal(ByBlocks()) is None and BlockwiseScratch().refusal(Greedy()) is None
    assert torch.equal(select(ByBlocks(), made, uniforms), made.best())


@pytest.mark.parametrize("kind", KINDS)
def test_blockwise_scheme_acts_as_the_scheme_that_it_extends(kind):
    plain, blocks = scheme(kind), scheme(kind, by_blocks=True)
    uniforms = torch.zeros(3, UNIFORMS)
    best = plain.best(HISTORY)
    assert torch.equal(blocks.best(HISTORY), best)
    assert torch.equal(blocks.act(HISTORY, Greedy(), uniforms), best)
    parts = [(weight, each, each.state(HISTORY)) for weight, each in blocks.mixture().values()]
    assert torch.equal(blocks.act(HISTORY, Greedy(), uniforms, parts), best)
    assert torch.equal(blocks.probabilities(HISTORY), plain.probabilities(HISTORY))
    uniforms = torch.rand(3, 2, generator=torch.Generator().manual_seed(0))
    sampled = blocks.sample(HISTORY, uniforms)
    if kind != "set":  # of a set, chance first decides between its policies
        assert torch.equal(sampled, plain.sample(HISTORY, uniforms))
    assert plain.mask(HISTORY).gather(1, sampled.unsqueeze(1)).all()


@pytest.mark.parametrize("kind", ["one", "set"])
def test_blockwise_scheme_is_saved_with_how_it_acts(kind, tmp_path):
    blocks = scheme(kind, by_blocks=True)
    save_scheme(blocks, tmp_path, "abc")
    kept = load_policy(tmp_path, "abc")
    assert isinstance(kept, SavedPolicy) and isinstance(kept, blockwise.Blockwise)
    assert torch.equal(kept.best(HISTORY), blocks.best(HISTORY))


def test_blockwise_reference_of_an_evaluation_acts_by_blocks_too():
    blocks = scheme("set", by_blocks=True)
    blocks.repeats = True
    frozen = blocks.frozen(policy(0))
    assert isinstance(frozen, blockwise.Blockwise) and frozen.repeats
    expected = Scratch()
    expected.build(None, policy(0))
    expected.repeats = True
    assert torch.equal(frozen.best(HISTORY), expected.best(HISTORY))
