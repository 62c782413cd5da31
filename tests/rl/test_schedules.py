import math

import pytest

from ialp.rl import ConstantAlpha, ExponentialAlpha, LinearAlpha


def test_linear_alpha_rises_to_one_and_stays():
    alpha = LinearAlpha(start=0.2, steps=100)
    assert [alpha(0), alpha(50), alpha(100), alpha(500)] == pytest.approx([0.2, 0.6, 1.0, 1.0])


def test_exponential_alpha_closes_the_gap_by_a_constant_share():
    alpha = ExponentialAlpha(start=0.1, tau=10)
    assert alpha(0) == pytest.approx(0.1)
    assert alpha(10) == pytest.approx(1 - 0.9 / math.e)


def test_constant_alpha_stays():
    assert ConstantAlpha(0.3)(10_000) == 0.3
