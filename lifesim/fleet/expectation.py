"""The expected share of faulty cells over the years, in closed form: what a bank's simulated cells scatter around.

Both mechanisms answer the same two questions, for cells whose limits have the distribution given: which share is faulty by a time, and
when a share is reached. Reactions to alarms are not in them, what happens by the clock is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lifesim.physics.distributions import LifeDistribution, failed_share
from lifesim.physics.temperature import DAYS_PER_YEAR, S_PER_H, S_PER_YEAR, EquivalentTime

_HOURS_S = np.arange(DAYS_PER_YEAR * 24 + 1) * float(S_PER_H)  # of one year


class Expectation(Protocol):
    """The expected course of one mechanism in one layer."""

    def share(self, times_s: np.ndarray | float) -> np.ndarray:
        """Return the largest expected share of faulty cells up to each time (monotone)."""

    def time_to(self, share: float) -> float:
        """Return the time at which the share is reached, in s; infinity if never."""


@dataclass(frozen=True, slots=True)
class ExpectedWear:
    """Cells that are programmed once at time 0 and then ``operations_per_s`` times a second."""

    limits: LifeDistribution
    operations_per_s: float

    def operations(self, times_s: np.ndarray | float) -> np.ndarray:
        """Return the programming operations by each time, taken as continuous: less than one above the count."""
        return 1.0 + self.operations_per_s * np.asarray(times_s)

    def hazard(self, times_s: np.ndarray | float) -> np.ndarray:
        """Return the cumulative hazard H by each time; the share is 1 - exp(-H), so H bounds it."""
        return self.limits.hazard(self.operations(times_s))

    def share(self, times_s: np.ndarray | float) -> np.ndarray:
        with np.errstate(over="ignore"):  # a hazard beyond 1e308 is a share of 1
            return failed_share(self.limits, self.operations(times_s))

    def time_to(self, share: float) -> float:
        needed = float(self.limits.limit(_hazard_of(share))) - 1.0
        if needed <= 0.0:
            return 0.0
        return needed / self.operations_per_s if self.operations_per_s else math.inf


class ExpectedDrift:
    """Cells that are rewritten every ``period_s`` (infinity: never) and age by ``clock`` in between.

    The share of a rewritten layer rises and falls with the time since the last rewrite and with the season. What counts here is the
    largest: just before a rewrite, after the hottest stretch so far, whatever the phase of the rewrites.
    """

    def __init__(self, limits: LifeDistribution, clock: EquivalentTime, period_s: float):
        self._limits = limits
        self._table_s = np.array([clock.at(time_s) for time_s in _HOURS_S])
        self._period_s = period_s
        if math.isfinite(self._period_s):
            # The clock is linear within an hour, so the age over one period is largest where the period begins or ends on the hour.
            on_the_hour = np.mod(_HOURS_S[:-1] - self._period_s, S_PER_YEAR)
            self._begins_s = np.union1d(_HOURS_S, on_the_hour)
            ages_s = self._clock(self._begins_s + self._period_s) - self._clock(self._begins_s)
            self._oldest_s = np.maximum.accumulate(ages_s)

    def share(self, times_s: np.ndarray | float) -> np.ndarray:
        times_s = np.asarray(times_s, dtype=np.float64)
        ages_s = self._clock(times_s) - self._clock(np.maximum(times_s - self._period_s, 0.0))
        if math.isfinite(self._period_s):
            begun = np.searchsorted(self._begins_s, times_s - self._period_s, side="right") - 1
            ages_s = np.where(begun >= 0, np.maximum(ages_s, self._oldest_s[begun]), ages_s)
        return failed_share(self._limits, ages_s)

    def time_to(self, share: float) -> float:
        age_s = float(self._limits.limit(_hazard_of(share)))
        years, rest_s = divmod(age_s, self._table_s[-1])
        time_s = years * S_PER_YEAR + float(np.interp(rest_s, self._table_s, _HOURS_S))
        if time_s <= self._period_s:
            return time_s
        first = int(np.searchsorted(self._oldest_s, age_s))
        return self._period_s + float(self._begins_s[first]) if first < len(self._oldest_s) else math.inf

    def _clock(self, times_s: np.ndarray) -> np.ndarray:
        """Return what ``clock.at`` returns, for many times at once."""
        years, rest_s = np.divmod(times_s, S_PER_YEAR)
        return years * self._table_s[-1] + np.interp(rest_s, _HOURS_S, self._table_s)


def _hazard_of(share: float) -> float:
    return -math.log1p(-share)
