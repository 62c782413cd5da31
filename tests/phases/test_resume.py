"""Whatever is composed: cut off between two batches, it goes on to the same weights."""

import csv

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch.utils.data import DataLoader

from callbacks.ucb import UpperConfidence
from ialp.datamodules import OnPolicyDataModule, OracleDataModule, ReplayDataModule, SessionDataModule
from ialp.errors import UserError
from ialp.experiment.checkpoint_file import AtomicCheckpointIO, newest
from ialp.experiment.metrics_file import MetricsFile
from ialp.experiment.resume import ResumeCheckpoint
from ialp.phases import IALPPretrain, OnlineAdapt, RewardModel
from ialp.rl import A2C, DQN, Categorical, EpsilonGreedy, GatedAlpha, Reinforce, SampledSoftmax
from ialp.rl.schemes import FineTune, LLMOnline, PolicySet, Scratch

from .conftest import NET
from .test_composition import JUDGE

GATED = {"one_in": 4, "start": 0.3, "rise": 40, "fall": 40, "window": 6, "least": 2}
PARTS = {
    "dqn": lambda: (Scratch(), DQN(target_every=2), EpsilonGreedy(steps=60)),
    "finetune": lambda: (FineTune(), A2C(), Categorical()),
    "gate": lambda: (PolicySet(GatedAlpha(**GATED), "pretrained"), A2C(), Categorical()),
    "memory": lambda: (Scratch(), A2C(), UpperConfidence()),
    "judge": lambda: (LLMOnline(JUDGE, candidates=4), A2C(), EpsilonGreedy(steps=60)),
    "reinforce": lambda: (Scratch(), Reinforce(), Categorical()),
}


def train(module, data, folder, epochs: int, ckpt_path=None, **options) -> None:
    seed_everything(0, verbose=False)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    options = {"logger": MetricsFile(folder), "log_every_n_steps": 1, **quiet, **options}
    trainer = Trainer(default_root_dir=folder, max_epochs=epochs, accelerator="cpu", **options)
    trainer.fit(module, data, ckpt_path=ckpt_path)


class Cut(Callback):
    """Ends a run, without a warning, in its `at`th batch."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.at:
            raise RuntimeError("cut")


def whole_and_broken(make, folder, at: int, epochs: int = 3, every: int = 1, **options):
    """The module after an unbroken training, and after one that was cut in batch `at` and gone on with."""
    modules = []
    for name, cut in (("whole", None), ("broken", at)):
        module, data = make(folder / name)
        options |= {"plugins": [AtomicCheckpointIO()]}
        if cut is not None:
            callbacks = [Cut(cut), ResumeCheckpoint(every_n_steps=every)]
            with pytest.raises(RuntimeError, match="cut"):
                train(module, data, folder / name, epochs, callbacks=callbacks, **options)
            module, data = make(folder / name)
        path = newest(folder / name / "checkpoints") if cut is not None else None
        assert (path is None) == (cut is None)
        train(module, data, folder / name, epochs, path, callbacks=[ResumeCheckpoint()], **options)
        module.latest_episodes = list(getattr(getattr(data, "rollout", None), "finished", []))
        modules.append(module)
    assert curves(folder / "whole") == curves(folder / "broken")
    return modules


def curves(folder) -> list[dict[str, str]]:
    """The rows of metrics.csv, without time and without how many answers came from the cache."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {
                key: value
                for key, value in row.items()
                if not any(part in key for part in ("seconds", "asked", "cache_hits"))
            }
            for row in csv.DictReader(file)
        ]


def assert_same(whole, broken):
    assert whole.latest_episodes == broken.latest_episodes
    first, second = whole.state_dict(), broken.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value.nan_to_num(), second[name].nan_to_num()), name


