"""Whole episodes against the simulated users."""

import polars
import pytest
import torch

from ialp.datamodules import OnPolicyDataModule
from ialp.errors import UserError
from ialp.phases import Evaluation, OnlineAdapt, OnlineEpisodes
from ialp.rl import A2C, Categorical, ConstantAlpha, EpsilonGreedy, Reinforce
from ialp.rl.schemes import PolicySet, Scratch
from ialp.types import Transition
from tests.helpers import parallel_episodes
from tests.helpers.compositions import (
    ALGORITHMS,
    EXPLORATIONS,
    SCHEMES,
    TABLE,
    covering,
    fits_or_is_refused,
    reason,
    trains_a_step,
)
from tests.helpers.parallel_runs import alone_and_in_two, assert_trained_alike
from tests.helpers.resuming import whole_and_broken
from tests.helpers.training import train

from .conftest import NET, users

COMPOSES = [combination for combination in TABLE if reason(combination, whole_episodes=True) is None]


def episodes(source, reward_run, **sizes) -> OnPolicyDataModule:
    """A few users who play whole episodes."""
    sizes = {"users": 7, "rollouts_per_epoch": 2, "minibatches": 3, "reward_scale": 0.1, "test_users": 12} | sizes
    return OnPolicyDataModule(source, str(reward_run), **sizes)


class Kept(A2C):
    """Keeps the minibatches that it learns from."""

    def __init__(self) -> None:
        super().__init__(trace=0.9)
        self.batches: list[Transition] = []

    def loss(self, policy, batch):
        self.batches.append(batch)
        return super().loss(policy, batch)


@pytest.fixture
def adapt(source, reward_run, tmp_path):
    def run(scheme=None, name: str = "run", seed: int = 0, **model) -> OnlineEpisodes:
        module = OnlineEpisodes(scheme or Scratch(), Kept(), net=NET, **model)
        train(module, episodes(source, reward_run), tmp_path / name, seed=seed)
        return module

    return run


@pytest.fixture
def compose(source, reward_run, pretrained, tmp_path):
    def run(scheme: str, algorithm: str, exploration: str) -> tuple[OnlineEpisodes, OnPolicyDataModule]:
        parts = SCHEMES[scheme](tmp_path), ALGORITHMS[algorithm](), EXPLORATIONS[exploration]()
        module = OnlineEpisodes(*parts, pretrained=str(pretrained), net=NET, evaluation=Evaluation(sampled="never"))
        return module, episodes(source, reward_run, users=4, rollouts_per_epoch=1, minibatches=1, test_users=2)

    return run


def test_online_episodes_learns_from_every_transition_of_every_episode_once(adapt):
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


def test_online_episodes_rewards_are_the_users_answers_scaled(adapt):
    module = adapt()
    response = module.trainer.datamodule.env.response
    for batch in module.algorithm.batches:
        score = response.score_item(batch.items[batch.row], batch.length, batch.action)
        assert torch.allclose(batch.reward, 0.1 * 5 * response.activation(score), atol=1e-6)


def test_online_episodes_does_not_show_an_item_again(adapt):
    module = adapt(exploration=EpsilonGreedy(1.0, 1.0, 0))
    for batch in module.algorithm.batches:
        for row in batch.items.tolist():
            items = [*filter(None, row)]
            assert len(set(items)) == len(items)


def test_online_episodes_same_seed_gives_the_same_metrics_twice(adapt, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        adapt(name=name, seed=seed)
    a, b, c = (polars.read_csv(tmp_path / name / "evaluation.csv") for name in "abc")
    assert a.equals(b) and not a.equals(c)
    assert a["epoch"].to_list() == [0, 1, 2]


def test_online_episodes_plays_and_trains_a_policy_set(adapt, pretrained):
    module = adapt(PolicySet(ConstantAlpha(0.5)), pretrained=str(pretrained))
    assert module.environment_steps >= 2 * 2 * 7


def test_online_episodes_ends_after_so_many_environment_steps_and_is_measured_there(source, reward_run, tmp_path):
    module = OnlineEpisodes(Scratch(), Reinforce(), net=NET, evaluation=Evaluation(sampled="reported"))
    sizes = {"users": 4, "rollouts_per_epoch": 1, "minibatches": 1, "test_users": 2}
    train(module, episodes(source, reward_run, max_environment_steps=60, **sizes), tmp_path, epochs=50)
    last = module.evaluation.rows[-1]
    assert 60 <= last["environment_steps"] == module.environment_steps < 60 + 4 * 20
    assert last["epoch"] < 50 and last["sampled_length"] >= 1


@pytest.mark.parametrize("combination", TABLE, ids=" ".join)
def test_online_episodes_refuses_what_does_not_fit_with_its_reason(compose, combination):
    fits_or_is_refused(*compose(*combination), reason(combination, whole_episodes=True))


@pytest.mark.parametrize("combination", covering(COMPOSES), ids=" ".join)
def test_online_episodes_trains_a_step_of_what_fits(compose, combination, tmp_path):
    trains_a_step(*compose(*combination), tmp_path)


@pytest.mark.parametrize("phase", [OnlineAdapt, OnlineEpisodes])
def test_online_phases_refuse_each_others_data(phase, source, reward_run):
    data = (episodes if phase is OnlineAdapt else users)(source, reward_run)
    wanted = phase.data_class.__name__
    with pytest.raises(UserError, match=f"{wanted}, not .* set data.class_path to ialp.datamodules.{wanted}, or"):
        phase(Scratch(), net=NET).check_composition(data)


def test_online_episodes_learns_as_often_as_there_are_passes(source, reward_run, tmp_path):
    module = OnlineEpisodes(Scratch(), Kept(), net=NET)
    train(module, episodes(source, reward_run, rollouts_per_epoch=1, passes=2), tmp_path, epochs=1)
    batches = module.algorithm.batches
    assert len(batches) == 2 * 3
    first, second = (
        sorted(row for batch in part for row in batch.items.tolist()) for part in (batches[:3], batches[3:])
    )
    assert [[*filter(None, row)] for row in first] == [[*filter(None, row)] for row in second]


@pytest.mark.parametrize("at", [4, 6])
def test_online_episodes_resumes_to_the_same_weights(at, source, reward_run, tmp_path):
    """In the midst of the minibatches of a rollout, and before one."""

    def make(folder):
        module = OnlineEpisodes(Scratch(), Reinforce(), Categorical(), net=NET)
        return module, episodes(source, reward_run, users=8, test_users=4)

    whole_and_broken(make, tmp_path, at, epochs=2)


@pytest.mark.slow
def test_online_episodes_two_processes_train_as_one(source, reward_run, pretrained, tmp_path):
    found = alone_and_in_two(tmp_path, (parallel_episodes.episodes,), source, str(reward_run), str(pretrained))
    assert_trained_alike(*(each["episodes"] for each in found))
