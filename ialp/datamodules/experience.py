"""What the rollouts of both algorithms share: a step in the world, then minibatches from the buffer."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch.utils.data import IterableDataset

from ialp.rl.replay import ReplayBuffer
from ialp.types import Transition


class ExperienceDataset(IterableDataset, ABC):
    """An epoch's batches, made one by one while the policy learns; it knows where it is, and can go on from there.

    Attributes:
        place: batches of the epoch that are made.
    """

    place = 0

    @abstractmethod
    def __len__(self) -> int:
        """Batches in an epoch. Without a length Lightning would fetch one ahead: rollout, rollout, update."""

    @abstractmethod
    def batch(self, place: int) -> Transition:
        """The next batch, which is that of this place in the epoch."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that the next batches depend on, beside the weights; tensors, numbers and texts."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""

    def __iter__(self) -> Iterator[Transition]:
        self.place = 0
        return self

    def __next__(self) -> Transition:
        if self.place >= len(self):
            raise StopIteration
        batch = self.batch(self.place)
        self.place += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where it is, between two batches."""
        return {"place": self.place, **self.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """This epoch goes on where `state_dict` was taken."""
        self.place = state["place"]
        self.load_state(state)


class Rollout(ExperienceDataset):
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
        return self.steps * self.updates_per_step

    def batch(self, place: int) -> Transition:
        """A minibatch, after a step where one is due."""
        if place % self.updates_per_step == 0:
            self.step()
        return self.buffer.sample(self.batch_size)

    def state(self) -> dict[str, Any]:
        """The buffer; subclasses add to it."""
        return {"buffer": self.buffer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores the buffer."""
        self.buffer.load_state_dict(state["buffer"])

    @abstractmethod
    def step(self) -> None:
        """One step of every user, stored in the buffer."""
