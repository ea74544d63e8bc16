"""The integral over time of a rate that repeats: what ageing and usage have in common.

It is asked millions of times, at any time and in any order, and must never run backwards, not even in the last bit.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right

import numpy as np

from lifesim.timeunits import S_PER_YEAR

_LEAST_POWER = -1000  # a rate so low that it adds up to less is none
LONGEST_S = 1000 * S_PER_YEAR  # whole periods add without rounding for so long


def doubles(values: np.ndarray) -> array[float]:
    """Return the values as a plain array of doubles."""
    return array("d", np.asarray(values, np.float64).tobytes())


class PeriodicIntegral:
    """The integral from time 0 of a rate, not negative, that repeats; linear between ``knots_s`` and so exactly monotone.

    ``knots_s`` (doubles [n + 1]) ascends from 0 to the period; ``amounts`` (float64 [n]) is the integral over each piece between two knots.
    ``highest_rate`` is that of the steepest piece. Both are kept as plain arrays of doubles, out of which a scalar takes a fraction of the time that numpy takes.
    """

    __slots__ = ("period_s", "highest_rate", "_knots_s", "_cumulative")

    def __init__(self, knots_s: array[float], amounts: np.ndarray):
        self.period_s = knots_s[-1]
        cumulative = np.concatenate([[0.0], np.cumsum(amounts)])
        # In multiples of this quantum whole periods and pieces add without rounding, up to LONGEST_S.
        bits = 53 - math.ceil(math.log2(max(LONGEST_S / self.period_s, 1.0)))
        quantum = 2.0 ** max(math.frexp(cumulative[-1])[1] - bits, _LEAST_POWER)
        self._knots_s = knots_s
        self._cumulative = doubles(np.rint(cumulative / quantum) * quantum)
        self.highest_rate = float(np.max(np.diff(self.at_knots) / np.diff(self.knots_s)))

    @property
    def knots_s(self) -> np.ndarray:
        """The knots of one period, from 0 to ``period_s`` (float64 [n + 1])."""
        return np.frombuffer(self._knots_s)

    @property
    def at_knots(self) -> np.ndarray:
        """The integral at each knot (float64 [n + 1])."""
        return np.frombuffer(self._cumulative)

    @property
    def mean_rate(self) -> float:
        """The mean of the rate over a period."""
        return self._cumulative[-1] / self.period_s

    def at(self, time_s: float) -> float:
        """Return the integral from 0 to ``time_s`` (not negative)."""
        periods, rest_s = divmod(time_s, self.period_s)
        knots_s, cumulative = self._knots_s, self._cumulative
        after = bisect_right(knots_s, rest_s)
        begin_s, so_far = knots_s[after - 1], cumulative[after - 1]
        share = (rest_s - begin_s) / (knots_s[after] - begin_s)
        return periods * cumulative[-1] + so_far + (cumulative[after] - so_far) * share

    def at_many(self, times_s: np.ndarray) -> np.ndarray:
        """Return what :meth:`at` returns, bit for bit, for many times at once (float64)."""
        periods, rest_s = np.divmod(times_s, self.period_s)
        knots_s, cumulative = self.knots_s, self.at_knots
        after = np.searchsorted(knots_s, rest_s, side="right")
        begin_s, so_far = knots_s[after - 1], cumulative[after - 1]
        share = (rest_s - begin_s) / (knots_s[after] - begin_s)
        return periods * cumulative[-1] + so_far + (cumulative[after] - so_far) * share

    def time_of(self, amount: float) -> float:
        """Return a time at which the integral is ``amount``; infinity if the rate is always 0."""
        if not self._cumulative[-1]:
            return math.inf
        periods, rest = divmod(amount, self._cumulative[-1])
        return periods * self.period_s + float(np.interp(rest, self.at_knots, self.knots_s))
