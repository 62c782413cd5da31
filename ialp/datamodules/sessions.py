"""SessionDataModule: what the reward model learns from."""

from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import SharedBatches, share_of_rank
from ialp.errors import UserError
from ialp.recorded import Recorded
from ialp.rng import stream

UNIFORM_NEGATIVES = 99  # per true next item of the test sequences: hit rate at 10 of 100


class PopularityNegatives:
    """Draws items in proportion to popularity^power + smoothing.

    With the loss balanced, the net learns log P(item | history) - log Q(item), Q being what is drawn here: with a power
    above 1 fame counts less than nothing.

    Args:
        popularity: (I,) counts in the training log.
        power: Of the counts.
        smoothing: For items that nobody met: they must turn up as negatives, too, or they would never be learnt at all.
        seed: Of the draws.
    """

    def __init__(self, popularity: Tensor, power: float, smoothing: float, seed: int) -> None:
        weight = popularity.double() ** power + smoothing
        weight[0] = 0
        self.cumulative = weight.cumsum(0) / weight.sum()
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, *shape: int) -> Tensor:
        """Item ids of the given shape; a binary search each, where multinomial would touch every item."""
        uniform = torch.rand(shape, dtype=torch.float64, generator=self.generator)
        return torch.searchsorted(self.cumulative, uniform, right=True).clamp(1, len(self.cumulative) - 1)


class TrainingWindows(Dataset):
    """Windows of training sequences with fresh negatives each time.

    One element is a whole batch (`__getitems__`): items (B, T), candidates (B, T, 1 + n), the true next item first.
    Where a negative happens to be the true item it is 0, padding, as is everything behind a sequence's end.
    """

    def __init__(self, sequences: Interactions, length: int, negatives: int, source: PopularityNegatives) -> None:
        self.items, self.following = sequences.windows(length)
        self.negatives = negatives
        self.source = source

    def __len__(self) -> int:
        return len(self.items)

    def state_dict(self) -> dict[str, Any]:
        """The generator of the negatives."""
        return {"generator": self.source.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on drawing where `state_dict` was taken."""
        self.source.generator.set_state(state["generator"].cpu())

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        items, following = self.items[indices], self.following[indices]
        drawn = self.source.draw(*following.shape, self.negatives)
        return items, with_negatives(following, drawn)


class ValidationWindows(Dataset):
    """Windows of test sequences with negatives that never change.

    One element is a whole batch: items (B, T), candidates with negatives drawn as in training (B, T, 1 + n), for the
    loss, and candidates with uniform negatives (B, T, 100), for AUC and hit rate; its index is the list of its rows.
    """

    def __init__(
        self, sequences: Interactions, length: int, negatives: int, source: PopularityNegatives, num_items: int
    ) -> None:
        self.items, self.following = sequences.windows(length)
        self.drawn = with_negatives(self.following, source.draw(*self.following.shape, negatives))
        shape = (*self.following.shape, UNIFORM_NEGATIVES)
        uniform = torch.randint(1, num_items + 1, shape, generator=source.generator)
        self.uniform = with_negatives(self.following, uniform)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        return self.items[indices], self.drawn[indices], self.uniform[indices]


def with_negatives(following: Tensor, drawn: Tensor) -> Tensor:
    """(B, T) true next items and (B, T, n) negatives → (B, T, 1 + n), 0 for what must not count."""
    true = following.unsqueeze(-1)
    return torch.cat([true, drawn * ((drawn != true) & (true > 0))], dim=-1)


class SessionDataModule(Recorded, LightningDataModule):
    """The log as windows of true next items and negatives: training sequences to learn, test sequences to validate.

    Args:
        log: Where the log comes from.
        batch_size: Windows per batch, over all ranks.
        negatives: Negatives per true next item, drawn by popularity, so that taste counts and not fame.
        popularity_power: Items are drawn in proportion to their count to this power.
        smoothing: Added to that, for items that the training part does not hold.
        window: Longest history.
        seed: Of the negatives.
    """

    def __init__(
        self,
        log: LogSource,
        batch_size: int = 128,
        negatives: int = 10,
        popularity_power: float = 1.25,
        smoothing: float = 1.0,
        window: int = 20,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("negatives", negatives), ("window", window)):
            if value < 1:
                raise UserError(f"data.{name} is {value}: it must be at least 1")
        self.source = log
        self.batch_size = batch_size
        self.negatives = negatives
        self.popularity_power = popularity_power
        self.smoothing = smoothing
        self.window = window
        self.seed = seed
        self.log: Log

    @property
    def num_items(self) -> int:
        """N of the loaded log."""
        return self.log.catalogue.num_items

    def setup(self, stage: str | None = None) -> None:
        """Load the log and cut it into windows, once."""
        if hasattr(self, "log"):
            return
        self.log = self.source.load()
        sizes = self.window, self.negatives
        own = self.trainer.global_rank if self.trainer else 0
        seed = stream(self.seed, f"negatives of rank {own}") if own else self.seed
        self.training = TrainingWindows(self.log.train, *sizes, self._source(seed))
        self.validation = ValidationWindows(self.log.test, *sizes, self._source(self.seed + 1), self.num_items)

    def _source(self, seed: int) -> PopularityNegatives:
        popularity = self.log.train.popularity(self.num_items)
        return PopularityNegatives(popularity, self.popularity_power, self.smoothing, seed)

    def train_dataloader(self) -> DataLoader:
        """Batches of (items (B, T), candidates (B, T, 1 + negatives)), shuffled."""
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "data.batch_size")
        return ResumableLoader(self.training, batch_size, shuffle=True, collate_fn=unchanged)

    def val_dataloader(self) -> DataLoader:
        """Batches of (items, candidates as in training, candidates with uniform negatives) of the test sequences."""
        batches = SharedBatches(self.trainer, len(self.validation), self.batch_size)
        return DataLoader(self.validation, batch_size=None, sampler=batches, collate_fn=unchanged)


def unchanged(batch: Any) -> Any:
    """The batch as its dataset made it."""
    return batch
