"""The judge in the loop of pre-training (Algorithm 1)."""

from functools import partial
from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from ialp.data.log import LogSource
from ialp.datamodules.experience import Collector, ExperienceDataset, Stateful
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import share_of_rank
from ialp.errors import require_positive
from ialp.oracle import OracleConfig
from ialp.recorded import Recorded
from ialp.rl.candidates import CandidateSampler, WithNeighbours
from ialp.rl.replay import ReplayBuffer
from ialp.rng import stream, uniforms
from ialp.types import History


class GrowingHistories:
    """B sequences that begin with a first item of the log and grow by one item a step, side by side.

    Args:
        first_items: (S,) where sequences of the log begin.
        users: (B,) numbers of the sequences.
        horizon: items added before all begin anew.
        seed: of the first items.
    """

    def __init__(self, first_items: Tensor, users: Tensor, horizon: int, seed: int) -> None:
        self.first_items, self.users, self.horizon = first_items, users, horizon
        self.seed = stream(seed, "first items")
        self.episode = 0
        self.items = torch.zeros(len(users), horizon + 1, dtype=torch.int64)
        self.length = torch.full((len(users),), horizon + 1)  # over: the first step begins an episode

    @property
    def over(self) -> bool:
        """Whether all have reached the horizon."""
        return int(self.length[0]) > self.horizon

    @property
    def history(self) -> History:
        """The histories as they are; changed in place as they grow."""
        return History(self.items, self.length)

    def begin(self) -> None:
        """New first items, drawn from the log."""
        zero = torch.zeros_like(self.users)
        uniform = uniforms(self.seed, self.users, zero + self.episode, zero)[:, 0]
        self.items.zero_()
        self.items[:, 0] = self.first_items[(uniform * len(self.first_items)).long()]
        self.length.fill_(1)
        self.episode += 1

    def append(self, item: Tensor) -> None:
        """One more item (B,) to each."""
        self.items.scatter_(1, self.length.unsqueeze(1), item.unsqueeze(1))
        self.length += 1

    def state_dict(self) -> dict[str, Any]:
        """The histories, and how many episodes have begun."""
        return {"items": self.items.clone(), "length": self.length.clone(), "episode": self.episode}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""
        self.items.copy_(state["items"])
        self.length.copy_(state["length"])
        self.episode = state["episode"]


class OracleDataModule(Recorded, LightningDataModule):
    """Histories, judge, candidates and replay buffer for `IALPPretrain`, and how often it asks and updates.

    Args:
        log: source of catalogue and sessions; only the training sequences are used.
        oracle: the judge and how it is asked.
        sampler: which candidates the judge is shown.
        users: histories grown side by side, over all ranks.
        steps_per_epoch: batch steps per epoch; an epoch asks users · steps_per_epoch questions.
        updates_per_step: gradient steps per batch step.
        batch_size: transitions per gradient step, over all ranks.
        replay_capacity: transitions kept.
        horizon: recommendations per episode.

    Attributes:
        shared: names of the numbers of which every rank must have an equal part.
        histories: sequences x_{1:t}.
        oracle: the judge, opened.
        buffer: D_LLM.
    """

    shared = ("users", "batch_size")

    def __init__(
        self,
        log: LogSource,
        oracle: OracleConfig,
        sampler: CandidateSampler | None = None,
        users: int = 50,
        steps_per_epoch: int = 20,
        updates_per_step: int = 1,
        batch_size: int = 256,
        replay_capacity: int = 50_000,
        horizon: int = 20,
    ) -> None:
        super().__init__()
        cadence = {"steps_per_epoch": steps_per_epoch, "updates_per_step": updates_per_step}
        require_positive(
            users=users, batch_size=batch_size, replay_capacity=replay_capacity, horizon=horizon, **cadence
        )
        self.source, self.oracle_config, self.sampler = log, oracle, sampler or WithNeighbours()
        self.users, self.horizon = users, horizon
        self.steps_per_epoch, self.updates_per_step = steps_per_epoch, updates_per_step
        self.batch_size, self.replay_capacity = batch_size, replay_capacity

    @override
    def setup(self, stage: str) -> None:
        if hasattr(self, "log"):
            return
        assert self.trainer is not None
        self.log, seed = self.source.load(), torch.initial_seed()
        self.oracle = self.oracle_config.open(self.log)
        self.oracle.share(self.trainer.global_rank, self.trainer.world_size)
        first, users = share_of_rank(self.trainer, self.users, "users")
        self.sampler.setup(self.log, stream(seed, "candidates") + first)
        self.histories = GrowingHistories(
            self.log.train.first_items(), torch.arange(first, first + users), self.horizon, seed
        )
        self.buffer = ReplayBuffer(self.replay_capacity, seed + self.trainer.global_rank)

    @override
    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        collector: Collector = self.trainer.lightning_module  # type: ignore[assignment]
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "batch_size")
        parts: dict[str, Stateful] = {"buffer": self.buffer, "histories": self.histories, "sampler": self.sampler}
        sample = partial(self.buffer.sample, batch_size)
        experience = ExperienceDataset(collector, sample, parts, self.steps_per_epoch, self.updates_per_step)
        return ResumableLoader(experience, batch_size=None)
