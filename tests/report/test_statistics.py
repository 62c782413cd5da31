"""Means, intervals and probabilities against hand-computed cases and against scipy's own bootstrap."""

import numpy as np
import pytest
from scipy.stats import bootstrap, mannwhitneyu

from ialp.report.statistics import band, mean, paired_difference, probability_of_improvement, ratio_of_means

VALUES = [3.1, 4.7, 2.2, 5.9, 4.1]


def of_scipy(samples, statistic, **how):
    found = bootstrap(
        samples, statistic, method="percentile", n_resamples=9_999, rng=np.random.default_rng(0), **how
    ).confidence_interval
    return found.low, found.high


def test_mean_has_scipys_interval():
    found = mean(VALUES)
    assert found.value == pytest.approx(4.0) and found.n == 5
    assert (found.low, found.high) == pytest.approx(of_scipy((VALUES,), np.mean))


def test_mean_of_two_values_has_the_interval_computed_by_hand():
    # A resample of {0, 1} has mean 0, 1/2 or 1 with probabilities 1/4, 1/2, 1/4: both tails hold more than 2.5 %.
    assert (mean([0.0, 1.0]).low, mean([0.0, 1.0]).high) == (0.0, 1.0)


def test_mean_of_the_same_values_is_the_same():
    assert mean(VALUES) == mean(VALUES)


def test_mean_of_one_seed_has_no_interval():
    assert (mean([4.0]).low, mean([4.0]).high, mean([4.0]).n) == (None, None, 1)


def test_paired_difference_is_paired_by_seed():
    found = paired_difference({0: 10.0, 1: 20.0, 2: 30.0, 9: 99.0}, {0: 9.0, 1: 18.0, 2: 27.0, 7: 0.0})
    assert found.value == pytest.approx(2.0) and found.n == 3  # 1, 2 and 3; the means themselves lie far apart
    assert (found.low, found.high) == pytest.approx(of_scipy(([1.0, 2.0, 3.0],), np.mean))
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_ratio_of_means_is_resampled_in_pairs():
    x, y = {0: 2.0, 1: 4.0, 2: 6.0}, {0: 1.0, 1: 2.0, 2: 3.0}
    found = ratio_of_means(x, y)
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))  # unpaired, it would spread
    uneven = {0: 1.0, 1: 5.0, 2: 2.0}
    expected = of_scipy(
        (list(x.values()), list(uneven.values())), lambda a, b, axis=-1: a.mean(axis) / b.mean(axis), paired=True
    )
    found = ratio_of_means(x, uneven)
    assert (found.low, found.high) == pytest.approx(expected)


def test_probability_of_improvement_agrees_with_hand_computed_pairs():
    # Pairs of {1, 3} and {0, 1, 2}: 1 beats 0, is level with 1, loses to 2; 3 beats all three: (1 + 1/2 + 3) / 6.
    found = probability_of_improvement([1.0, 3.0], [0.0, 1.0, 2.0])
    assert found.value == pytest.approx(4.5 / 6) and found.n == 2
    assert probability_of_improvement([2.0, 3.0], [0.0, 1.0]).low == 1.0
    assert probability_of_improvement([0.0, 1.0], [2.0, 3.0]).high == 0.0


def test_probability_of_improvement_is_scipys_u_over_the_number_of_pairs():
    x, y = VALUES, [2.0, 3.1, 4.4, 1.9, 6.2, 4.7, 0.3]
    found = probability_of_improvement(x, y)
    assert found.value == pytest.approx(mannwhitneyu(x, y).statistic / (len(x) * len(y)))

    def statistic(a, b):
        return mannwhitneyu(a, b).statistic / (len(a) * len(b))

    low, high = of_scipy((x, y), statistic, vectorized=False)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_band_is_the_interval_at_every_point():
    curves = np.array([[1.0, 10.0], [2.0, 10.0], [4.0, 13.0]])
    average, low, high = band(curves)
    assert average == pytest.approx([7 / 3, 11.0])
    assert (low[0], high[0]) == pytest.approx(of_scipy(([1.0, 2.0, 4.0],), np.mean))
    assert np.all(low <= average) and np.all(average <= high)
    assert all((each == curves[0]).all() for each in band(curves[:1]))
