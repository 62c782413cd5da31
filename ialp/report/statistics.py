"""Statistics over seeds, with 95 % percentile intervals of `scipy.stats.bootstrap` from a fixed seed of their own.

With 5 seeds such an interval covers the true mean in about 84 % of cases, with 10 in about 90 %.
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
    """A figure, the ends of its interval (None where a single seed shows no spread), and the number n of seeds."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1


def mean(values: Sequence[float]) -> Estimate:
    """Mean over seeds."""
    return _estimate((np.asarray(values, dtype=float),), np.mean, n=len(values))


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """Mean over the common seeds of first − second; None without a common seed."""
    x, y = _common(first, second)
    return mean(list(x - y)) if len(x) else None


def ratio_of_means(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """Mean of first / mean of second over their common seeds, resampled in pairs; None without a common seed."""
    x, y = _common(first, second)
    return _estimate((x, y), _ratio, n=len(x), paired=True) if len(x) and y.mean() else None


def probability_of_improvement(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """P(X > Y) over all pairs of a seed of the first and a seed of the second; a tie counts half.

    The two sides are resampled independently, as for runs without a common seed.
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


def _common(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[Values, Values]:
    seeds = sorted(first.keys() & second.keys())
    return np.array([first[seed] for seed in seeds], float), np.array([second[seed] for seed in seeds], float)


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
    left, right = np.moveaxis(x, axis, -1)[..., :, None], np.moveaxis(y, axis, -1)[..., None, :]
    return ((left > right) + 0.5 * (left == right)).mean(axis=(-2, -1))
