"""Rollouts against the simulated users (Algorithm 2)."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from ialp.data.log import LogSource
from ialp.datamodules.experience import Rollout
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import share_of_rank, world_size
from ialp.envs import BatchEnv, World
from ialp.rl.replay import ReplayBuffer
from ialp.rl.support import CHANCES
from ialp.rng import stream, uniforms
from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.phases.online_adapt import OnlineAdapt


class OnlineRollout(Rollout):
    """Lines 6 to 13 of Algorithm 2: act, hear the users, store.

    Args:
        module: the phase, whose scheme and exploration act.
        env: users in the training world.
        buffer: D_online.
        steps: batch steps per epoch.
        batch_size: transitions per minibatch.
        updates_per_step: minibatches per batch step.
        reward_scale: multiplies the users' reward.
        seed: of the exploration.
    """

    def __init__(
        self,
        module: "OnlineAdapt",
        env: BatchEnv,
        buffer: ReplayBuffer,
        steps: int,
        batch_size: int,
        updates_per_step: int,
        reward_scale: float,
        seed: int,
    ) -> None:
        super().__init__(buffer, steps, batch_size, updates_per_step)
        self.module, self.env = module, env
        self.reward_scale, self.seed = reward_scale, stream(seed, "exploration")
        self.running = torch.zeros(env.num_users)  # (B,) return of the episode so far
        # Return and length of the latest episodes, 20 over all ranks.
        self.finished: deque[tuple[float, float]] = deque(maxlen=max(1, 20 // world_size()))

    def step(self) -> None:
        """One recommendation to every user."""
        scheme, env = self.module.scheme, self.env
        length = env.length.clone()
        chance = uniforms(self.seed, env.user, env.episode, length, CHANCES)
        action = scheme.support.act(scheme, self.module.exploration, env.items, length, env.user, chance)
        feedback = env.step(action)
        reward = feedback.reward * self.reward_scale
        self.buffer.add(Transition(env.items, length, reward, feedback.terminated, feedback.truncated))
        self.module.environment_steps += env.num_users * self.module.trainer.world_size  # all ranks have as many
        self._record(feedback.reward, feedback.terminated | feedback.truncated)

    def state(self) -> dict[str, Any]:
        """Users in mid-episode, what they have given, and what scheme and exploration know on this rank."""
        online = online_state(self.module, self.env, self.finished)
        return {**super().state(), **online, "running": self.running.clone()}

    def load_state(self, state: dict[str, Any]) -> None:
        """The users go on in mid-episode."""
        super().load_state(state)
        load_online_state(self.module, self.env, self.finished, state)
        self.running = state["running"].to(self.running.device)

    def _record(self, reward: Tensor, done: Tensor) -> None:
        self.running += reward
        lengths = (self.env.length - 1)[done].float()
        self.finished.extend(zip(self.running[done].tolist(), lengths.tolist(), strict=True))
        self.module.scheme.hear(self.env.user[done], self.running[done])
        self.running[done] = 0.0
        self.env.reset(done)


def online_state(module: "OnlineAdapt", env: BatchEnv, finished: Iterable[tuple[float, float]]) -> dict[str, Any]:
    """What rollouts of both kinds go on from: users, latest episodes, and what scheme and exploration know here."""
    return {
        "env": env.state_dict(),
        "finished": [list(episode) for episode in finished],
        "scheme": module.scheme.local_state(),
        "exploration": module.exploration.state_dict(),
    }


def load_online_state(
    module: "OnlineAdapt", env: BatchEnv, finished: deque[tuple[float, float]], state: dict[str, Any]
) -> None:
    """Goes on where `online_state` was taken."""
    env.load_state_dict(state["env"])
    finished.clear()
    finished.extend((returns, length) for returns, length in state["finished"])
    module.scheme.load_local_state(state["scheme"])
    module.exploration.load_state_dict(state["exploration"])


class ReplayDataModule(LightningDataModule):
    """Simulated users for `OnlineAdapt`: a training world to learn in, a test world to be measured in.

    Args:
        log: where catalogue and sessions come from.
        reward_model: folder of a finished reward run, whose users answer.
        users: users at once, over all ranks.
        steps_per_epoch: batch steps per epoch; an epoch is users · steps_per_epoch environment steps.
        updates_per_step: gradient steps per batch step.
        batch_size: transitions per gradient step, over all ranks.
        replay_capacity: transitions kept.
        reward_scale: multiplies the users' reward of 0 to 5, so that it has the scale of the judge's 0 or 1.
        test_users: users of the test world that every evaluation plays, the same for every method.

    Attributes:
        whole_episodes: whether minibatches are of the episodes just played, rather than replayed transitions.
        shared: names of the numbers of which every rank must have an equal part.
    """

    whole_episodes = False
    shared: tuple[str, ...] = ("users", "batch_size")

    def __init__(
        self,
        log: LogSource,
        reward_model: str,
        users: int = 50,
        steps_per_epoch: int = 20,
        updates_per_step: int = 1,
        batch_size: int = 256,
        replay_capacity: int = 10_000,
        reward_scale: float = 0.2,
        test_users: int = 500,
    ) -> None:
        super().__init__()
        self.source, self.reward_model = log, reward_model
        self.users, self.steps_per_epoch, self.updates_per_step = users, steps_per_epoch, updates_per_step
        self.batch_size, self.replay_capacity = batch_size, replay_capacity
        self.reward_scale, self.test_users = reward_scale, test_users

    def setup(self, stage: str) -> None:
        """Loads the log and the users; learning and measuring differ in the first items, not in the world."""
        if hasattr(self, "log"):
            return
        self.log = self.source.load()
        world = World.load(self.reward_model, self.log.catalogue.fingerprint)
        seed = torch.initial_seed()
        assert self.trainer is not None
        first, count = share_of_rank(self.trainer, self.users, "users")
        self.env = world.env(self.log.train.first_items(), count, seed=seed, first_user=first)
        first_items = self.log.test.first_items()[: self.test_users]
        first, count = share_of_rank(self.trainer, len(first_items), "test users", exact=False)
        self.test_env = world.env(first_items, count, seed=seed, evaluation=True, first_user=first)
        self.buffer = ReplayBuffer(self.replay_capacity, seed + self.trainer.global_rank)
        self.env.reset()

    @property
    def num_items(self) -> int:
        """N of the catalogue."""
        return self.log.catalogue.num_items

    def train_dataloader(self) -> DataLoader:
        """One rollout step and its minibatches per batch step."""
        assert self.trainer is not None
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "batch_size")
        self.rollout = OnlineRollout(
            self.trainer.lightning_module,  # type: ignore[arg-type]
            self.env,
            self.buffer,
            self.steps_per_epoch,
            batch_size,
            self.updates_per_step,
            self.reward_scale,
            torch.initial_seed(),
        )
        return ResumableLoader(self.rollout, batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """One batch that says: play the test users."""
        return DataLoader(TensorDataset(self.test_env.user), batch_size=self.test_env.num_users)

    def predict_dataloader(self) -> DataLoader:
        """Histories (B, T) of the test sequences and their lengths (B,)."""
        histories = self.log.test.padded(self.env.items.shape[1] - 1)
        return DataLoader(TensorDataset(histories, (histories > 0).sum(1)), batch_size=self.batch_size)

    def test_dataloader(self) -> DataLoader:
        """The same users."""
        return self.val_dataloader()
