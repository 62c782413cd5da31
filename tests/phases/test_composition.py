"""Every scheme × algorithm × exploration on replayed transitions: it trains a step, or is refused with its reason."""

import pytest
import torch

from ialp.datamodules import OracleDataModule, ReplayDataModule
from ialp.errors import UserError
from ialp.oracle import LexicalOracle, OracleConfig
from ialp.phases import Evaluation, IALPPretrain, OnlineAdapt
from ialp.rl import DQN, Reinforce
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
from tests.helpers.training import train

from .conftest import NET, users

COMPOSES = [combination for combination in TABLE if reason(combination, whole_episodes=False) is None]


@pytest.fixture
def compose(source, reward_run, pretrained, tmp_path):
    def run(scheme: str, algorithm: str, exploration: str) -> tuple[OnlineAdapt, ReplayDataModule]:
        parts = SCHEMES[scheme](tmp_path), ALGORITHMS[algorithm](), EXPLORATIONS[exploration]()
        module = OnlineAdapt(*parts, pretrained=str(pretrained), net=NET, evaluation=Evaluation(sampled="never"))
        return module, users(source, reward_run, users=4, steps_per_epoch=1, batch_size=8, test_users=2)

    return run


@pytest.mark.parametrize("combination", TABLE, ids=" ".join)
def test_online_adapt_refuses_what_does_not_fit_with_its_reason(compose, combination):
    fits_or_is_refused(*compose(*combination), reason(combination, whole_episodes=False))


@pytest.mark.parametrize("combination", covering(COMPOSES), ids=" ".join)
def test_online_adapt_trains_a_step_of_what_fits(compose, combination, tmp_path):
    trains_a_step(*compose(*combination), tmp_path)


def test_online_adapt_does_not_train_what_it_refuses(compose, tmp_path):
    with pytest.raises(UserError, match="mixes"):
        train(*compose("PolicySet", "DQN", "Greedy"), tmp_path)


@pytest.mark.parametrize(("algorithm", "why"), [(DQN(), "trains no actor"), (Reinforce(), "replay buffer")])
def test_pretrain_needs_an_actor_and_replays(algorithm, why, source):
    with pytest.raises(UserError, match=why):
        IALPPretrain(algorithm).check_composition(OracleDataModule(source, OracleConfig(LexicalOracle())))


def test_online_adapt_target_and_clock_survive_a_resume(compose, tmp_path):
    module, data = compose("Scratch", "DQN", "EpsilonGreedy")
    module.algorithm.target_every = 1000  # stays what it was at the start
    train(module, data, tmp_path).save_checkpoint(tmp_path / "last.ckpt")
    resumed, data = compose("Scratch", "DQN", "EpsilonGreedy")
    resumed.algorithm.target_every = 1000
    train(resumed, data, tmp_path, ckpt_path=tmp_path / "last.ckpt")  # nothing left to do
    before, after = module.algorithm.target.state_dict(), resumed.algorithm.target.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(before["critic.weight"], resumed.scheme.learner.critic.weight)
    seconds = module.evaluation.seconds
    assert resumed.evaluation.seconds == seconds > 0
    assert resumed.results()["seconds_per_step"] == pytest.approx(seconds / module.environment_steps)
