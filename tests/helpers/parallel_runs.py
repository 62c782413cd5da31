"""Trainings by one process and by two, in a module that a new process can import."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule

from ialp.datamodules import OracleDataModule, ReplayDataModule
from ialp.nets import NetConfig
from ialp.oracle import LexicalOracle, OracleConfig
from ialp.phases import IALPPretrain, OnlineAdapt
from ialp.rl import A2C, LinearAlpha, TopK
from ialp.rl.replay import ReplayBuffer
from ialp.rl.schemes import FineTune, PolicySet
from ialp.types import Transition
from tests.helpers.ranks import in_ranks
from tests.helpers.training import train

NET = NetConfig(dim=16, layers=1, heads=2)
UPDATES = 50

Kind = Callable[..., tuple[Any, Any]]
"""Makes module and data from (source, reward run, pretrained run, folder); importable by name."""


class Latest(ReplayBuffer):
    """All of the latest batch step, so that the minibatches of several processes make the one of a single process."""

    def sample(self, batch_size: int) -> Transition:
        assert batch_size == len(self)
        return Transition(**self.columns)


class LatestUsers(ReplayDataModule):
    def setup(self, stage):
        super().setup(stage)
        self.buffer = Latest(self.env.num_users)


class LatestJudgements(OracleDataModule):
    def setup(self, stage):
        super().setup(stage)
        self.buffer = Latest(self.users // self.trainer.world_size)


class WithSGD(LightningModule):
    """With SGD: Adam would blow up what rounding leaves of a gradient that is zero."""

    rate = 0.1

    def configure_optimizers(self):
        self.start = copy.deepcopy(self.scheme.learner.state_dict())
        return torch.optim.SGD(self.scheme.learner.parameters(), lr=self.rate)


class Adapt(WithSGD, OnlineAdapt):
    pass


class Pretrain(WithSGD, IALPPretrain):
    rate = 0.02


class NeverNone(LexicalOracle):
    def log_probabilities(self, questions):
        answers = super().log_probabilities(questions)
        answers[:, -1] = -30.0
        return answers.log_softmax(1)


def online(source, reward_run, pretrained, scheme):
    module = Adapt(scheme, A2C(), pretrained=pretrained, net=NET)
    sizes = {"users": 8, "steps_per_epoch": 25, "batch_size": 8, "replay_capacity": 8, "test_users": 11}
    return module, LatestUsers(source, reward_run, **sizes)


def finetune(source, reward_run, pretrained, folder):
    return online(source, reward_run, pretrained, FineTune())


def policyset(source, reward_run, pretrained, folder):
    return online(source, reward_run, pretrained, PolicySet(LinearAlpha(0.2, 300), learner_start="new_actor"))


def pretraining(source, reward_run, pretrained, folder):
    module = Pretrain(A2C(), item_init="random", listwise_weight=1.0, net=NET)
    oracle = OracleConfig(NeverNone(), cache=str(folder / "judgements.sqlite"))
    sizes = {"users": 8, "steps_per_epoch": 25, "batch_size": 8, "horizon": 5, "replay_capacity": 8}
    return module, LatestJudgements(source, oracle, sampler=TopK(count=4), **sizes)


def alone_and_in_two(folder: Path, kinds: tuple[Kind, ...], *runs: Any) -> list[dict[str, Any]]:
    """What one process finds, and what each of two does."""
    two = in_ranks(trained, folder / "two", 2, folder / "two", kinds, *runs)
    return [trained(0, 1, folder / "one", kinds, *runs), *two]


def trained(rank: int, ranks: int, folder: Path, kinds: tuple[Kind, ...], *runs: Any) -> dict[str, Any]:
    """Weights, evaluations and what is logged after 50 updates of each kind of run, in one of so many processes."""
    found = {}
    for make in kinds:
        here = folder / make.__name__
        here.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        module, data = make(*runs, here)
        trainer = train(module, data, here, devices=ranks, strategy="ddp" if ranks > 1 else "auto")
        assert trainer.global_step == UPDATES
        found[make.__name__] = {
            "start": module.start,
            "weights": module.scheme.learner.state_dict(),
            "rows": module.evaluation.rows if hasattr(module, "evaluation") else [],
            "logged": {name: float(value) for name, value in trainer.callback_metrics.items()},
        }
    return found


def assert_trained_alike(one: dict[str, Any], *two: dict[str, Any]) -> None:
    """Two processes end with the weights, evaluations and figures of one."""
    assert all(weight.isfinite().all() for weight in one["weights"].values())
    assert max(float((weight - one["start"][name]).norm()) for name, weight in one["weights"].items()) > 0.1
    for name, weight in one["weights"].items():
        for each in two:
            torch.testing.assert_close(each["weights"][name], weight, rtol=0, atol=1e-5)
    for alone, first, second in zip(one["rows"], *(each["rows"] for each in two), strict=True):
        assert first == second
        assert first.pop("policy") == alone.pop("policy")
        assert first == pytest.approx(alone, rel=1e-6)  # R, Len and R_avg of 11 test users, at every epoch
    others = "seconds_per_step", "advantage", "train/return", "train/length"  # time, near zero, the latest of each rank
    logged = {name: value for name, value in one["logged"].items() if not name.endswith(others)}
    assert len(logged) > 5
    for name, value in logged.items():
        assert two[0]["logged"][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
