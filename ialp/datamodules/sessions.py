"""SessionDataModule: sequences of a log for a reward model of clicks."""

from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from ialp.data.interactions import Interactions
from ialp.data.log import Log, LogSource
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import SharedBatches, share_of_rank
from ialp.errors import require_positive
from ialp.recorded import Recorded
from ialp.rng import stream

UNIFORM_NEGATIVES = 99  # per true next item of the test sequences, for AUC and the hit rate at 10 of 100


class PopularityNegatives:
    """Draws items from Q, in proportion to popularity^power + smoothing.

    With a balanced loss the net learns log P(item | history) - log Q(item).

    Args:
        popularity: (I,) counts in the training log.
        power: Of the counts; above 1, popularity alone is no advantage.
        smoothing: Gives items without interactions a chance to be negatives, and so to be learnt at all.
        seed: Of the draws.
    """

    def __init__(self, popularity: Tensor, power: float, smoothing: float, seed: int) -> None:
        weight = popularity.double() ** power + smoothing
        weight[0] = 0
        self.cumulative = weight.cumsum(0) / weight.sum()
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, *shape: int) -> Tensor:
        """Item ids of the given shape, each by a binary search; multinomial would visit every item."""
        uniform = torch.rand(shape, dtype=torch.float64, generator=self.generator)
        return torch.searchsorted(self.cumulative, uniform, right=True).clamp(1, len(self.cumulative) - 1)


class TrainingWindows(Dataset):
    """Windows of training sequences with new negatives each time.

    Batches (`__getitems__`) are items (B, T) and candidates (B, T, 1 + n), the true next item first. A negative that
    equals the true item is 0, padding, as is everything past a sequence's end.
    """

    def __init__(self, sequences: Interactions, length: int, negatives: int, source: PopularityNegatives) -> None:
        self.items, self.following = sequences.windows(length)
        self.negatives, self.source = negatives, source

    def __len__(self) -> int:
        return len(self.items)

    def state_dict(self) -> dict[str, Any]:
        """State of the generator of the negatives."""
        return {"generator": self.source.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.source.generator.set_state(state["generator"].cpu())

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        items, following = self.items[indices], self.following[indices]
        drawn = self.source.draw(*following.shape, self.negatives)
        return items, with_negatives(following, drawn)


class ValidationWindows(Dataset):
    """Windows of test sequences with constant negatives.

    One element, indexed by a list of rows, is a batch: items (B, T), candidates with negatives drawn as in training
    (B, T, 1 + n), for the loss, and candidates with uniform negatives (B, T, 100), for AUC and hit rate.
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
    """(B, T) true next items and (B, T, n) negatives → (B, T, 1 + n), 0 for what does not count."""
    true = following.unsqueeze(-1)
    return torch.cat([true, drawn * ((drawn != true) & (true > 0))], dim=-1)


class SessionDataModule(Recorded, LightningDataModule):
    """Windows of a log's sequences with negatives: training sequences to train on, test sequences to validate on.

    Args:
        log: Source of the log.
        batch_size: Windows per batch, over all ranks.
        negatives: Negatives per true next item, drawn by popularity, so that a net learns taste rather than popularity.
        popularity_power: Negatives are drawn in proportion to their count to this power.
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
        require_positive(batch_size=batch_size, negatives=negatives, window=window)
        self.source, self.batch_size, self.negatives, self.window, self.seed = log, batch_size, negatives, window, seed
        self.popularity_power, self.smoothing = popularity_power, smoothing
        self.log: Log

    @override
    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "log"):
            return
        self.log = self.source.load()
        sizes = self.window, self.negatives
        own = self.trainer.global_rank if self.trainer else 0
        seed = stream(self.seed, f"negatives of rank {own}") if own else self.seed
        self.training = TrainingWindows(self.log.train, *sizes, self._source(seed))
        num_items = self.log.catalogue.num_items
        self.validation = ValidationWindows(self.log.test, *sizes, self._source(self.seed + 1), num_items)

    def _source(self, seed: int) -> PopularityNegatives:
        popularity = self.log.train.popularity(self.log.catalogue.num_items)
        return PopularityNegatives(popularity, self.popularity_power, self.smoothing, seed)

    @override
    def train_dataloader(self) -> DataLoader:
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "data.batch_size")
        return ResumableLoader(self.training, batch_size, shuffle=True, collate_fn=unchanged)

    @override
    def val_dataloader(self) -> DataLoader:
        batches = SharedBatches(self.trainer, len(self.validation), self.batch_size)
        return DataLoader(self.validation, batch_size=None, sampler=batches, collate_fn=unchanged)


def unchanged(batch: Any) -> Any:
    """No collation: the dataset returns whole batches."""
    return batch
