"""The gate in a world: users who like what they like, one policy that shows it and one that shows the opposite."""

import pytest
import torch

from ialp.datamodules import OnPolicyDataModule
from ialp.envs import World
from ialp.phases import OnlineAdapt, OnlineEpisodes
from ialp.rl import A2C, Categorical, Reinforce
from ialp.rl.schemes import GatedPolicySet
from tests.helpers.resuming import whole_and_broken
from tests.helpers.training import train

from .conftest import NET, users

START = 0.2


class Rigged(GatedPolicySet):
    """One policy likes what users like, the other what they do not.

    Args:
        world: folder of the reward run that has the users.
        good: φ is the one that pleases.
    """

    def __init__(self, world: str, good: bool) -> None:
        super().__init__(one_in=4, start=START, rise=300, fall=300, window=30, least=10)
        self.liked, self.sign = 3 * World.load(world).response.bias.detach(), 1.0 if good else -1.0

    def build(self, pretrained, fresh) -> None:
        super().build(pretrained, fresh)
        with torch.no_grad():
            self.learner.actor.bias.copy_(self.sign * self.liked)
            self.theta.actor.bias.copy_(-self.sign * self.liked)


@pytest.fixture(params=["replay", "episodes"])
def play(request, source, reward_run, pretrained, tmp_path):
    def run(good: bool, epochs: int, ckpt_path=None) -> OnlineAdapt:
        phase = OnlineAdapt if request.param == "replay" else OnlineEpisodes
        module = phase(Rigged(str(reward_run), good), pretrained=str(pretrained), lr=1e-9, net=NET)
        data = users(source, reward_run, steps_per_epoch=20, batch_size=8, test_users=2)
        if request.param == "episodes":
            data = OnPolicyDataModule(source, str(reward_run), users=8, rollouts_per_epoch=4, test_users=2)
        trainer = train(module, data, tmp_path, epochs, ckpt_path=ckpt_path, limit_val_batches=0)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return module

    return run


@pytest.mark.parametrize("good", [True, False])
def test_gate_gives_users_to_the_better_policy(play, good):
    module = play(good, epochs=5)
    logged = module.trainer.callback_metrics
    assert (logged["train/gate_learner_return"] > logged["train/gate_frozen_return"]) == good
    assert (logged["train/gate_p"] <= 0.1) == good
    assert float(logged["train/alpha"]) == float(module.scheme.alpha)
    assert float(module.scheme.alpha) > 0.6 if good else float(module.scheme.alpha) == pytest.approx(START)


def test_gate_survives_a_resume(play, tmp_path):
    before = play(True, epochs=3).scheme
    after = play(True, epochs=3, ckpt_path=tmp_path / "last.ckpt").scheme  # nothing left to do
    assert float(after.alpha) == float(before.alpha) > START
    assert after.on_environment_steps(10_000) == before.on_environment_steps(10_000)


@pytest.mark.parametrize("at", [7, 8])
def test_gate_resumes_to_the_same_weights(at, source, reward_run, pretrained, tmp_path):
    """In the midst of an epoch of 8 batches, and at its end."""

    def make(folder):
        scheme = GatedPolicySet(one_in=4, start=0.3, rise=40, fall=40, window=6, least=2)
        module = OnlineAdapt(scheme, A2C(), Categorical(), str(pretrained), net=NET)
        sizes = {"steps_per_epoch": 4, "updates_per_step": 2, "batch_size": 8, "replay_capacity": 40, "test_users": 4}
        return module, users(source, reward_run, **sizes)

    whole_and_broken(make, tmp_path, at, epochs=2)


def test_reinforce_refuses_users_of_one_policy_alone():
    reason = Reinforce().refusal(GatedPolicySet(), Categorical(), whole_episodes=True)
    assert "one policy of a set alone" in reason
