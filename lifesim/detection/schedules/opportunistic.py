"""Short tests in idle time and a rare full one: what data centres do."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lifesim.detection.schedules.protocol import (
    Examinee,
    Finding,
    Outcome,
    PicturesRead,
    VisitCosts,
)
from lifesim.detection.visits import UnevenTimes
from lifesim.timeunits import HOURS_PER_DAY, NS_PER_S, S_PER_H

_HOUR_NS = S_PER_H * NS_PER_S
_DAY_NS = HOURS_PER_DAY * _HOUR_NS


def idlest_hours(daily_shape: Sequence[float], hours: int) -> tuple[int, ...]:
    """Return the hours of the day (ascending, from midnight) in which least is asked for; of equals the first. No shape: a day that is all the same."""
    shape = daily_shape or (1.0,) * HOURS_PER_DAY
    return tuple(sorted(sorted(range(HOURS_PER_DAY), key=lambda hour: (shape[hour], hour))[:hours]))


@dataclass(frozen=True, slots=True)
class IdleTimes(UnevenTimes):
    """Visits evenly spaced in idle time, which is the ``hours`` of every day put together: number ``first`` begins ``phase_ns`` of it from the start on,
    and each following ``step_ns`` of it later.
    """

    hours: tuple[int, ...]
    first: int
    phase_ns: int
    step_ns: int
    visit_ns: int

    def start_ns(self, visit: int) -> int:
        day, idle_ns = divmod(self.phase_ns + (visit - self.first) * self.step_ns, len(self.hours) * _HOUR_NS)
        hour, within_ns = divmod(idle_ns, _HOUR_NS)
        return day * _DAY_NS + self.hours[hour] * _HOUR_NS + within_ns

    def first_at_or_after(self, time_ns: int) -> int:
        return self.first + max(0, -((self.phase_ns - self._idle_before(time_ns)) // self.step_ns))

    def _idle_before(self, time_ns: int) -> int:
        """Return how much idle time there is before ``time_ns``."""
        day, time_of_day_ns = divmod(time_ns, _DAY_NS)
        hour, within_ns = divmod(time_of_day_ns, _HOUR_NS)
        before = bisect_left(self.hours, hour)
        idle_now = before < len(self.hours) and self.hours[before] == hour
        return (day * len(self.hours) + before) * _HOUR_NS + (within_ns if idle_now else 0)


@dataclass(frozen=True, slots=True)
class Opportunistic(PicturesRead):
    """Short tests while little is asked for, and every so often a full one for which the device is drained.

    Meta tests its servers so: Ripple runs tests of milliseconds beside the workload, more of them when there is less work; Fleetscanner tests for long, out
    of production, whenever a machine is drained anyway (Dixit et al., Detecting silent data corruptions in the wild, arXiv:2203.08989). Here the
    short test is one of adversarial examples, evenly spaced in the idle hours of the day; each ``full_every``-th visit is the diagnosis instead,
    which takes the device out of service.
    """

    mean_interval_ns: int
    full_every: int
    idle_hours: tuple[int, ...]

    @property
    def interval_ns(self) -> int:
        return self.mean_interval_ns * len(self.idle_hours) // HOURS_PER_DAY

    def usual_interval_ns(self, horizon_ns: int, faults_by: Callable[[int], float]) -> int:
        return self.mean_interval_ns

    def visit_times(self, share: float, visit_ns: int) -> IdleTimes:
        # The device's place is one in the whole cycle, so that a fleet is not drained all at once.
        step_ns = self.interval_ns
        begun, phase_ns = divmod(int(share * self.full_every * step_ns), step_ns)
        return IdleTimes(self.idle_hours, self.full_every - begun, phase_ns, step_ns, visit_ns)

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        test_ns = (1 + costs.rereads) * costs.test.latency_ns
        return max(test_ns, costs.diagnosis.latency_ns + costs.programming.latency_ns)

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        short = self._short(len(ends_ns), first)
        if short and (finding := device.first_alarm(ends_ns[:short], least_score)):
            return finding
        return Finding(short, Outcome.DIAGNOSE) if short < len(ends_ns) else None

    def foresee(self, device: Examinee, ends_ns: Sequence[int], first: int | None = None) -> None:
        if short := self._short(len(ends_ns), first):
            device.foresee(ends_ns[:short])

    def _short(self, visits: int, first: int | None) -> int:
        """Return how many of so many visits come before the first full one."""
        return visits if first is None else min(visits, -first % self.full_every)
