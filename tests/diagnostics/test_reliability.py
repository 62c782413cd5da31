"""The calibration error of nets whose error is known."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from ialp.data import BuiltinLog
from ialp.data.readers import CoatLog
from ialp.datamodules import SessionDataModule
from ialp.diagnostics.reliability import binned_error, calibration_error
from ialp.nets import RatingNet
from tests.helpers.coat_files import write_coat


def test_binned_error_agrees_with_hand_computed_bins():
    """Two of weight 1 in the first bin, one click; in the last one click of weight 1 and one miss of weight 3."""
    edges = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    predicted = torch.tensor([0.1, 0.2, 0.8, 1.0])
    clicked, weight = torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 3.0])
    # Mean predictions 0.15 and 0.95, outcomes 0.5 and 0.25.
    assert binned_error(predicted, clicked, weight, edges) == pytest.approx((2 * 0.35 + 4 * 0.7) / 6)


def test_calibration_error_of_a_net_that_knows_the_odds_is_zero(fixed):
    """With negatives drawn by popularity and as much weight on either side, an item's own odds are even."""
    data = SessionDataModule(BuiltinLog(num_tracks=60, num_sessions=400), popularity_power=1.0, smoothing=0.0)
    data.setup()
    net = fixed([0.5] * 60)
    net.intercept.fill_(-3.0)  # what is measured lies before it
    assert calibration_error(net, data) == pytest.approx(0.0, abs=1e-6)
    assert calibration_error(fixed([0.9] * 60), data) == pytest.approx(0.4, abs=1e-5)


class Constant(RatingNet):
    """Everybody gives every item the same rating."""

    def rate(self, user: Tensor, item: Tensor) -> Tensor:
        return torch.full((len(user),), 2.6)


def test_calibration_error_of_ratings_is_of_items_shown_at_random(tmp_path):
    log = CoatLog(str(write_coat(tmp_path))).load()
    net = Constant(30, log.num_users, 4, 6, 1.0, 5.0).eval()
    mean = float(log.rated_at_random.rating.mean())
    assert calibration_error(net, SimpleNamespace(log=log)) == pytest.approx(abs(mean - 2.6), rel=1e-5)
