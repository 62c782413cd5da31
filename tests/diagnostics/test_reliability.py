"""The reliability diagram, against figures worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from ialp.data import BuiltinLog
from ialp.data.readers import CoatLog
from ialp.datamodules import SessionDataModule
from ialp.diagnostics.reliability import _binned, reliability_of_clicks, reliability_of_ratings
from ialp.nets import RatingNet
from tests.helpers.coat_files import write_coat


def test_binned_agrees_with_hand_computed_bins():
    """Two of weight 1 in the first bin, one click; in the last one click of weight 1 and one miss of weight 3."""
    edges = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    predicted = torch.tensor([0.1, 0.2, 0.8, 1.0])
    clicked, weight = torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 3.0])
    found = _binned("cases", edges, predicted, clicked, weight, {"clicks": clicked > 0, "misses": clicked == 0})
    assert found.counts["clicks"].tolist() == [1, 0, 0, 1] and found.counts["misses"].tolist() == [1, 0, 0, 1]
    assert found.predicted[[0, 3]].tolist() == pytest.approx([0.15, (0.8 + 3.0) / 4])
    assert found.actual[[0, 3]].tolist() == pytest.approx([0.5, 0.25])
    assert found.actual[1:3].isnan().all()
    assert found.error[0] == pytest.approx(math.sqrt(0.5) / 2)
    assert found.expected_error == pytest.approx((2 * 0.35 + 4 * 0.7) / 6)


def test_reliability_of_a_net_that_knows_the_odds_has_no_error(fixed):
    """With negatives drawn by popularity and as much weight on either side, an item's own odds are even."""
    data = SessionDataModule(BuiltinLog(num_tracks=60, num_sessions=400), popularity_power=1.0, smoothing=0.0)
    data.setup()
    net = fixed([0.5] * 60)
    net.intercept.fill_(-3.0)  # what is measured lies before it
    found = reliability_of_clicks(net, data)
    assert found.predicted[5] == pytest.approx(0.5) and found.actual[5] == pytest.approx(0.5, abs=1e-6)
    assert found.expected_error == pytest.approx(0.0, abs=1e-6)
    pairs = int((data.log.test.lengths - 1).sum())
    assert int(found.counts["true next items"].sum()) == pairs
    assert f"{pairs:,} true next items" in found.cases
    assert "10 negatives for each, drawn by popularity^1, that weigh 1/10 each (ratio 1:1)" in found.cases


def test_reliability_of_an_overconfident_net_has_an_error(fixed):
    data = SessionDataModule(BuiltinLog(num_tracks=60, num_sessions=400))
    data.setup()
    assert reliability_of_clicks(fixed([0.9] * 60), data).expected_error == pytest.approx(0.4, abs=1e-5)


class Constant(RatingNet):
    """Everybody gives every item the same rating."""

    def rate(self, user: Tensor, item: Tensor) -> Tensor:
        return torch.full((len(user),), 2.6)


def test_reliability_of_ratings_is_of_items_shown_at_random(tmp_path):
    log = CoatLog(str(write_coat(tmp_path))).load()
    net = Constant(30, log.num_users, 4, 6, 1.0, 5.0).eval()
    found = reliability_of_ratings(net, log)
    mean = float(log.rated_at_random.rating.mean())
    [place] = found.counts["ratings"].nonzero().flatten().tolist()
    assert found.edges[place] == 2.5 and found.edges[place + 1] == 2.75
    assert float(found.actual[place]) == pytest.approx(mean)
    assert found.expected_error == pytest.approx(abs(mean - 2.6), rel=1e-5)
    assert f"{len(log.rated_at_random):,} ratings" in found.cases
