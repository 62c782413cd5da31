"""Simulated users who play whole episodes between updates."""

import torch
from torch.utils.data import DataLoader
from typing_extensions import override

from ialp.data.log import LogSource
from ialp.datamodules.experience import Collector, ExperienceDataset, Stateful
from ialp.datamodules.loader import ResumableLoader
from ialp.datamodules.users import UsersDataModule
from ialp.errors import require_positive
from ialp.rl.episodes import EpisodeBuffer
from ialp.rng import stream


class OnPolicyDataModule(UsersDataModule):
    """Simulated users for `OnlineEpisodes`, and how often they play and it updates; nothing is replayed.

    All users play an episode to its end with one policy, at the cost of one item per step, and each episode is then
    learnt from, its transitions together in one causal pass.

    Args:
        log: source of catalogue and sessions.
        reward_model: folder of a finished reward run, whose users answer.
        users: users at once, over all ranks.
        rollouts_per_epoch: times that all users play an episode in an epoch.
        minibatches: gradient steps per rollout and pass.
        passes: times that each episode is learnt from; above 1 for algorithms that correct for it, such as PPO.
        reward_scale: multiplies the users' reward, so that it has the scale of the judge's 0 or 1.
        test_users: users of the test world that every evaluation plays, the same for every method.
        max_environment_steps: ends the training once so many are taken, for an epoch has no fixed number of them; null:
            `trainer.max_epochs` alone ends it.

    Attributes:
        buffer: the episodes just played.
    """

    def __init__(
        self,
        log: LogSource,
        reward_model: str,
        users: int = 25,
        rollouts_per_epoch: int = 2,
        minibatches: int = 1,
        passes: int = 1,
        reward_scale: float = 0.2,
        test_users: int = 500,
        max_environment_steps: int | None = None,
    ) -> None:
        super().__init__(log, reward_model, users, reward_scale, test_users)
        require_positive(rollouts_per_epoch=rollouts_per_epoch, minibatches=minibatches, passes=passes)
        self.rollouts_per_epoch, self.minibatches, self.passes = rollouts_per_epoch, minibatches, passes
        self.max_environment_steps = max_environment_steps

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        if not hasattr(self, "buffer"):
            seed = stream(torch.initial_seed(), f"minibatches of {int(self.env.user[0])}")
            self.buffer = EpisodeBuffer(self.minibatches, seed)

    @override
    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        collector: Collector = self.trainer.lightning_module  # type: ignore[assignment]
        parts: dict[str, Stateful] = {"buffer": self.buffer, "env": self.env}
        updates = self.minibatches * self.passes
        experience = ExperienceDataset(collector, self.buffer.sample, parts, self.rollouts_per_epoch, updates)
        return ResumableLoader(experience, batch_size=None)
