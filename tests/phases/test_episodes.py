"""Whole episodes against the simulated users."""

import polars
import pytest
import torch

from ialp.datamodules import OnPolicyDataModule
from ialp.phases import OnlineAdapt
from ialp.rl import A2C, ConstantAlpha, EpsilonGreedy
from ialp.rl.schemes import PolicySet, Scratch
from ialp.types import Transition

from .conftest import NET, fit


class Kept(A2C):
    """Keeps the minibatches that it learns from."""

    def __init__(self) -> None:
        super().__init__(bootstrap="policy", trace=0.9)
        self.batches: list[Transition] = []

    def loss(self, scheme, batch):
        self.batches.append(batch)
        return super().loss(scheme, batch)


@pytest.fixture
def adapt(source, reward_run, tmp_path):
    def run(scheme=None, name: str = "run", seed: int = 0, **model) -> OnlineAdapt:
        module = OnlineAdapt(scheme or Scratch(), Kept(), **NET, **model)
        data = OnPolicyDataModule(
            source, str(reward_run), users=7, rollouts_per_epoch=2, minibatches=3, reward_scale=0.1, test_users=12
        )
        fit(module, data, tmp_path / name, seed=seed)
        return module

    return run


def test_every_transition_of_every_episode_is_learnt_from_once(adapt):
    module = adapt()
    batches = module.algorithm.batches
    assert len(batches) == 2 * 2 * 3
    assert sum(len(batch.length) for batch in batches) == module.environment_steps
    last = batches[-3:]  # the latest rollout, whose final states the world still holds
    env = module.trainer.datamodule.env
    learnt = [[*filter(None, row)] for batch in last for row in batch.items.tolist()]
    assert sorted(learnt) == sorted([*filter(None, row)] for row in env.items.tolist())
    for batch in batches:
        steps = (batch.items > 0).sum(1) - 1
        assert batch.row.bincount().tolist() == steps.tolist()
        for row, count in enumerate(steps.tolist()):
            mine = batch.row == row
            assert batch.length[mine].tolist() == list(range(1, count + 1))
            assert (batch.terminated | batch.truncated)[mine].tolist() == [False] * (count - 1) + [True]
        assert not (batch.terminated & batch.truncated).any()


def test_rewards_are_the_users_answers_scaled(adapt):
    module = adapt()
    response = module.trainer.datamodule.env.response
    for batch in module.algorithm.batches:
        expected = (
            0.1 * 5 * response.activation(response.score_item(batch.items[batch.row], batch.length, batch.action))
        )
        assert torch.allclose(batch.reward, expected, atol=1e-6)


def test_an_item_shown_is_not_shown_again(adapt):
    module = adapt(exploration=EpsilonGreedy(1.0, 1.0, 0))
    for batch in module.algorithm.batches:
        for row in batch.items.tolist():
            items = [*filter(None, row)]
            assert len(set(items)) == len(items)


def test_the_same_seed_gives_the_same_metrics_twice(adapt, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        adapt(name=name, seed=seed)
    a, b, c = (polars.read_csv(tmp_path / name / "evaluation.csv") for name in "abc")
    assert a.equals(b) and not a.equals(c)
    assert a["epoch"].to_list() == [0, 1, 2]


def test_a_policy_set_plays_and_learns_too(adapt, pretrained):
    module = adapt(PolicySet(ConstantAlpha(0.5)), pretrained=str(pretrained))
    assert module.environment_steps >= 2 * 2 * 7
