"""Expected calibration error of a response net on data that it was not trained on."""

from typing import Any

import torch
from torch import Tensor

from ialp.data.rating_log import RatingLog
from ialp.datamodules.sessions import SessionDataModule
from ialp.nets.rating import RatingNet
from ialp.nets.response import ResponseNet, followed_logits

P_BINS, STARS_PER_BIN = 10, 0.25


@torch.no_grad()
def calibration_error(net: ResponseNet, data: Any) -> float | None:
    """Mean distance of predictions from what came true, over bins of equal width; None without held-out data.

    Clicks: true next items of the test sequences against negatives drawn as in training, p before the intercept; all
    negatives together weigh as much as the true items, as in the loss. Ratings: those of items shown at random.

    Args:
        net: In eval mode.
        data: The DataModule it was trained on, set up.
    """
    if isinstance(data, SessionDataModule):
        batches = [followed_logits(net, items, drawn) for items, drawn, _ in data.val_dataloader()]
        logits, candidates = (torch.cat(part) for part in zip(*batches, strict=True))
        clicked = torch.zeros_like(logits)
        clicked[:, 0] = 1
        predicted, actual = logits[candidates > 0].sigmoid(), clicked[candidates > 0]  # (n,)
        weight = torch.where(actual > 0, 1.0, actual.sum() / (1 - actual).sum())
        return binned_error(predicted, actual, weight, torch.linspace(0, 1, P_BINS + 1))
    if isinstance(net, RatingNet) and isinstance(data.log, RatingLog):
        asked = data.log.rated_at_random
        edges = torch.linspace(net.lowest, net.highest, round((net.highest - net.lowest) / STARS_PER_BIN) + 1)
        return binned_error(net.table()[asked.user, asked.item], asked.rating, torch.ones(len(asked)), edges)
    return None


def binned_error(predicted: Tensor, actual: Tensor, weight: Tensor, edges: Tensor) -> float:
    """Weighted mean over n cases of |mean prediction - mean outcome| of their bin; edges are those of the bins."""
    bins = len(edges) - 1
    place = (torch.searchsorted(edges, predicted.contiguous(), right=True) - 1).clamp(0, bins - 1)
    gap = torch.zeros(bins, dtype=torch.float64).index_add(0, place, (weight * (predicted - actual)).double())
    return float(gap.abs().sum() / weight.double().sum())
