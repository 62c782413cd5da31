"""Simulated users for online adaptation (Algorithm 2)."""

from functools import partial

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from ialp.data.log import LogSource
from ialp.datamodules.experience import Collector, ExperienceDataset, Stateful
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import share_of_rank
from ialp.envs import World
from ialp.errors import require_positive
from ialp.recorded import Recorded
from ialp.rl.replay import ReplayBuffer


class UsersDataModule(Recorded, LightningDataModule):
    """Users of a training world to learn from and of a test world to be evaluated on.

    Arguments are those of the subclasses.

    Attributes:
        shared: names of the numbers of which every rank must have an equal part.
        env: the training users of this rank.
        test_env: the test users of this rank.
    """

    shared: tuple[str, ...] = ("users",)

    def __init__(self, log: LogSource, reward_model: str, users: int, reward_scale: float, test_users: int) -> None:
        super().__init__()
        require_positive(users=users, test_users=test_users)
        self.source, self.reward_model, self.users = log, reward_model, users
        self.reward_scale, self.test_users = reward_scale, test_users

    @override
    def setup(self, stage: str) -> None:
        """Loads the log and the users; learning and evaluation differ in the first items, not in the world."""
        if hasattr(self, "log"):
            return
        assert self.trainer is not None
        self.log = self.source.load()
        world, seed = World.load(self.reward_model, self.log.catalogue.fingerprint), torch.initial_seed()
        first, count = share_of_rank(self.trainer, self.users, "users")
        self.env = world.env(self.log.train.first_items(), count, seed=seed, first_user=first)
        first_items = self.log.test.first_items()[: self.test_users]
        first, count = share_of_rank(self.trainer, len(first_items), "test users", exact=False)
        self.test_env = world.env(first_items, count, seed=seed, evaluation=True, first_user=first)
        self.env.reset()

    @override
    def val_dataloader(self) -> DataLoader:
        """One batch: `Evaluation` plays the test users when the validation epoch ends."""
        return DataLoader(TensorDataset(self.test_env.user), batch_size=self.test_env.num_users)

    @override
    def test_dataloader(self) -> DataLoader:
        return self.val_dataloader()

    @override
    def predict_dataloader(self) -> DataLoader:
        """Histories (B, T) of the test sequences and their lengths (B,)."""
        histories = self.log.test.padded(self.env.items.shape[1] - 1)
        return DataLoader(TensorDataset(histories, (histories > 0).sum(1)), batch_size=self.test_env.num_users)


class ReplayDataModule(UsersDataModule):
    """Simulated users and a replay buffer for `OnlineAdapt`, and how often it acts and updates.

    Args:
        log: source of catalogue and sessions.
        reward_model: folder of a finished reward run, whose users answer.
        users: users at once, over all ranks.
        steps_per_epoch: batch steps per epoch; an epoch is users · steps_per_epoch environment steps.
        updates_per_step: gradient steps per batch step.
        batch_size: transitions per gradient step, over all ranks.
        replay_capacity: transitions kept.
        reward_scale: multiplies the users' reward of 0 to 5, so that it has the scale of the judge's 0 or 1.
        test_users: users of the test world that every evaluation plays, the same for every method.

    Attributes:
        buffer: D_online.
    """

    shared = ("users", "batch_size")

    def __init__(
        self,
        log: LogSource,
        reward_model: str,
        users: int = 50,
        steps_per_epoch: int = 20,
        updates_per_step: int = 1,
        batch_size: int = 256,
        replay_capacity: int = 1000,
        reward_scale: float = 0.2,
        test_users: int = 500,
    ) -> None:
        super().__init__(log, reward_model, users, reward_scale, test_users)
        require_positive(
            steps_per_epoch=steps_per_epoch,
            updates_per_step=updates_per_step,
            batch_size=batch_size,
            replay_capacity=replay_capacity,
        )
        self.steps_per_epoch, self.updates_per_step = steps_per_epoch, updates_per_step
        self.batch_size, self.replay_capacity = batch_size, replay_capacity

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if not hasattr(self, "buffer"):
            assert self.trainer is not None
            self.buffer = ReplayBuffer(self.replay_capacity, torch.initial_seed() + self.trainer.global_rank)

    @override
    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        collector: Collector = self.trainer.lightning_module  # type: ignore[assignment]
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "batch_size")
        sample = partial(self.buffer.sample, batch_size)
        parts: dict[str, Stateful] = {"buffer": self.buffer, "env": self.env}
        experience = ExperienceDataset(collector, sample, parts, self.steps_per_epoch, self.updates_per_step)
        return ResumableLoader(experience, batch_size=None)
