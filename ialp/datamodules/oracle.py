"""The judge in the loop of pre-training (Algorithm 1)."""

from functools import partial

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader
from typing_extensions import override

from ialp.data.log import LogSource
from ialp.datamodules.experience import Collector, ExperienceDataset, Stateful
from ialp.datamodules.histories import GrowingHistories
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import share_of_rank
from ialp.oracle import OracleConfig
from ialp.recorded import Recorded
from ialp.rl.candidates import CandidateSampler, WithNeighbours
from ialp.rl.replay import ReplayBuffer
from ialp.rng import stream


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

    @property
    def num_items(self) -> int:
        """N of the catalogue."""
        return self.log.catalogue.num_items

    @override
    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        collector: Collector = self.trainer.lightning_module  # type: ignore[assignment]
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "batch_size")
        parts: dict[str, Stateful] = {"buffer": self.buffer, "histories": self.histories, "sampler": self.sampler}
        sample = partial(self.buffer.sample, batch_size)
        experience = ExperienceDataset(collector, sample, parts, self.steps_per_epoch, self.updates_per_step)
        return ResumableLoader(experience, batch_size=None)
