"""The expected share of faulty cells over the years, in closed form: what a bank's simulated cells scatter around.

Both mechanisms answer the same two questions, for cells whose limits have the distribution given: which share is faulty by a time, and
when a share is reached. Reactions to alarms are not in them, what happens by the clock is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lifesim.fleet.cells import BankPlan, endurance_of, wear_of
from lifesim.physics.distributions import LifeDistribution, failed_share
from lifesim.physics.periodic import PeriodicIntegral
from lifesim.scenario.models import Group
from lifesim.timeunits import S_PER_DAY


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


def expected_wear(group: Group, bank: BankPlan, schedule_operations_per_s: float = 0.0) -> ExpectedWear:
    """Return the expected wear of a group's bank by its reloads and by so many programming operations besides."""
    limits = endurance_of(group.technology)
    wear = wear_of(group.technology, limits)
    reloads_per_s = bank.reloads_per_day * len(bank.layers) / S_PER_DAY
    cycles_per_s = (
        reloads_per_s * wear.cycles_per_reload + schedule_operations_per_s * wear.cycles_per_operation
    )
    return ExpectedWear(limits, cycles_per_s)


class ExpectedDrift:
    """Cells that are rewritten every ``period_s`` (infinity: never) and age by ``clock`` in between.

    The share of a rewritten layer rises and falls with the time since the last rewrite and with the season. What counts here is the
    largest: just before a rewrite, after the hottest stretch so far, whatever the phase of the rewrites.
    """

    def __init__(self, limits: LifeDistribution, clock: PeriodicIntegral, period_s: float):
        self._limits = limits
        self._clock = clock
        self._period_s = period_s
        if math.isfinite(self._period_s):
            # The clock is linear between knots, so the age over one period is largest where the period begins or ends at a knot.
            at_its_end = np.mod(clock.knots_s[:-1] - self._period_s, clock.period_s)
            self._begins_s = np.union1d(clock.knots_s, at_its_end)
            ages_s = clock.at_many(self._begins_s + self._period_s) - clock.at_many(self._begins_s)
            self._oldest_s = np.maximum.accumulate(ages_s)

    def share(self, times_s: np.ndarray | float) -> np.ndarray:
        times_s = np.asarray(times_s, dtype=np.float64)
        ages_s = self._clock.at_many(times_s) - self._clock.at_many(np.maximum(times_s - self._period_s, 0.0))
        if math.isfinite(self._period_s):
            begun = np.searchsorted(self._begins_s, times_s - self._period_s, side="right") - 1
            ages_s = np.where(begun >= 0, np.maximum(ages_s, self._oldest_s[begun]), ages_s)
        return failed_share(self._limits, ages_s)

    def time_to(self, share: float) -> float:
        age_s = float(self._limits.limit(_hazard_of(share)))
        time_s = self._clock.time_of(age_s)
        if time_s <= self._period_s:
            return time_s
        first = int(np.searchsorted(self._oldest_s, age_s))
        return self._period_s + float(self._begins_s[first]) if first < len(self._oldest_s) else math.inf


def _hazard_of(share: float) -> float:
    return -math.log1p(-share)
