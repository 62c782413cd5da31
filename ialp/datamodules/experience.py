"""The data set between a phase that collects experience and the trainer that asks for minibatches."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch.utils.data import IterableDataset
from typing_extensions import override

from ialp.types import Transition


class Stateful(Protocol):
    """Anything that saves and restores its state."""

    def state_dict(self) -> dict[str, Any]:
        """The state: tensors, numbers and texts."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Restores what `state_dict` gave."""
        ...


class Collector(Protocol):
    """A phase as its data set sees it."""

    def collect(self) -> None:
        """Acts once for every user and stores what comes of it."""
        ...

    def rank_state_dict(self) -> dict[str, Any]:
        """The collector's own state on this process."""
        ...

    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `rank_state_dict` gave."""
        ...


class ExperienceDataset(IterableDataset):
    """An epoch of minibatches from experience that is collected while the policy learns; resumable between two batches.

    Args:
        collector: collects before every `updates_per_step`-th minibatch.
        sample: gives a minibatch of what was collected.
        parts: what collecting and sampling depend on beside the weights, saved and restored with this data set.
        steps: times that the collector collects in an epoch.
        updates_per_step: minibatches after each.
    """

    def __init__(
        self,
        collector: Collector,
        sample: Callable[[], Transition],
        parts: Mapping[str, Stateful],
        steps: int,
        updates_per_step: int = 1,
    ) -> None:
        self.collector, self.sample, self.parts = collector, sample, parts
        self.steps, self.updates_per_step = steps, updates_per_step
        self.place = 0  # minibatches of this epoch that are made

    def __len__(self) -> int:
        # Without a length Lightning would fetch one batch ahead: collect, collect, update.
        return self.steps * self.updates_per_step

    @override
    def __iter__(self) -> Iterator[Transition]:
        self.place = 0
        return self

    def __next__(self) -> Transition:
        if self.place >= len(self):
            raise StopIteration
        if self.place % self.updates_per_step == 0:
            self.collector.collect()
        batch = self.sample()
        self.place += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where it is, between two batches, with the state of all that the next ones depend on."""
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        return {"place": self.place, "collector": self.collector.rank_state_dict(), "parts": parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """This epoch goes on where `state_dict` was taken."""
        self.place = state["place"]
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.collector.load_rank_state_dict(state["collector"])
