"""What a reward model learns from: clicks or ratings, with their measures and what is calibrated afterwards."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, mse_loss
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError, MetricCollection
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy

from ialp.data.log import Log
from ialp.data.rating_log import RatingLog
from ialp.datamodules.ratings import naive_predictions
from ialp.datamodules.sessions import UNIFORM_NEGATIVES
from ialp.distributed import weight_of_rank
from ialp.envs import ExitRule, PatienceExit, SimilarityExit, World
from ialp.envs.calibration import Calibration, calibrate, calibrate_exit
from ialp.errors import UserError
from ialp.nets.rating import RatingNet
from ialp.nets.response import ResponseNet, followed_logits
from ialp.recorded import Recorded

logger = logging.getLogger(__name__)

HIT_AT = 10


class Objective(Recorded, ABC):
    """Loss, measures and calibration of a reward model. YAML picks the subclass, together with net and DataModule."""

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """What `update_metrics` updates; `val_loss` is among it."""

    @abstractmethod
    def make_net(self, make: Callable[..., ResponseNet], log: Log) -> ResponseNet:
        """The net, as wide as the log."""

    @abstractmethod
    def exit_rules(self) -> list[ExitRule]:
        """When users leave, where the config does not say."""

    @abstractmethod
    def loss(self, net: ResponseNet, batch: Any) -> Tensor:
        """() the loss of a training batch."""

    @abstractmethod
    def update_metrics(self, net: ResponseNet, metrics: MetricCollection, batch: Any) -> None:
        """Updates the metrics with a validation batch."""

    @abstractmethod
    def calibrate(self, world: World, log: Log, first_items: Tensor) -> dict[str, Any]:
        """Fits the world to what random policies get elsewhere, prints that, and returns it with further figures."""


class Clicks(Objective):
    """p = P(click | history, item), by one binary loss on true next items and negatives; for a `SequentialResponse`.

    Args:
        target_reward: Average reward that the uniformly random policy shall get in the test world.
    """

    def __init__(self, target_reward: float = 0.4) -> None:
        self.target_reward = target_reward

    def metrics(self) -> MetricCollection:
        """Loss, and AUC and hit rate at 10 against uniform negatives."""
        return MetricCollection(
            {
                "val_loss": MeanMetric(),
                "val_auc": BinaryAUROC(),
                "val_hit_rate": MulticlassAccuracy(UNIFORM_NEGATIVES + 1, top_k=HIT_AT, average="micro"),
            },
            compute_groups=False,  # each is fed differently
        )

    def make_net(self, make: Callable[..., ResponseNet], log: Log) -> ResponseNet:
        """A net of N items."""
        return make(log.catalogue.num_items)

    def exit_rules(self) -> list[ExitRule]:
        """Patience alone."""
        return [PatienceExit()]

    def loss(self, net: ResponseNet, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Of items (B, T) and candidates (B, T, K), the true next item first, 0 where there is none."""
        click, no_click = binary_losses(*followed_logits(net, *batch))
        return (click.mean() * weight_of_rank(len(click)) + no_click.mean() * weight_of_rank(len(no_click))) / 2

    def update_metrics(self, net: ResponseNet, metrics: MetricCollection, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        """Items (B, T), candidates drawn as in training, and candidates drawn uniformly."""
        items, drawn, uniform = batch
        logits, candidates = followed_logits(net, items, drawn)
        metrics["val_loss"].update(binary_loss(logits, candidates), len(logits))
        logits, candidates = followed_logits(net, items, uniform)
        target = torch.zeros_like(candidates)
        target[:, 0] = 1
        valid = candidates > 0
        metrics["val_auc"].update(logits[valid], target[valid])
        metrics["val_hit_rate"].update(logits.masked_fill(~valid, -torch.inf), torch.zeros_like(target[:, 0]))

    def calibrate(self, world: World, log: Log, first_items: Tensor) -> dict[str, Any]:
        """One intercept on the logit."""
        calibration = calibrate(world, first_items, self.target_reward)
        announce(calibration)
        return {"calibration": asdict(calibration)}


def binary_loss(logits: Tensor, candidates: Tensor) -> Tensor:
    """Binary cross-entropy, in nats: the first of the K candidates is a click, the others are none, 0 does not count.

    The mean over clicks plus the mean over negatives, halved: with as much weight on either side, the logit of an item
    that follows as often as its popularity says is 0, and so is that of an item about which nothing is known.

    Args:
        logits: (M, K).
        candidates: (M, K).
    """
    click, no_click = binary_losses(logits, candidates)
    return (click.mean() + no_click.mean()) / 2


def binary_losses(logits: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """The two parts of `binary_loss`, each of its own length: of the clicks (M,), and of all negatives that count."""
    return -logsigmoid(logits[:, 0]), -logsigmoid(-logits[:, 1:])[candidates[:, 1:] > 0]


def announce(calibration: Calibration) -> None:
    """Prints what the calibration has reached, and warns where that is not enough."""
    found = f"average reward {calibration.average_reward:.3f}, length {calibration.length:.2f}"
    print(f"calibration: intercept {calibration.intercept:+.3f}, the uniformly random policy gets {found}")
    if not calibration.in_range:
        logger.warning("the calibrated random policy (%s) is outside 0.3–0.5 and 5.0–5.5", found)


class Ratings(Objective):
    """Ratings by their squared error; for a `DeepFM` and a log with ratings.

    Args:
        target_length: Mean episode length that the uniformly random policy shall get in the test world, by the
            threshold of the `SimilarityExit`.
    """

    def __init__(self, target_length: float = 13.0) -> None:
        self.target_length = target_length

    def metrics(self) -> MetricCollection:
        """Mean squared error as the loss, and its root and the mean absolute error, in stars."""
        return MetricCollection(
            {
                "val_loss": MeanSquaredError(),
                "val_rmse": MeanSquaredError(squared=False),
                "val_mae": MeanAbsoluteError(),
            }
        )

    def make_net(self, make: Callable[..., ResponseNet], log: Log) -> ResponseNet:
        """A net of the log's users, items and features, that starts at the mean rating."""
        if not isinstance(log, RatingLog):
            raise UserError(
                f"{log.name}: this log has no ratings; objective Ratings takes one such as ialp.data.readers.CoatLog"
            )
        users, items = log.user_features, log.item_features
        widths = {"num_users": len(users), "user_width": users.shape[1], "item_width": items.shape[1]}
        try:
            net = make(log.catalogue.num_items, **widths)
        except TypeError:
            raise UserError("objective Ratings: model.net must be a RatingNet, such as ialp.nets.DeepFM") from None
        _rating_net(net).start_from(users, items, float(log.rated.rating.mean()))
        return net

    def exit_rules(self) -> list[ExitRule]:
        """Too much of the same."""
        return [SimilarityExit()]

    def loss(self, net: ResponseNet, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Of users (B,) from 0, items (B,) and ratings (B,)."""
        user, item, rating = batch
        return mse_loss(_rating_net(net).rate(user, item), rating)

    def update_metrics(self, net: ResponseNet, metrics: MetricCollection, batch: tuple[Tensor, Tensor, Tensor]) -> None:
        """The same of a validation batch, the predictions within their bounds."""
        user, item, rating = batch
        metrics.update(net.activation(_rating_net(net).rate(user, item)), rating)

    def calibrate(self, world: World, log: Log, first_items: Tensor) -> dict[str, Any]:
        """The threshold of the exit; also RMSE and MAE on the random ratings, beside the naive predictors."""
        assert isinstance(log, RatingLog)
        found = calibrate_exit(world, first_items, self.target_length)
        print(
            f"calibration: similarity threshold {found.threshold:.3f}, the uniformly random policy gets return "
            f"{found.average_return:.1f}, length {found.length:.2f}"
        )
        test = log.rated_at_random
        predictions = naive_predictions(log.rated, test, log.num_users, log.catalogue.num_items)
        predictions["net"] = _rating_net(world.response).table()[test.user, test.item]
        errors = {}
        for name, predicted in predictions.items():
            wrong = predicted - test.rating
            errors[name] = {"rmse": float(wrong.square().mean().sqrt()), "mae": float(wrong.abs().mean())}
            print(f"random ratings, {name}: RMSE {errors[name]['rmse']:.4f}, MAE {errors[name]['mae']:.4f}")
        return {"calibration": asdict(found), "random_ratings": errors}


def _rating_net(net: ResponseNet) -> RatingNet:
    if not isinstance(net, RatingNet):
        raise UserError(f"objective Ratings: {type(net).__name__} is no RatingNet; take ialp.nets.DeepFM")
    return net
