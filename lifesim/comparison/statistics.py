"""What replications prove: intervals, paired differences, corrections for looking at many, and when to stop. Pure functions.

A *replication* is one fleet; its devices share a cloud and a climate, so the replications are what is independent, and everything here is over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
LOOKS = (8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Replications after which it is asked whether there are enough.

Looking stops by the width of intervals, never by where they lie: mean and variance of a normal sample are independent, so the mean is not biased by
it. The width is: sampling stops when the variance looks small. With 8 at least and looks so far apart, intervals that claim 95 % cover 93 to 94 %
(tests/comparison/test_statistics.py simulates it); no correction is made for that.
"""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of ``n`` values with Student's interval; ``sd``: of one value. NaN where there are too few values."""

    n: int
    mean: float
    low: float
    high: float
    sd: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of ``values`` with Student's interval; what is NaN is left out. One value has a mean and no interval."""
    x = np.asarray(values, float)
    x = x[~np.isnan(x)]
    n = len(x)
    if n < 2:
        return Interval(n, float(x[0]) if n else math.nan, math.nan, math.nan, math.nan)
    mean, sd = float(x.mean()), _sd(x)
    half_width = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n)
    return Interval(n, mean, mean - half_width, mean + half_width, sd)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How much one schedule exceeds another on the same devices: the ``interval`` of the difference, and the two-sided ``p_value`` of none."""

    interval: Interval
    p_value: float


def paired_difference(
    values: Sequence[float], baseline: Sequence[float], confidence: float = CONFIDENCE
) -> PairedDifference:
    """Return the difference values - baseline, replication by replication; pairs with a NaN are left out.

    Differences that are all the same leave no doubt: p is 1 if they are 0, else 0.
    """
    difference = np.asarray(values, float) - np.asarray(baseline, float)
    interval = mean_interval(difference, confidence)
    if interval.n < 2:
        return PairedDifference(interval, math.nan)
    if interval.sd == 0.0:
        return PairedDifference(interval, 1.0 if interval.mean == 0.0 else 0.0)
    t = interval.mean / (interval.sd / math.sqrt(interval.n))
    return PairedDifference(interval, float(2 * stats.t.sf(abs(t), interval.n - 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for all being looked at (Holm 1979): rejected at level a, they contain a false rejection with probability a at most.

    NaN stays NaN and is no hypothesis.
    """
    p = np.asarray(p_values, float)
    adjusted = np.full(len(p), math.nan)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    least = 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = least
    return adjusted.tolist()


@dataclass(frozen=True, slots=True)
class VarianceReduction:
    """By what factor pairing divides the variance of a difference, with its interval; infinite where no variance is left, NaN where none was."""

    factor: float
    low: float
    high: float


def variance_reduction(
    values: Sequence[float], baseline: Sequence[float], confidence: float = CONFIDENCE
) -> VarianceReduction:
    """Return (Var a + Var b) / Var(a - b): what two independent samples of this size would have, over what the paired ones have.

    With u = a + b and d = a - b it is (1 + Var u / Var d) / 2. The ratio of two correlated variances has an exact interval for normal values
    (Pitman 1939; Morgan 1939): with w = s_u^2 / s_d^2, r the correlation of u and d, t Student's quantile of n - 2 degrees of freedom and
    K = 1 + 2 (1 - r^2) t^2 / (n - 2), it reaches from w (K - sqrt(K^2 - 1)) to w (K + sqrt(K^2 - 1)).
    """
    a, b = np.asarray(values, float), np.asarray(baseline, float)
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    n = len(a)
    if n < 3:
        return VarianceReduction(math.nan, math.nan, math.nan)
    u, d = a + b, a - b
    s_u, s_d = _sd(u), _sd(d)
    if s_d == 0.0:
        factor = math.inf if s_u > 0.0 else math.nan
        return VarianceReduction(factor, factor, factor)
    w = (s_u / s_d) ** 2
    r = 0.0 if s_u == 0.0 else float(np.corrcoef(u, d)[0, 1])
    t = float(stats.t.ppf((1 + confidence) / 2, n - 2))
    k = 1 + 2 * (1 - r * r) * t * t / (n - 2)
    # k - sqrt(k^2 - 1) without cancellation
    upper = k + math.sqrt(k * k - 1)
    return VarianceReduction((1 + w) / 2, (1 + w / upper) / 2, (1 + w * upper) / 2)


def next_look(done: int, looks: Sequence[int] = LOOKS) -> int | None:
    """Return after how many replications in all to look next; None after the last look."""
    return next((look for look in looks if look > done), None)


def is_narrow_enough(
    samples: Mapping[str, Sequence[float]], baseline: str, half_width: float, confidence: float = CONFIDENCE
) -> bool:
    """Return whether the interval of every difference to the baseline is as narrow as ``half_width``; of a single sample, its own."""
    others = [values for name, values in samples.items() if name != baseline]
    if not others:
        return mean_interval(samples[baseline], confidence).half_width <= half_width
    return all(
        paired_difference(values, samples[baseline], confidence).interval.half_width <= half_width
        for values in others
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Return which points (both coordinates: less is better) no other point beats in one without losing in the other. NaN is on no front."""
    front = []
    for x, y in points:
        known = not (math.isnan(x) or math.isnan(y))
        beaten = any(a <= x and b <= y and (a < x or b < y) for a, b in points)
        front.append(known and not beaten)
    return front


def weighted_quantile(values: Sequence[float], counts: Sequence[int], share: float) -> float:
    """Return the smallest of ``values`` (ascending) that at least this share of all counted does not exceed; NaN of nothing."""
    cumulative = np.cumsum(np.asarray(counts, np.int64))
    if not len(cumulative) or not cumulative[-1]:
        return math.nan
    # A whole number of them must not exceed it: rounded, so that 95 % of 20 are 19.
    at = int(np.searchsorted(cumulative, math.ceil(round(share * int(cumulative[-1]), 9)), side="left"))
    return float(values[at])


def _sd(x: np.ndarray) -> float:
    """Return the standard deviation; exactly 0 of equal values, whose mean may be rounded."""
    return 0.0 if (x == x[0]).all() else float(x.std(ddof=1))
