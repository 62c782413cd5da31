"""Exploration inside a run: annealing and memory survive a resume, and Reinforce takes none but the policy's own."""

import pytest
import torch
from lightning import Trainer

from callbacks.boltzmann import Boltzmann
from callbacks.ucb import UpperConfidence
from ialp.phases import OnlineAdapt
from ialp.rl import EpsilonGreedy, Exploration, Reinforce
from ialp.rl.schemes import Scratch
from tests.helpers.training import train

from .conftest import NET, users

STRATEGIES = {
    "EpsilonGreedy": lambda: EpsilonGreedy(0.5, 0.1, 100),
    "Boltzmann": lambda: Boltzmann(2.0, 0.5, 100),
    "UpperConfidence": lambda: UpperConfidence(0.7),
}
MOVES = {"EpsilonGreedy": "epsilon", "Boltzmann": "temperature", "UpperConfidence": "shown"}


def run(source, reward_run, folder, exploration: Exploration, epochs: int, ckpt_path=None) -> Trainer:
    module = OnlineAdapt(Scratch(), exploration=exploration, net=NET)
    data = users(source, reward_run, users=4, steps_per_epoch=3, batch_size=8, test_users=2)
    trainer = train(module, data, folder, epochs, ckpt_path=ckpt_path, limit_val_batches=0)
    trainer.save_checkpoint(folder / "last.ckpt")
    return trainer


@pytest.mark.parametrize("name", STRATEGIES)
def test_exploration_goes_on_where_the_checkpoint_stopped(name, source, reward_run, tmp_path):
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
def test_reinforce_refuses_actions_that_its_policy_did_not_draw(name):
    strategy = STRATEGIES[name]()
    reason = Reinforce().refusal(Scratch(), strategy, whole_episodes=True)
    assert f"{type(strategy).__name__} draws otherwise" in reason