@pytest.mark.parametrize("at", [7, 8, 12])
@pytest.mark.parametrize("parts", [name for name in PARTS if name != "reinforce"] + ["sampled"])
def test_replaying_runs(parts, at, source, reward_run, pretrained, tmp_path):
    """In the midst of an epoch, at its beginning, and between the updates of one step: an epoch has 8 batches."""

    def make(folder):
        scheme, algorithm, exploration = PARTS["finetune" if parts == "sampled" else parts]()
        if isinstance(scheme, LLMOnline):
            scheme.cache = str(folder / "judgements.sqlite")
        support = SampledSoftmax(20) if parts == "sampled" else None
        module = OnlineAdapt(scheme, algorithm, exploration, str(pretrained), support=support, **NET)
        sizes = {"users": 8, "steps_per_epoch": 4, "updates_per_step": 2, "batch_size": 8, "replay_capacity": 40}
        return module, ReplayDataModule(source, str(reward_run), test_users=4, **sizes)

    whole, broken = whole_and_broken(make, tmp_path, at)
    assert_same(whole, broken)
    assert [row | {"policy": ""} for row in whole.rows] == [row | {"policy": ""} for row in broken.rows]
    assert whole.environment_steps == broken.environment_steps == 96


@pytest.mark.parametrize("at", [4, 6])
def test_whole_episodes(at, source, reward_run, tmp_path):
    def make(folder):
        module = OnlineAdapt(*PARTS["reinforce"](), **NET)
        return module, OnPolicyDataModule(
            source, str(reward_run), users=8, rollouts_per_epoch=2, minibatches=3, test_users=4
        )

    whole, broken = whole_and_broken(make, tmp_path, at)
    assert_same(whole, broken)
    assert whole.rows == broken.rows


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("at", [5, 8])
def test_pre_training(at, prefetch, source, tmp_path):
    def make(folder):
        sizes = {"users": 6, "steps_per_epoch": 4, "updates_per_step": 2, "batch_size": 8, "horizon": 3}
        data = OracleDataModule(source, JUDGE, cache=str(folder / "judgements.sqlite"), prefetch=prefetch, **sizes)
        return IALPPretrain(**NET, dropout=0.2), data

    whole, broken = whole_and_broken(make, tmp_path, at)
    assert_same(whole, broken)
    counts = [module.results()["judgements"] for module in (whole, broken)]
    assert {each["asked"] + each["cache_hits"] for each in counts} == {72}


@pytest.mark.parametrize("at", [2, 3, 4])
@pytest.mark.parametrize("val_every", [1, 2, 3])
def test_a_shuffled_log(at, val_every, source, tmp_path):
    """Shuffled by the global generator, negatives drawn by one of its own, dropout by the global one again."""
    make = lambda _: (RewardModel(), SessionDataModule(source, batch_size=24))  # noqa: E731
    whole, broken = whole_and_broken(make, tmp_path, at, val_check_interval=val_every)
    assert_same(whole, broken)


def test_a_checkpoint_of_more_processes_is_refused(source, tmp_path):
    make = lambda: (RewardModel(), SessionDataModule(source, batch_size=24))  # noqa: E731
    options = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()]}
    train(*make(), tmp_path, 1, callbacks=[ResumeCheckpoint()], **options)
    path = newest(tmp_path / "checkpoints")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["resume"]["ranks"] *= 2
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    with pytest.raises(UserError, match="of 2 processes and cannot go on in 1"):
        train(*make(), tmp_path, 1, path, callbacks=[ResumeCheckpoint()], **options)


def test_a_plain_loader_leaves_only_the_last_checkpoint_and_a_warning(source, tmp_path, caplog):
    class Plain(SessionDataModule):
        def train_dataloader(self) -> DataLoader:
            return DataLoader(self.training, 24, collate_fn=lambda batch: batch)

    options = {"plugins": [AtomicCheckpointIO()], "callbacks": [ResumeCheckpoint(every_n_steps=1)]}
    with caplog.at_level("WARNING", "ialp"):
        train(RewardModel(), Plain(source), tmp_path, 1, **options)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
    assert "no ialp.datamodules.ResumableLoader" in caplog.text and "it starts anew" in caplog.text
