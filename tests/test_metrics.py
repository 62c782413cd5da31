"""Return, length and average reward against numbers worked out by hand."""

import pytest
import torch

from ialp.metrics import AverageReward, EpisodeLength, EpisodeReturn

RETURNS, LENGTHS = torch.tensor([2.0, 10.0, 0.0]), torch.tensor([4, 20, 5])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(EpisodeReturn(), 4.0), (EpisodeLength(), 29 / 3), (AverageReward(), 12 / 29)],
)
def test_hand_computed(metric, expected):
    metric.update(RETURNS, LENGTHS)
    assert metric.compute().item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", [EpisodeReturn, EpisodeLength, AverageReward])
def test_batches_of_unequal_size_add_up(kind):
    whole, parts = kind(), kind()
    whole.update(RETURNS, LENGTHS)
    parts.update(RETURNS[:1], LENGTHS[:1])
    parts.update(RETURNS[1:], LENGTHS[1:])
    assert parts.compute() == whole.compute()


def test_the_average_is_of_recommendations_not_of_episodes():
    metric = AverageReward()
    metric.update(torch.tensor([1.0, 20.0]), torch.tensor([1, 2]))
    assert metric.compute().item() == pytest.approx(7.0)  # the mean of 1/1 and 20/2 would be 5.5


@pytest.mark.parametrize("kind", [EpisodeReturn, EpisodeLength, AverageReward])
def test_ranks_are_summed(kind):
    """The states are declared as sums, so that what two ranks gathered becomes the figure of all episodes."""
    ranks = [kind(), kind()]
    ranks[0].update(RETURNS[:1], LENGTHS[:1])
    ranks[1].update(RETURNS[1:], LENGTHS[1:])
    together = kind()
    together.update(RETURNS[:0], LENGTHS[:0])
    for state, reduce in together._reductions.items():
        setattr(together, state, reduce(torch.stack([getattr(rank, state) for rank in ranks])))
    whole = kind()
    whole.update(RETURNS, LENGTHS)
    assert together.compute() == whole.compute()


def test_many_small_rewards_do_not_drift():
    metric = EpisodeReturn()
    for _ in range(2000):
        metric.update(torch.full((50,), 0.1), torch.ones(50))
    assert metric.compute().item() == pytest.approx(0.1, rel=1e-4)


def test_reset_forgets():
    metric = EpisodeReturn()
    metric.update(RETURNS, LENGTHS)
    metric.reset()
    metric.update(torch.tensor([7.0]), torch.tensor([3]))
    assert metric.compute() == 7.0


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_no_episode_is_nan_rather_than_zero():
    assert EpisodeReturn().compute().isnan()
