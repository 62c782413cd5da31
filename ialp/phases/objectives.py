"""Objectives of a reward model, clicks or ratings: the loss, the metrics and what is calibrated afterwards."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, mse_loss
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError, MetricCollection
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy
from typing_extensions import override

from ialp.data.log import Log
from ialp.data.rating_log import RatingLog
from ialp.datamodules.ratings import naive_predictions
from ialp.datamodules.sessions import UNIFORM_NEGATIVES
from ialp.distributed import weight_of_rank
from ialp.envs import ExitRule, PatienceExit, SimilarityExit, World
from ialp.envs.calibration import calibrate, calibrate_exit
from ialp.errors import UserError
from ialp.nets.rating import RatingNet
from ialp.nets.response import ResponseNet, followed_logits
from ialp.recorded import Recorded

HIT_AT = 10


class Objective(Recorded, ABC):
    """Loss, metrics and calibration of a reward model."""

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Validation metrics; `val_loss` is among them."""

    @abstractmethod
    def make_net(self, make: Callable[..., ResponseNet], log: Log) -> ResponseNet:
        """The net, with the sizes of the log."""

    @abstractmethod
    def exit_rules(self) -> list[ExitRule]:
        """The default exit rules."""

    @abstractmethod
    def loss(self, net: ResponseNet, batch: Any) -> Tensor:
        """() loss of a training batch."""

    @abstractmethod
    def update_metrics(self, net: ResponseNet, metrics: MetricCollection, batch: Any) -> None:
        """Updates `metrics` with a validation batch."""

    @abstractmethod
    def calibrate(self, world: World, log: Log, first_items: Tensor) -> dict[str, Any]:
        """Fits the world to what the paper's random policies get; prints and returns the result."""


