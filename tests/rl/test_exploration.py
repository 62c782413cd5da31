import pytest
import torch

from ialp.errors import UserError
from ialp.rl import Categorical, EpsilonGreedy, Greedy
from ialp.rl.exploration import UNIFORMS, sample_index


@pytest.fixture
def policy():
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(64, 9, generator=generator) < 0.6
    mask[:, 4] = True
    weights = torch.rand(64, 9, generator=generator) * mask
    return weights / weights.sum(1, keepdim=True), mask, torch.rand(64, UNIFORMS, generator=generator)


@pytest.mark.parametrize("strategy", [Greedy(), Categorical(), Categorical(2.0), EpsilonGreedy(1.0, 1.0, 0)])
def test_exploration_never_selects_a_masked_item(strategy, policy):
    probabilities, mask, uniforms = policy
    action = strategy.select(probabilities, mask, uniforms)
    assert mask.gather(1, action.unsqueeze(1)).all()


def test_sample_index_inverts_the_distribution_function():
    weights = torch.tensor([[0.0, 0.2, 0.0, 0.3, 0.5]]).repeat(5, 1)
    drawn = sample_index(weights, torch.tensor([0.0, 0.19, 0.2001, 0.49, 0.9999]))
    assert drawn.tolist() == [1, 1, 3, 3, 4]


def test_categorical_draws_in_proportion():
    weights = torch.tensor([[0.1, 0.6, 0.3]]).repeat(20_000, 1)
    uniforms = torch.rand(20_000, UNIFORMS, generator=torch.Generator().manual_seed(0))
    shares = Categorical().select(weights, weights > 0, uniforms).bincount() / 20_000
    assert torch.allclose(shares, weights[0], atol=0.015)


def test_categorical_very_cold_is_greedy_and_not_empty(policy):
    probabilities, mask, uniforms = policy
    cold = Categorical(1e-4).select(probabilities * 1e-3, mask, uniforms)
    assert torch.equal(cold, Greedy().select(probabilities, mask, uniforms))


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_categorical_refuses_a_temperature_of_zero_or_less(temperature):
    with pytest.raises(UserError, match="take Greedy"):
        Categorical(temperature)


def test_epsilon_greedy_explores_as_often_as_it_says_and_anneals():
    strategy = EpsilonGreedy(start=0.5, end=0.1, steps=100)
    probabilities = torch.tensor([[0.0, 1.0, 0.0, 0.0]]).repeat(10_000, 1)
    uniforms = torch.rand(10_000, UNIFORMS, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(10_000, 4, dtype=torch.bool)
    other = float((strategy.select(probabilities, mask, uniforms) != 1).float().mean())
    assert abs(other - 0.5 * 0.75) < 0.02
    strategy.anneal(50)
    assert strategy.epsilon == pytest.approx(0.3)
    strategy.anneal(1_000)
    assert strategy.epsilon == pytest.approx(0.1)


def test_epsilon_greedy_annealing_survives_a_resume():
    before = EpsilonGreedy(0.5, 0.1, 100)
    before.environment_steps = 75
    after = EpsilonGreedy(0.5, 0.1, 100)
    after.load_state_dict(before.state_dict())
    assert after.epsilon == pytest.approx(0.2)
