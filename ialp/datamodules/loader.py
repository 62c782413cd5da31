"""A DataLoader that can go on in the middle of an epoch."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, IterableDataset
from typing_extensions import override

from ialp.rng import restore_rng_state, rng_state


class ResumableLoader(DataLoader):
    """A DataLoader whose epoch goes on where a checkpoint was written, with the batches of an unbroken run.

    An iterable dataset with `state_dict` and `load_state_dict` goes on by itself. Of any other dataset the batches that
    were trained on are drawn again and left out; where it has a generator of its own, these two methods save that.

    Attributes:
        between_batches: called before each batch is drawn, when all work on the batch before it is done. Lightning's
            own hooks come earlier, before the step is logged and validated, or later, when the next batch is drawn.
    """

    between_batches: Callable[[], None] | None = None
    _target: dict[str, Any] | None = None
    _drawn = 0
    _epoch_rng: dict[str, Any] | None = None

    @override
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return self._batches(super().__iter__())  # torch draws a seed here, not at the first batch

    def position(self) -> dict[str, Any]:
        """Where the epoch is, between two batches, and all generators of this process.

        It is not called `state_dict`, or Lightning would add that of the first rank to every checkpoint.
        """
        state = self.dataset.state_dict() if hasattr(self.dataset, "state_dict") else None
        return {"drawn": self._drawn, "epoch_rng": self._epoch_rng, "rng": rng_state(), "dataset": state}

    def go_to(self, position: dict[str, Any]) -> None:
        """Let the next batch be the one that followed when `position` was taken."""
        self._target = position

    def load_dataset(self, position: dict[str, Any]) -> None:
        """Give the dataset the state that it had when `position` was taken."""
        if position["dataset"] is not None:
            self.dataset.load_state_dict(position["dataset"])  # type: ignore[attr-defined]

    def _batches(self, batches: Iterator[Any]) -> Iterator[Any]:
        self._drawn, self._epoch_rng = 0, rng_state()
        if self._target is not None:
            self._move(batches, self._target)
        while True:
            if self.between_batches is not None:
                self.between_batches()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._drawn += 1
            yield batch

    def _move(self, batches: Iterator[Any], position: dict[str, Any]) -> None:
        self._target = None
        self._drawn, self._epoch_rng = position["drawn"], position["epoch_rng"]
        if not (isinstance(self.dataset, IterableDataset) and hasattr(self.dataset, "load_state_dict")):
            restore_rng_state(position["epoch_rng"])
            for _ in range(position["drawn"]):
                next(batches)
        self.load_dataset(position)
        restore_rng_state(position["rng"])
