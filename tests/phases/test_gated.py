"""The gate in a world: users who like what they like, one policy that shows it and one that shows the opposite."""

import pytest
import torch
from lightning import Trainer, seed_everything

from ialp.datamodules import OnPolicyDataModule, ReplayDataModule
from ialp.envs import World
from ialp.errors import UserError
from ialp.phases import OnlineAdapt
from ialp.rl import GatedAlpha, Reinforce
from ialp.rl.schemes import PolicySet

from .conftest import NET

START = 0.2


class Rigged(PolicySet):
    """One policy likes what users like, the other what they do not.

    Args:
        world: whose users.
        good: φ is the one that pleases.
    """

    def __init__(self, world: World, good: bool) -> None:
        super().__init__(GatedAlpha(one_in=4, start=START, rise=300, fall=300, window=30, least=10), "pretrained")
        self.liked, self.sign = 3 * world.response.bias.detach(), 1.0 if good else -1.0

    def build(self, pretrained, fresh) -> None:
        super().build(pretrained, fresh)
        with torch.no_grad():
            self.learner.actor.bias.copy_(self.sign * self.liked)
            self.frozen.actor.bias.copy_(-self.sign * self.liked)


@pytest.fixture(params=["replay", "episodes"])
def play(request, source, reward_run, pretrained, tmp_path):
    def run(good: bool, epochs: int, ckpt_path=None) -> OnlineAdapt:
        seed_everything(0, verbose=False)
        module = OnlineAdapt(Rigged(World.load(reward_run), good), pretrained=str(pretrained), lr=1e-9, **NET)
        if request.param == "replay":
            data = ReplayDataModule(source, str(reward_run), users=8, steps_per_epoch=20, batch_size=8, test_users=2)
        else:
            data = OnPolicyDataModule(source, str(reward_run), users=8, rollouts_per_epoch=4, test_users=2)
        trainer = Trainer(
            default_root_dir=tmp_path, max_epochs=epochs, limit_val_batches=0, num_sanity_val_steps=0, logger=False,
            accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, data, ckpt_path=ckpt_path)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return module

    return run


@pytest.mark.parametrize("good", [True, False])
def test_the_better_policy_of_a_world_gets_its_users(play, good):
    module = play(good, epochs=5)
    logged = module.trainer.callback_metrics
    assert (logged["train/gate_learner_return"] > logged["train/gate_frozen_return"]) == good
    assert (logged["train/gate_p"] <= 0.1) == good
    assert float(logged["train/alpha"]) == float(module.scheme.alpha)
    assert float(module.scheme.alpha) > 0.6 if good else float(module.scheme.alpha) == pytest.approx(START)


def test_the_gate_survives_a_resume(play, tmp_path):
    before = play(True, epochs=3).scheme
    after = play(True, epochs=3, ckpt_path=tmp_path / "last.ckpt").scheme  # nothing left to do
    assert float(after.alpha) == float(before.alpha) > START
    assert after.schedule.figures() == before.schedule.figures()
    assert after.schedule(10_000) == before.schedule(10_000)


def test_reinforce_refuses_users_of_one_policy_alone(source, reward_run):
    module = OnlineAdapt(PolicySet(GatedAlpha()), Reinforce(), **NET)
    with pytest.raises(UserError, match="one policy of a set alone"):
        module.check_composition(OnPolicyDataModule(source, str(reward_run), users=4))
