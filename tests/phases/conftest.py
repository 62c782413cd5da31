"""A tiny log, its world and a pre-trained policy, made once for the tests of the phases."""

from pathlib import Path

import pytest
import torch

from ialp.data import BuiltinLog
from ialp.datamodules import OracleDataModule, ReplayDataModule
from ialp.envs import World
from ialp.nets import NetConfig
from ialp.nets.response import SequentialResponse
from ialp.oracle import OracleConfig
from ialp.phases import IALPPretrain, OnlineAdapt
from tests.helpers.training import train

NET = NetConfig(dim=16, layers=1, heads=2)
JUDGE = {"class_path": "ialp.oracle.LexicalOracle"}


@pytest.fixture(scope="session")
def source() -> BuiltinLog:
    return BuiltinLog(num_tracks=60, num_sessions=80)


@pytest.fixture(scope="session")
def reward_run(source, tmp_path_factory) -> Path:
    """Users with opinions, though nobody's: random weights, spread out."""
    return write_world(source, tmp_path_factory.mktemp("reward"))


@pytest.fixture(scope="session")
def pretrained(source, tmp_path_factory) -> Path:
    """A finished pretrain run; its horizon of 20 decides that θ reads histories as long as an online episode."""
    folder = tmp_path_factory.mktemp("pretrain")
    pretrain(source, folder, folder / "cache.sqlite", horizon=20)
    return folder


def write_world(source: BuiltinLog, folder: Path) -> Path:
    """What a reward run leaves: users whose response has random weights."""
    catalogue = source.load().catalogue
    torch.manual_seed(0)
    net = SequentialResponse(catalogue.num_items, dim=8, layers=1)
    torch.nn.init.normal_(net.bias, mean=-1.0, std=1.0)
    World(net).save(folder / "world", catalogue.fingerprint)
    return folder


def questions(source, cache: Path, judge=None, budget: int | None = None, **sizes) -> OracleDataModule:
    """A judge in front of a few histories."""
    sizes = {"users": 8, "steps_per_epoch": 6, "batch_size": 16, "horizon": 5} | sizes
    return OracleDataModule(source, OracleConfig(judge or JUDGE, cache=str(cache), budget=budget), **sizes)


def pretrain(source, folder: Path, cache: Path, seed: int = 0, judge=None, horizon: int = 5, **model) -> IALPPretrain:
    module = IALPPretrain(net=NET, **model)
    train(module, questions(source, cache, judge, horizon=horizon), folder, seed=seed)
    return module


def users(source, reward_run: Path, **sizes) -> ReplayDataModule:
    """A few users who answer step by step."""
    sizes = {"users": 8, "steps_per_epoch": 6, "batch_size": 16, "test_users": 12} | sizes
    return ReplayDataModule(source, str(reward_run), **sizes)


def adapt(
    source, reward_run: Path, folder: Path, scheme, pretrained: Path | None, seed: int = 0, **model
) -> OnlineAdapt:
    module = OnlineAdapt(scheme, pretrained=str(pretrained) if pretrained else None, net=NET, **model)
    train(module, users(source, reward_run), folder, seed=seed)
    return module
