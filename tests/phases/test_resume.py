"""Whatever is composed: cut off between two batches, it goes on to the same weights."""

import pytest
import torch
from torch.utils.data import DataLoader

from callbacks.ucb import UpperConfidence
from ialp.datamodules import SessionDataModule
from ialp.errors import UserError
from ialp.experiment.checkpoint_file import AtomicCheckpointIO, newest
from ialp.experiment.resume import ResumeCheckpoint
from ialp.nets import NetConfig
from ialp.phases import IALPPretrain, OnlineAdapt, RewardModel
from ialp.rl import A2C, DQN, Categorical, EpsilonGreedy
from ialp.rl.schemes import FineTune, Scratch
from tests.helpers.compositions import llm_online
from tests.helpers.resuming import whole_and_broken
from tests.helpers.training import train

from .conftest import NET, questions, users

PARTS = {
    "dqn": lambda _: (Scratch(), DQN(target_every=2), EpsilonGreedy(steps=60)),
    "finetune": lambda _: (FineTune(), A2C(), Categorical()),
    "memory": lambda _: (Scratch(), A2C(), UpperConfidence()),
    "judge": lambda folder: (llm_online(folder), A2C(), EpsilonGreedy(steps=60)),
}


@pytest.mark.parametrize("at", [7, 8, 12])
@pytest.mark.parametrize("parts", PARTS)
def test_online_adapt_resumes_to_the_same_weights(parts, at, source, reward_run, pretrained, tmp_path):
    """In the midst of an epoch, at its beginning, and between the updates of one step: an epoch has 8 batches."""

    def make(folder):
        module = OnlineAdapt(*PARTS[parts](folder), str(pretrained), net=NET)
        sizes = {"steps_per_epoch": 4, "updates_per_step": 2, "batch_size": 8, "replay_capacity": 40, "test_users": 4}
        return module, users(source, reward_run, **sizes)

    _, broken = whole_and_broken(make, tmp_path, at, epochs=2)
    assert broken.environment_steps == 64


@pytest.mark.parametrize("at", [5, 8])
def test_pretrain_resumes_to_the_same_weights(at, source, tmp_path):
    def make(folder):
        sizes = {"users": 6, "steps_per_epoch": 4, "updates_per_step": 2, "batch_size": 8, "horizon": 3}
        module = IALPPretrain(net=NetConfig(dim=16, layers=1, heads=2, dropout=0.2))
        return module, questions(source, folder / "judgements.sqlite", **sizes)

    modules = whole_and_broken(make, tmp_path, at, epochs=2)
    counts = [module.results()["judgements"] for module in modules]
    assert {each["asked"] + each["cache_hits"] for each in counts} == {48}


@pytest.mark.parametrize("at", [2, 3, 4])
@pytest.mark.parametrize("val_every", [1, 2, 3])
def test_reward_model_resumes_to_the_same_weights(at, val_every, source, tmp_path):
    """Shuffled by the global generator, negatives drawn by one of its own, dropout by the global one again."""
    make = lambda _: (RewardModel(), SessionDataModule(source, batch_size=24))  # noqa: E731
    whole_and_broken(make, tmp_path, at, val_check_interval=val_every)


def test_resume_refuses_a_checkpoint_of_more_processes(source, tmp_path):
    make = lambda: (RewardModel(), SessionDataModule(source, batch_size=24))  # noqa: E731
    options = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()]}
    train(*make(), tmp_path, 1, callbacks=[ResumeCheckpoint()], **options)
    path = newest(tmp_path / "checkpoints")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["resume"]["ranks"] *= 2
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    with pytest.raises(UserError, match="of 2 processes and cannot go on in 1"):
        train(*make(), tmp_path, 1, ckpt_path=path, callbacks=[ResumeCheckpoint()], **options)


def test_a_plain_loader_leaves_only_the_last_checkpoint_and_a_warning(source, tmp_path, caplog):
    class Plain(SessionDataModule):
        def train_dataloader(self) -> DataLoader:
            return DataLoader(self.training, 24, collate_fn=lambda batch: batch)

    options = {
        "enable_checkpointing": True,
        "plugins": [AtomicCheckpointIO()],
        "callbacks": [ResumeCheckpoint(every_n_steps=1)],
    }
    with caplog.at_level("WARNING", "ialp"):
        train(RewardModel(), Plain(source), tmp_path, 1, **options)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
    assert "no ialp.datamodules.ResumableLoader" in caplog.text and "it starts anew" in caplog.text
