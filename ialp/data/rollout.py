"""What the rollouts of both algorithms share: a step in the world, then minibatches from the buffer."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from torch.utils.data import IterableDataset

from ialp.rl.replay import ReplayBuffer
from ialp.types import Transition


class Rollout(IterableDataset, ABC):
    """Acts and stores (`step`), then yields minibatches; the update is the module's training step.

    Args:
        buffer: where transitions are kept.
        steps: batch steps per epoch.
        batch_size: transitions per minibatch.
        updates_per_step: minibatches per batch step.
    """

    def __init__(self, buffer: ReplayBuffer, steps: int, batch_size: int, updates_per_step: int) -> None:
        self.buffer, self.steps = buffer, steps
        self.batch_size, self.updates_per_step = batch_size, updates_per_step

    def __len__(self) -> int:
        # Without a length Lightning would fetch one batch ahead: rollout, rollout, update.
        return self.steps * self.updates_per_step

    def __iter__(self) -> Iterator[Transition]:
        for _ in range(self.steps):
            self.step()
            for _ in range(self.updates_per_step):
                yield self.buffer.sample(self.batch_size)

    @abstractmethod
    def step(self) -> None:
        """One step of every user, stored in the buffer."""