class Clicks(Objective):
    """p = P(click | history, item) by binary cross-entropy on true next items and negatives, for `SessionDataModule`.

    Training batches are items (B, T) and candidates (B, T, K), the true next item first, 0 where there is none;
    validation batches have the same and candidates drawn uniformly. The intercept of the logit is calibrated.

    Args:
        target_reward: Average reward of the uniformly random policy in the calibrated test world.
    """

    def __init__(self, target_reward: float = 0.4) -> None:
        self.target_reward = target_reward

    @override
    def metrics(self) -> MetricCollection:
        return MetricCollection(
            {
                "val_loss": MeanMetric(),
                "val_auc": BinaryAUROC(),
                "val_hit_rate": MulticlassAccuracy(UNIFORM_NEGATIVES + 1, top_k=HIT_AT, average="micro"),
            },
            compute_groups=False,  # each is updated with other values
        )

    @override
    def make_net(self, make: Callable[..., ResponseNet], log: Log) -> ResponseNet:
        return make(log.catalogue.num_items)

    @override
    def exit_rules(self) -> list[ExitRule]:
        return [PatienceExit()]

    @override
    def loss(self, net: ResponseNet, batch: tuple[Tensor, Tensor]) -> Tensor:
        click, no_click = binary_losses(*followed_logits(net, *batch))
        return (click.mean() * weight_of_rank(len(click)) + no_click.mean() * weight_of_rank(len(no_click))) / 2

    @override
    def update_metrics(self, net: ResponseNet, metrics: MetricCollection, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        items, drawn, uniform = batch
        logits, candidates = followed_logits(net, items, drawn)
        metrics["val_loss"].update(binary_loss(logits, candidates), len(logits))
        logits, candidates = followed_logits(net, items, uniform)
        target = torch.zeros_like(candidates)
        target[:, 0] = 1
        valid = candidates > 0
        metrics["val_auc"].update(logits[valid], target[valid])
        metrics["val_hit_rate"].update(logits.masked_fill(~valid, -torch.inf), torch.zeros_like(target[:, 0]))

    @override
    def calibrate(self, world: World, log: Log, first_items: Tensor) -> dict[str, Any]:
        found = calibrate(world, first_items, self.target_reward)
        print(
            f"calibration: intercept {found['intercept']:+.3f}, the uniformly random policy gets average reward "
            f"{found['average_reward']:.3f}, length {found['length']:.2f}"
        )
        return {"calibration": found}


def binary_loss(logits: Tensor, candidates: Tensor) -> Tensor:
    """Binary cross-entropy of (M, K) candidates: the first is a click, the others are not, 0 does not count.

    Half the mean over clicks plus half the mean over negatives. With equal weight on either side, the logit is 0 for an
    item that follows as often as its popularity predicts, and for one about which nothing is known.
    """
    click, no_click = binary_losses(logits, candidates)
    return (click.mean() + no_click.mean()) / 2


def binary_losses(logits: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """The terms of `binary_loss`: of the clicks (M,), and of all negatives that count (n,)."""
    return -logsigmoid(logits[:, 0]), -logsigmoid(-logits[:, 1:])[candidates[:, 1:] > 0]


class Ratings(Objective):
    """Ratings by mean squared error, for a `RatingNet`, a log with ratings and `RatingsDataModule`.

    Batches are users (B,) from 0, items (B,) and ratings (B,). The threshold of the `SimilarityExit` is calibrated.

    Args:
        target_length: Mean episode length of the uniformly random policy in the calibrated test world.
    """

    def __init__(self, target_length: float = 13.0) -> None:
        self.target_length = target_length

    @override
    def metrics(self) -> MetricCollection:
        errors = {"val_loss": MeanSquaredError(), "val_rmse": MeanSquaredError(squared=False)}
        return MetricCollection({**errors, "val_mae": MeanAbsoluteError()})

    @override
    def make_net(self, make: Callable[..., ResponseNet], log: Log) -> ResponseNet:
        if not isinstance(log, RatingLog):
            raise UserError(
                f"{log.name}: this log has no ratings; objective Ratings takes one such as ialp.data.readers.CoatLog"
            )
        users, items = log.user_features, log.item_features
        widths = {"num_users": len(users), "user_width": users.shape[1], "item_width": items.shape[1]}
        try:
            net = make(log.catalogue.num_items, **widths)
        except TypeError:  # a net that takes no features
            net = None
        if not isinstance(net, RatingNet):
            raise UserError("objective Ratings: model.net must be a RatingNet, such as ialp.nets.DeepFM")
        net.start_from(users, items, float(log.rated.rating.mean()))
        return net

    @override
    def exit_rules(self) -> list[ExitRule]:
        return [SimilarityExit()]

    @override
    def loss(self, net: ResponseNet, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        assert isinstance(net, RatingNet)
        user, item, rating = batch
        return mse_loss(net.rate(user, item), rating)

    @override
    def update_metrics(self, net: ResponseNet, metrics: MetricCollection, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        assert isinstance(net, RatingNet)
        user, item, rating = batch
        metrics.update(net.activation(net.rate(user, item)), rating)

    @override
    def calibrate(self, world: World, log: Log, first_items: Tensor) -> dict[str, Any]:
        assert isinstance(log, RatingLog) and isinstance(world.response, RatingNet)
        found = calibrate_exit(world, first_items, self.target_length)
        print(
            f"calibration: similarity threshold {found['threshold']:.3f}, the uniformly random policy gets return "
            f"{found['average_return']:.1f}, length {found['length']:.2f}"
        )
        test = log.rated_at_random
        predictions = naive_predictions(log.rated, test, log.num_users, log.catalogue.num_items)
        predictions["net"] = world.response.table()[test.user, test.item]
        errors = {}
        for name, predicted in predictions.items():
            error = predicted - test.rating
            errors[name] = {"rmse": float(error.square().mean().sqrt()), "mae": float(error.abs().mean())}
            print(f"random ratings, {name}: RMSE {errors[name]['rmse']:.4f}, MAE {errors[name]['mae']:.4f}")
        return {"calibration": found, "random_ratings": errors}
