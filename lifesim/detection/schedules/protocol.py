"""What a schedule is, what it may ask of a device, and what it can say to it.

Every schedule is one small class behind :class:`Schedule`; a user's own is no different. It is shared by the devices of a group and keeps nothing:
what it says depends on what it is asked alone, so that devices may be asked about many visits at once, and in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from lifesim.crossbar.cost import Cost
from lifesim.crossbar.monitor import Monitor
from lifesim.detection.visits import Grid, VisitTimes

NO_COST = Cost(0, 0.0, 0)


class Outcome(Enum):
    """What a visit leads to."""

    UNCONFIRMED = "unconfirmed"  # a first read deviated, the re-reads did not
    ALARM = "alarm"  # diagnose
    DIAGNOSE = "diagnose"  # diagnose, although nothing was noticed
    REFRESH = "refresh"  # rewrite from the backup, no questions asked
    NOTED = "noted"  # an alarm about which nothing can be done
    NAMED = "named"  # an alarm that says which cells are stuck: no diagnosis is needed


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


class Trip(NamedTuple):
    """The first reading of sums that was out of tolerance: its position among those asked for; whether it would have been without noise."""

    position: int
    without_noise: bool


class Examinee(Protocol):
    """What a schedule may ask of a device."""

    def foresee(self, times_ns: Sequence[int]) -> None:
        """Take note that :meth:`first_alarm` will be asked for these times, unless something comes between. Changes no answer."""

    def first_alarm(self, times_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        """Adversarial example testing at each time: the first visit whose first read alarms, re-read.

        Reads with a score (:func:`lifesim.detection.criteria.score`) below ``least_score`` do not alarm.
        """

    def progress(self, time_ns: int) -> int:
        """Return how far the first read of a visit at ``time_ns`` is on the way to an alarm: 0 if nothing has moved, 1000 or more if it alarms."""

    def new_wrong_cells(self, times_ns: Sequence[int]) -> Iterable[int]:
        """Yield how many cells a read-back at each time shows to differ from the backup that did not at the baseline; worked out as they are asked for."""

    def read_goldens(self, time_ns: int) -> None:
        """Set the baseline of adversarial example testing from reads at ``time_ns``."""

    def read_back(self, time_ns: int) -> None:
        """Set the baseline of read-back from a read of the whole array at ``time_ns``."""

    def first_trip(self, times_ns: Sequence[int], monitor: Monitor) -> Trip | None:
        """Return the first of readings of the sums at these times that is out of tolerance."""

    def read_sums(self, time_ns: int, monitor: Monitor) -> None:
        """Take the sums at ``time_ns`` for what they should be; the noise of many readings is averaged away."""

    def out_of_spec(self, times_ns: Sequence[int]) -> list[bool]:
        """Return whether the device is truly out of spec at each time, if nothing is done to it in between. The oracle alone gets an answer."""

    def left_out_of_spec(self) -> bool:
        """Return whether a diagnosis, and what followed it, has left the device truly out of spec. The oracle alone gets an answer."""

    def expected_faults(self, since_ns: int, time_ns: int, tests: int = 0) -> float:
        """Return how many cells are expected to become faulty between two times, if nothing is done to them in between (not decreasing in ``time_ns``).

        After its last programming, of a nominal device that has been written as often and lives in the same warmth; ``tests``: so many
        of its diagnoses, with the rewriting after them, that came just before that programming count as well.
        """

    def cells_named(self, time_ns: int) -> int:
        """Return on how many cells write-verify has given up at the last reload before ``time_ns``, of those that the device does not know of."""


@dataclass(frozen=True, slots=True)
class VisitCosts:
    """What the elements of visits cost on this device's network.

    One read of all test pictures, one read-back of the array, a diagnosis (a March test or a read-only one), a programming of the whole array;
    how often test pictures are read for a baseline, and again to confirm an alarm; each cell that a diagnosis tries again; how many ``reads`` of all
    test pictures are averaged in a test, and each time that one is repeated to confirm an alarm; a ``check`` of the sums of all crossbars.
    """

    aet_read: Cost
    readback: Cost
    diagnosis: Cost
    programming: Cost
    baseline_reads: int
    rereads: int
    again: Cost = NO_COST
    reads: int = 1
    check: Cost = NO_COST

    @property
    def test(self) -> Cost:
        """The cost of a test: the reads that are averaged."""
        return self.aet_read.times(self.reads)


class Schedule(Protocol):
    """One small class a schedule.

    interval_ns
        The least time between the beginnings of two visits; None where there is none.
    """

    @property
    def interval_ns(self) -> int | None: ...

    def usual_interval_ns(self, horizon_ns: int, faults_by: Callable[[int], float]) -> int | None:
        """Return the mean time between the visits of a device on which nothing is found; None where there is none.

        ``faults_by``: faulty cells that are expected on the nominal device by a time in ns.
        """

    def visit_times(self, share: float, visit_ns: int) -> VisitTimes | None:
        """Return when a device is visited; None for never. ``share``, in [0, 1): the device's own place within an interval."""

    def visit_cost(self, costs: VisitCosts) -> Cost:
        """Return the cost of a visit that finds nothing; each further read of the same visit costs the same again."""

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        """Return how long a visit takes at most, with re-reads and what it always leads to; it must be shorter than ``interval_ns``."""

    def pulses_per_cell(self, of_test: float) -> float:
        """Return the read pulses that a visit gives a cell, where one read of all test pictures gives it ``of_test``."""

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        """Return the cost of setting a baseline after a programming."""

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        """Return the first visit, of those that end at these times, that finds something.

        What scores less than ``least_score`` is no alarm: it has been seen before, and was not worth acting on. ``first``: the number of the first of
        these visits, the others follow it; None for the test after a redeployment, which is no visit.
        """

    def foresee(self, device: Examinee, ends_ns: Sequence[int], first: int | None = None) -> None:
        """Announce that :meth:`first_finding` will be asked for these visits, unless something comes between. Changes no finding."""

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        """Read what later visits are compared with."""


