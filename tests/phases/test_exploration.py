"""Exploration inside a run: annealing and memory survive a resume, and Reinforce takes none but the policy's own."""

import pytest
import torch
from lightning import Trainer, seed_everything

from callbacks.boltzmann import Boltzmann
from callbacks.ucb import UpperConfidence
from ialp.datamodules import OnPolicyDataModule, ReplayDataModule
from ialp.errors import UserError
from ialp.phases import OnlineAdapt
from ialp.rl import EpsilonGreedy, Exploration, Reinforce
from ialp.rl.schemes import Scratch

from .conftest import NET

STRATEGIES = {
    "EpsilonGreedy": lambda: EpsilonGreedy(0.5, 0.1, 100),
    "Boltzmann": lambda: Boltzmann(2.0, 0.5, 100),
    "UpperConfidence": lambda: UpperConfidence(0.7),
}
MOVES = {"EpsilonGreedy": "epsilon", "Boltzmann": "temperature", "UpperConfidence": "shown"}


def run(source, reward_run, folder, exploration: Exploration, epochs: int, ckpt_path=None) -> Trainer:
    seed_everything(0, verbose=False)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0, "logger": False}
    trainer = Trainer(
        default_root_dir=folder, max_epochs=epochs, limit_val_batches=0, accelerator="cpu",
        enable_checkpointing=False, **quiet,
    )  # fmt: skip
    data = ReplayDataModule(source, str(reward_run), users=4, steps_per_epoch=3, batch_size=8, test_users=2)
    trainer.fit(OnlineAdapt(Scratch(), exploration=exploration, **NET), data, ckpt_path=ckpt_path)
    trainer.save_checkpoint(folder / "last.ckpt")
    return trainer


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_goes_on_where_the_checkpoint_stopped(name, source, reward_run, tmp_path):
    before, after = STRATEGIES[name](), STRATEGIES[name]()
    run(source, reward_run, tmp_path, before, epochs=2)
    run(source, reward_run, tmp_path, after, epochs=2, ckpt_path=tmp_path / "last.ckpt")  # nothing left to do
    assert after.environment_steps == before.environment_steps > 0
    kept, resumed, fresh = (torch.as_tensor(getattr(each, MOVES[name])) for each in (before, after, STRATEGIES[name]()))
    assert torch.equal(kept, resumed) and not torch.equal(kept, fresh)


def test_upper_confidence_counts_what_was_shown_also_after_a_resume(source, reward_run, tmp_path):
    run(source, reward_run, tmp_path, UpperConfidence(), epochs=1)
    strategy = UpperConfidence()
    trainer = run(source, reward_run, tmp_path, strategy, epochs=3, ckpt_path=tmp_path / "last.ckpt")
    assert strategy.shown.sum() == trainer.lightning_module.environment_steps == 3 * 3 * 4


@pytest.mark.parametrize("name", STRATEGIES)
def test_reinforce_refuses_actions_that_its_policy_did_not_draw(name, source, reward_run):
    module = OnlineAdapt(Scratch(), Reinforce(), STRATEGIES[name](), **NET)
    with pytest.raises(UserError, match=f"{type(module.exploration).__name__} draws otherwise"):
        module.check_composition(OnPolicyDataModule(source, str(reward_run), users=4))
