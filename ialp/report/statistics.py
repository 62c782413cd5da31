"""What several seeds say: means, paired differences, probabilities of improvement, all with bootstrap intervals.

Intervals are 95 % percentile intervals of `scipy.stats.bootstrap` over seeds, with a fixed seed of their own: the same
figures give the same interval. With 5 seeds such an interval covers the true mean in about 84 % of cases, with 10 in
about 90 %.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 9_999

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: The figure itself.
        low: Lower end of the interval; None where one seed says nothing about the spread.
        high: Upper end, likewise.
        n: Seeds, or pairs of seeds, behind it.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1


def mean(values: Sequence[float]) -> Estimate:
    """Mean over seeds."""
    return _estimate((np.asarray(values, dtype=float),), np.mean, n=len(values))


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """Mean over the common seeds of first − second; None without a common seed."""
    x, y = common(first, second)
    return mean(list(x - y)) if len(x) else None


def ratio_of_means(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """Mean of first / mean of second over their common seeds, resampled in pairs; None without a common seed."""
    x, y = common(first, second)
    return _estimate((x, y), _ratio, n=len(x), paired=True) if len(x) and y.mean() else None


def probability_of_improvement(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """P(X > Y) over all pairs of a seed of the first and a seed of the second; a tie counts half.

    Seeds of the two sides are resampled apart from each other, as for runs that have no seed in common.
    """
    sides = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return _estimate(sides, _share_above, n=min(map(len, sides)))


def band(curves: Values) -> tuple[Values, Values, Values]:
    """Mean, lower and upper end (E,) of curves (S, E), S seeds at E points; the ends are the mean where S is 1."""
    average = curves.mean(axis=0)
    if len(curves) < 2:
        return average, average, average
    low, high = _interval((curves,), np.mean)
    return average, low, high


def regret(steps: Sequence[float], values: Sequence[float], level: float, horizon: float) -> float | None:
    """Mean shortfall below `level` over the first `horizon` steps: the area between curve and level, per step.

    Args:
        steps: (E,) ascending positions of the curve's points.
        values: (E,) the curve, straight between its points, level before the first of them.
        level: What the curve is held against; where the curve lies above it, nothing is lost.
        horizon: Steps that count.

    Returns:
        In units of `values`, or None where the curve ends before the horizon.
    """
    if not len(steps) or steps[-1] < horizon:
        return None
    inside = [step for step in steps if 0 < step < horizon]
    x = np.array([0.0, *inside, horizon])
    lost = level - np.interp(x, steps, values)
    start, end, width = lost[:-1], lost[1:], np.diff(x)
    above = np.maximum(start, 0), np.maximum(end, 0)
    crossing = start * end < 0
    # Where the curve crosses the level, only the triangle on its lower side counts.
    triangle = np.divide(np.maximum(start, end) ** 2, 2 * np.abs(start - end), out=np.zeros_like(x[1:]), where=crossing)
    return float((width * np.where(crossing, triangle, sum(above) / 2)).sum() / horizon)


def common(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[Values, Values]:
    """The figures of both at the seeds that both have."""
    seeds = sorted(first.keys() & second.keys())
    return np.array([first[seed] for seed in seeds], dtype=float), np.array([second[seed] for seed in seeds], float)


def _estimate(samples: tuple[Values, ...], statistic: Callable[..., Any], n: int, paired: bool = False) -> Estimate:
    value = float(statistic(*samples, axis=-1))
    if min(map(len, samples)) < 2:
        return Estimate(value, n=n)
    low, high = _interval(tuple(sample[:, None] for sample in samples), statistic, paired)
    return Estimate(value, float(low[0]), float(high[0]), n)


def _interval(samples: tuple[Values, ...], statistic: Callable[..., Any], paired: bool = False) -> tuple[Any, Any]:
    """Ends (E,) of the interval of a statistic over the seeds of samples (S, E)."""
    from scipy.stats import bootstrap

    found = bootstrap(
        samples, statistic, axis=0, paired=paired, method="percentile", confidence_level=LEVEL,
        n_resamples=RESAMPLES, rng=np.random.default_rng(0), vectorized=True,
    ).confidence_interval  # fmt: skip
    return found.low, found.high


def _ratio(x: Values, y: Values, axis: int) -> Any:
    return x.mean(axis=axis) / y.mean(axis=axis)


def _share_above(x: Values, y: Values, axis: int) -> Any:
    """Share of pairs with x above y: x (…, n), y (…, m), whatever axis they come by."""
    left, right = np.moveaxis(x, axis, -1)[..., :, None], np.moveaxis(y, axis, -1)[..., None, :]
    return ((left > right) + 0.5 * (left == right)).mean(axis=(-2, -1))
