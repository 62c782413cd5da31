"""Whether what a response net predicts of users comes true, on data that it was not trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ialp.data.rating_log import RatingLog
from ialp.datamodules.sessions import SessionDataModule
from ialp.nets.rating import RatingNet
from ialp.nets.response import ResponseNet, followed_logits

P_BINS, STARS_PER_BIN = 10, 0.25


@dataclass
class Reliability:
    """Predictions and what came true, in bins of equal width.

    Attributes:
        cases: What was predicted, in words; for clicks the negatives and their weight.
        edges: (b + 1,) of the bins.
        counts: How many cases fell into each bin (b,), by kind of case.
        predicted: (b,) mean prediction, nan in an empty bin.
        actual: (b,) what came true: share of clicks, or mean rating.
        error: (b,) standard error of that.
        expected_error: Expected calibration error: mean over the cases of |predicted - actual| of their bin.
    """

    cases: str
    edges: Tensor
    counts: dict[str, Tensor]
    predicted: Tensor
    actual: Tensor
    error: Tensor
    expected_error: float


@torch.no_grad()
def reliability_of_clicks(net: ResponseNet, data: SessionDataModule) -> Reliability:
    """True next items of the test sequences against negatives drawn as in training, p before the intercept.

    Together the negatives weigh as much as the true items, as in the loss: that is the world in which p is a
    probability. The intercept then moves p to what random policies get elsewhere, and no data could confirm it.

    Args:
        net: In eval mode.
        data: Set up.
    """
    batches = [followed_logits(net, items, drawn) for items, drawn, _ in data.val_dataloader()]
    logits, candidates = (torch.cat(part) for part in zip(*batches, strict=True))
    clicked = torch.zeros_like(candidates, dtype=torch.bool)
    clicked[:, 0] = True
    p, clicked = logits[candidates > 0].sigmoid(), clicked[candidates > 0]  # (n,)
    clicks, negatives = int(clicked.sum()), int((~clicked).sum())
    weight = torch.where(clicked, 1.0, clicks / negatives)
    cases = (
        f"{clicks:,} true next items of test sequences, and {data.negatives} negatives for each, drawn by "
        f"popularity^{data.popularity_power:g}, that weigh 1/{data.negatives} each (ratio 1:1), as in the loss"
    )
    kinds = {"true next items": clicked, "negatives": ~clicked}
    return _binned(cases, torch.linspace(0, 1, P_BINS + 1), p, clicked.float(), weight, kinds)


@torch.no_grad()
def reliability_of_ratings(net: RatingNet, log: RatingLog) -> Reliability:
    """Ratings of items that were put before users at random; none was trained on.

    Args:
        net: In eval mode.
        log: Has such ratings.
    """
    asked = log.rated_at_random
    predicted = net.table()[asked.user, asked.item]
    edges = torch.linspace(net.lowest, net.highest, round((net.highest - net.lowest) / STARS_PER_BIN) + 1)
    cases = f"{len(asked):,} ratings of items that were put before the users at random"
    everything = torch.ones(len(asked), dtype=torch.bool)
    return _binned(cases, edges, predicted, asked.rating, torch.ones(len(asked)), {"ratings": everything})


def _binned(
    cases: str, edges: Tensor, predicted: Tensor, actual: Tensor, weight: Tensor, kinds: dict[str, Tensor]
) -> Reliability:
    """Cases (n,) of the given weights, and which of them are of which kind."""
    bins = len(edges) - 1
    place = (torch.searchsorted(edges, predicted.contiguous(), right=True) - 1).clamp(0, bins - 1)

    def total(values: Tensor) -> Tensor:
        return torch.zeros(bins, dtype=torch.float64).index_add(0, place, values.double())

    mass = total(weight)
    mean_predicted, mean_actual = total(weight * predicted) / mass, total(weight * actual) / mass
    spread = total((weight * (actual - mean_actual[place])).square()).sqrt() / mass
    gap = (mean_predicted - mean_actual).abs().nan_to_num()  # an empty bin weighs nothing
    counts = {name: total(of_kind).long() for name, of_kind in kinds.items()}
    return Reliability(
        cases, edges, counts, mean_predicted, mean_actual, spread, float((mass * gap).sum() / mass.sum())
    )
