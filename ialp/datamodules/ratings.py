"""RatingsDataModule: ratings for a reward model, and naive predictors to compare it with."""

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from ialp.data.log import LogSource
from ialp.data.rating_log import RatingLog, Ratings
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import SharedBatches, share_of_rank
from ialp.errors import UserError, require_positive
from ialp.recorded import Recorded


class RatingsDataModule(Recorded, LightningDataModule):
    """Ratings that users chose to give, for training and early stopping; ratings of random items are for the report.

    Batches are users (B,) from 0, items (B,) and ratings (B,).

    Args:
        log: Source of the log.
        batch_size: Ratings per batch, over all ranks.
        validation: Fraction of the ratings that is held out.
        seed: Of the split.
    """

    def __init__(self, log: LogSource, batch_size: int = 256, validation: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        require_positive(batch_size=batch_size)
        if not 0 < validation < 1:
            raise UserError(f"data.validation is {validation}: it must lie between 0 and 1")
        self.source, self.batch_size, self.validation, self.seed = log, batch_size, validation, seed
        self.log: RatingLog

    @override
    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "log"):
            return
        log = self.source.load()
        if not isinstance(log, RatingLog):
            raise UserError(
                f"{log.name}: this log has no ratings; RatingsDataModule takes one such as ialp.data.readers.CoatLog"
            )
        self.log = log
        self._training, self._held_out = log.rated.split(self.validation, self.seed)

    @override
    def train_dataloader(self) -> DataLoader:
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "data.batch_size")
        return ResumableLoader(_dataset(self._training), batch_size, shuffle=True)

    @override
    def val_dataloader(self) -> DataLoader:
        batches = SharedBatches(self.trainer, len(self._held_out), self.batch_size)
        return DataLoader(_dataset(self._held_out), batch_size=None, sampler=batches)


def _dataset(ratings: Ratings) -> TensorDataset:
    return TensorDataset(ratings.user, ratings.item, ratings.rating)


def naive_predictions(known: Ratings, asked: Ratings, num_users: int, num_items: int) -> dict[str, Tensor]:
    """Predictions (n,) for `asked` from the mean of the `known` ratings, and from the mean with user and item biases.

    The biases minimise the squared error with a ridge, by alternating least squares (Koren, 2010, section 2.1).
    """
    mean = known.rating.mean()
    user_bias, item_bias = torch.zeros(num_users), torch.zeros(num_items + 1)
    for _ in range(20):
        rest = known.rating - mean - user_bias[known.user]
        item_bias = _ridge_mean(rest, known.item, num_items + 1, 10.0)
        rest = known.rating - mean - item_bias[known.item]
        user_bias = _ridge_mean(rest, known.user, num_users, 15.0)
    biased = mean + user_bias[asked.user] + item_bias[asked.item]
    return {"global mean": mean.expand(len(asked)), "user and item bias": biased}


def _ridge_mean(values: Tensor, group: Tensor, groups: int, ridge: float) -> Tensor:
    total = torch.zeros(groups).index_add(0, group, values)
    return total / (torch.bincount(group, minlength=groups) + ridge)
