"""A tiny log, its world and a pre-trained policy, made once for the tests of the phases."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer, seed_everything

from ialp.data import BuiltinLog
from ialp.datamodules import OracleDataModule, ReplayDataModule
from ialp.envs import World
from ialp.nets.response import SequentialResponse
from ialp.phases import IALPPretrain, OnlineAdapt

NET = {"dim": 16, "layers": 1, "heads": 2}


@pytest.fixture(scope="session")
def source() -> BuiltinLog:
    return BuiltinLog(num_tracks=60, num_sessions=80)


@pytest.fixture(scope="session")
def reward_run(source, tmp_path_factory) -> Path:
    """Users with opinions, though nobody's: random weights, spread out."""
    folder = tmp_path_factory.mktemp("reward")
    catalogue = source.load().catalogue
    torch.manual_seed(0)
    net = SequentialResponse(catalogue.num_items, dim=8, layers=1)
    torch.nn.init.normal_(net.bias, mean=-1.0, std=1.0)
    World(net).save(folder / "world", catalogue.fingerprint)
    return folder


def fit(module, data, folder: Path, epochs: int = 2, seed: int = 0) -> Path:
    seed_everything(seed, verbose=False)
    trainer = Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accelerator="cpu",
    )
    trainer.fit(module, data)
    return folder


def pretrain(source, folder: Path, cache: Path, seed: int = 0, judge=None, **model) -> IALPPretrain:
    module = IALPPretrain(**NET, **model)
    judge = judge or {"class_path": "ialp.oracle.LexicalOracle"}
    data = OracleDataModule(source, judge, users=8, steps_per_epoch=6, batch_size=16, horizon=5, cache=str(cache))
    fit(module, data, folder, seed=seed)
    return module


def adapt(
    source, reward_run: Path, folder: Path, scheme, pretrained: Path | None, seed: int = 0, **model
) -> OnlineAdapt:
    module = OnlineAdapt(scheme, pretrained=str(pretrained) if pretrained else None, **NET, **model)
    data = ReplayDataModule(source, str(reward_run), users=8, steps_per_epoch=6, batch_size=16, test_users=12)
    fit(module, data, folder, seed=seed)
    return module


@pytest.fixture(scope="session")
def pretrained(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretrain")
    # The horizon decides the longest history that θ can read: online episodes are longer than those of `pretrain`.
    module = IALPPretrain(**NET)
    judge = {"class_path": "ialp.oracle.LexicalOracle"}
    data = OracleDataModule(
        source, judge, users=8, steps_per_epoch=6, batch_size=16, cache=str(folder / "cache.sqlite")
    )
    return fit(module, data, folder)
