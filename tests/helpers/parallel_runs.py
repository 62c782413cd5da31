"""What test_parallel trains, in a module that a new process can import."""

import copy

import torch
from lightning import Trainer, seed_everything

from ialp.datamodules import OnPolicyDataModule, OracleDataModule, ReplayDataModule
from ialp.oracle import LexicalOracle
from ialp.phases import IALPPretrain, OnlineAdapt
from ialp.rl import A2C, LinearAlpha, TopK
from ialp.rl.replay import ReplayBuffer
from ialp.rl.schemes import FineTune, PolicySet
from ialp.types import Transition

NET = {"dim": 16, "layers": 1, "heads": 2}

UPDATES = 50


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


class Adapt(OnlineAdapt):
    """With SGD: Adam would blow up what rounding leaves of a gradient that is zero."""

    def configure_optimizers(self):
        self.start = copy.deepcopy(self.scheme.learner.state_dict())
        return torch.optim.SGD(self.scheme.learner.parameters(), lr=0.1)


class Pretrain(IALPPretrain):
    def configure_optimizers(self):
        self.start = copy.deepcopy(self.scheme.learner.state_dict())
        return torch.optim.SGD(self.parameters(), lr=0.02)


class NeverNone(LexicalOracle):
    def log_probabilities(self, questions):
        answers = super().log_probabilities(questions)
        answers[:, -1] = -30.0
        return answers.log_softmax(1)


def online(source, reward_run, pretrained, scheme):
    module = Adapt(scheme, A2C(bootstrap="policy"), pretrained=pretrained, **NET)
    return module, LatestUsers(
        source, reward_run, users=8, steps_per_epoch=25, batch_size=8, replay_capacity=8, test_users=11
    )


def finetune(source, reward_run, pretrained, folder):
    return online(source, reward_run, pretrained, FineTune())


def policyset(source, reward_run, pretrained, folder):
    return online(source, reward_run, pretrained, PolicySet(LinearAlpha(0.2, 300)))


def episodes(source, reward_run, pretrained, folder):
    """Minibatches of unequal sizes: users leave when they like."""
    module = Adapt(FineTune(), A2C(bootstrap="policy", trace=0.9), pretrained=pretrained, **NET)
    return module, OnPolicyDataModule(source, reward_run, users=6, rollouts_per_epoch=25, minibatches=1, test_users=11)


def pretraining(source, reward_run, pretrained, folder):
    return Pretrain(A2C(bootstrap="policy"), item_init="random", **NET), LatestJudgements(
        source, NeverNone(), sampler=TopK(), users=8, candidates=4, steps_per_epoch=25, batch_size=8, horizon=5,
        replay_capacity=8, cache=str(folder / "judgements.sqlite"),
    )  # fmt: skip


KINDS = (finetune, policyset, episodes, pretraining)


def train(rank, ranks, folder, *runs):
    """Weights, evaluations and what is logged after 50 updates of each kind of run, in one of so many processes."""
    found = {}
    for make in KINDS:
        seed_everything(0, verbose=False)
        module, data = make(*runs, folder)
        trainer = Trainer(
            default_root_dir=folder / make.__name__, max_epochs=2, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            accelerator="cpu", devices=ranks, strategy="ddp" if ranks > 1 else "auto",
        )  # fmt: skip
        trainer.fit(module, data)
        assert trainer.global_step == UPDATES
        found[make.__name__] = {
            "start": module.start,
            "weights": module.scheme.learner.state_dict(),
            "rows": getattr(module, "rows", []),
            "logged": {name: float(value) for name, value in trainer.callback_metrics.items()},
        }
    return found