@dataclass(frozen=True, slots=True)
class Course:
    """What has become of a device since its cells were programmed last, at ``since_ns``.

    ``made_ns``: when the visits since then began. ``by_visit``: whether a diagnosis that is all of a visit led to the programming.
    ``known``: whether an alarm is still unresolved.
    """

    since_ns: int
    made_ns: Sequence[int]
    by_visit: bool
    known: bool


class ChoosingSchedule(Schedule, Protocol):
    """A schedule whose visits are :class:`~lifesim.detection.visits.Chosen` as time goes by.

    A device asks it for its next visit whenever it begins to serve, and after each visit; so a visit that was to come when something else
    came between is not missed but chosen anew. The answer must depend on what is asked alone, and be the same when it is asked again later.

    looks_back
        Whether the choice depends on what the visits before it have shown, so that one can be chosen at a time only.
    """

    looks_back: bool

    def next_visit(self, device: Examinee, grid: Grid, points: range, course: Course) -> int | None:
        """Return at which of ``points`` of the grid the next visit is; None for at none of them."""


class Regular:
    """Of the schedules whose visits are at ``phase + k * interval``."""

    __slots__ = ()

    interval_ns: int

    def usual_interval_ns(self, horizon_ns: int, faults_by: Callable[[int], float]) -> int | None:
        return self.interval_ns

    def visit_times(self, share: float, visit_ns: int) -> VisitTimes | None:
        return Grid(int(share * self.interval_ns), self.interval_ns, visit_ns)


class NothingForeseen:
    """Of the schedules for which it makes no difference to know their visits beforehand."""

    __slots__ = ()

    def foresee(self, device: Examinee, ends_ns: Sequence[int], first: int | None = None) -> None:
        pass


class NothingRead(NothingForeseen):
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


class PicturesRead:
    """Of the schedules whose visits read the test pictures (adversarial example testing)."""

    __slots__ = ()

    def visit_cost(self, costs: VisitCosts) -> Cost:
        return costs.test

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return (1 + costs.rereads) * costs.test.latency_ns

    def pulses_per_cell(self, of_test: float) -> float:
        return of_test

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        return costs.aet_read.times(costs.baseline_reads)

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        return device.first_alarm(ends_ns, least_score)

    def foresee(self, device: Examinee, ends_ns: Sequence[int], first: int | None = None) -> None:
        device.foresee(ends_ns)

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        device.read_goldens(time_ns)
