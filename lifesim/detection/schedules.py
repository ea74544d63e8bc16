"""Schedules: what a device does at each visit of its grid, and what a visit finds.

A schedule is one small class behind :class:`Schedule`. Visit k begins at ``phase + k * interval`` on an absolute grid and lasts as
long as ``visit_cost`` says; the fleet asks for the first visit of a window that finds something, and accounts for the others in closed form.
The device answers through :class:`Examinee`: scores and reads, never the true faults or the true accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from lifesim.crossbar.cost import Cost

NO_COST = Cost(0, 0.0, 0)


class Outcome(Enum):
    """What a visit leads to."""

    UNCONFIRMED = "unconfirmed"  # a first read deviated, the re-reads did not
    ALARM = "alarm"  # diagnose
    DIAGNOSE = "diagnose"  # diagnose, although nothing was noticed
    REFRESH = "refresh"  # rewrite from the backup, no questions asked


class Finding(NamedTuple):
    """Something other than a pass: the position of the visit in the window asked for, the outcome, and the reads that it took.

    ``score``: how bad an alarm looks, in the schedule's own unit (:meth:`Schedule.first_finding`); the lowest of its reads.
    ``without_noise``: whether an alarm would have been raised by a noise-free read, too. For the record only: it tells false alarms
    apart, and steers nothing.
    """

    position: int
    outcome: Outcome
    reads: int = 0
    score: int = 0
    without_noise: bool = True


class Examinee(Protocol):
    """What a schedule may ask of a device."""

    def foresee(self, times_ns: Sequence[int]) -> None:
        """Take note that :meth:`first_alarm` will be asked for these times, unless something comes between. Changes no answer."""

    def first_alarm(self, times_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        """Adversarial example testing at each time: the first visit whose first read alarms, re-read.

        Reads with a score (:func:`lifesim.detection.criteria.score`) below ``least_score`` do not alarm.
        """

    def new_wrong_cells(self, time_ns: int) -> int:
        """Cells that a read-back at ``time_ns`` shows to differ from the backup and that did not at the baseline."""

    def read_goldens(self, time_ns: int) -> None:
        """Set the baseline of adversarial example testing from reads at ``time_ns``."""

    def read_back(self, time_ns: int) -> None:
        """Set the baseline of read-back from a read of the whole array at ``time_ns``."""


@dataclass(frozen=True, slots=True)
class VisitCosts:
    """What the elements of visits cost on this device's network.

    One read of all test pictures, one read-back of the array, a diagnosis (a March test or a read-only one), a programming of the whole array;
    how often test pictures are read for a baseline, and again to confirm an alarm; each cell that a diagnosis tries again; how many ``reads`` of all
    test pictures are averaged in a test, and each time that one is repeated to confirm an alarm.
    """

    aet_read: Cost
    readback: Cost
    diagnosis: Cost
    programming: Cost
    baseline_reads: int
    rereads: int
    again: Cost = NO_COST
    reads: int = 1

    @property
    def test(self) -> Cost:
        """The cost of a test: the reads that are averaged."""
        return self.aet_read.times(self.reads)


class Schedule(Protocol):
    """One small class a schedule."""

    interval_ns: int | None

    def visit_cost(self, costs: VisitCosts) -> Cost:
        """Return the cost of a visit that finds nothing; each further read of the same visit costs the same again."""

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        """Return how long a visit takes at most, with re-reads and what it always leads to; it must be shorter than ``interval_ns``."""

    def pulses_per_cell(self, of_test: float) -> float:
        """Return the read pulses that a visit gives a cell, where one read of all test pictures gives it ``of_test``."""

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        """Return the cost of setting a baseline after a programming."""

    def first_finding(self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        """Return the first visit, of those that end at these times, that finds something.

        What scores less than ``least_score`` is no alarm: it has been seen before, and was not worth acting on.
        """

    def foresee(self, device: Examinee, ends_ns: Sequence[int]) -> None:
        """Announce that :meth:`first_finding` will be asked for these visits, unless something comes between. Changes no finding."""

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        """Read what later visits are compared with."""


class _NothingForeseen:
    """Of the schedules for which it makes no difference to know their visits beforehand."""

    __slots__ = ()

    def foresee(self, device: Examinee, ends_ns: Sequence[int]) -> None:
        pass


class _NothingRead(_NothingForeseen):
    """Of the schedules whose visits read nothing: no time, no baseline."""

    __slots__ = ()

    def visit_cost(self, costs: VisitCosts) -> Cost:
        return NO_COST

    def pulses_per_cell(self, of_test: float) -> float:
        return 0.0

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        return NO_COST

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Never(_NothingRead):
    """No test, no refresh: what ageing does when nobody looks."""

    interval_ns: None = None

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return 0

    def first_finding(self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        return None


@dataclass(frozen=True, slots=True)
class Periodic:
    """Adversarial example testing at a fixed interval (RRAMedy, "pause and test")."""

    interval_ns: int

    def visit_cost(self, costs: VisitCosts) -> Cost:
        return costs.test

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return (1 + costs.rereads) * costs.test.latency_ns

    def pulses_per_cell(self, of_test: float) -> float:
        return of_test

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        return costs.aet_read.times(costs.baseline_reads)

    def first_finding(self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        return device.first_alarm(ends_ns, least_score)

    def foresee(self, device: Examinee, ends_ns: Sequence[int]) -> None:
        device.foresee(ends_ns)

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        device.read_goldens(time_ns)


@dataclass(frozen=True, slots=True)
class Readback(_NothingForeseen):
    """Non-destructive read of the whole array, compared with the backup: the honest rival of AET (digital, so without read noise).

    Alarms when at least ``alarm_cells`` cells are wrong that were right at the baseline; their number is the score.
    """

    interval_ns: int
    alarm_cells: int

    def visit_cost(self, costs: VisitCosts) -> Cost:
        return costs.readback

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return costs.readback.latency_ns

    def pulses_per_cell(self, of_test: float) -> float:
        return 1.0

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        return costs.readback

    def first_finding(self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        for position, end_ns in enumerate(ends_ns):
            wrong = device.new_wrong_cells(end_ns)
            if wrong >= max(self.alarm_cells, least_score):
                return Finding(position, Outcome.ALARM, reads=1, score=wrong)
        return None

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        device.read_back(time_ns)


@dataclass(frozen=True, slots=True)
class MarchScrub(_NothingRead):
    """A March diagnosis and restore at every visit, noticed or not: finds every stuck cell, cures drift, costs six writes per cell."""

    interval_ns: int

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return costs.diagnosis.latency_ns + costs.programming.latency_ns

    def first_finding(self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        return Finding(0, Outcome.DIAGNOSE)


@dataclass(frozen=True, slots=True)
class BlindRefresh(_NothingRead):
    """A rewrite from the backup at every visit, without any test: cures drift for one write per cell, finds nothing."""

    interval_ns: int

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return costs.programming.latency_ns

    def first_finding(self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        return Finding(0, Outcome.REFRESH)
