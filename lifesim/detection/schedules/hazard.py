"""Tests after equal expected numbers of new faults."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lifesim.crossbar.cost import Cost
from lifesim.detection.schedules.protocol import (
    NO_COST,
    Course,
    Examinee,
    Finding,
    Outcome,
    PicturesRead,
    VisitCosts,
)
from lifesim.detection.visits import Chosen, Grid


@dataclass(frozen=True, slots=True)
class Hazard(PicturesRead):
    """A test whenever so many new faulty cells are expected since the last one, however long that takes.

    The optimum checking procedure of Barlow, Hunter and Proschan (J. SIAM 11, 1963) tests more and more often where the hazard rises; that of Munford
    and Shahani (Operational Research Quarterly 23, 1972), which costs nearly as little and needs one number only, gives every interval the same
    conditional probability of a failure. With as many cells as here that is an equal expected number of new faulty ones. The device
    counts its programming operations and integrates its temperature (Arrhenius), and expects of its cells what the technology says of a nominal
    device. A March test (``march``) wears the cells that it tests: what each is expected to have broken counts for the next interval, so that it can
    drive itself; a test of adversarial examples stresses them by its reads alone.

    Visits are points of a grid, the first at which the expectation is reached: at least ``interval_ns`` apart, at most ``longest_ns``.
    """

    interval_ns: int
    faults: float
    longest_ns: int
    march: bool

    looks_back = False

    def usual_interval_ns(self, horizon_ns: int, faults_by: Callable[[int], float]) -> int:
        tests = max(faults_by(horizon_ns) / self.faults, horizon_ns / self.longest_ns)
        return max(self.interval_ns, round(horizon_ns / tests))

    def visit_times(self, share: float, visit_ns: int) -> Chosen:
        return Chosen(Grid(int(share * self.interval_ns), self.interval_ns, visit_ns))

    def next_visit(self, device: Examinee, grid: Grid, points: range, course: Course) -> int | None:
        """Return at which of ``points`` the next visit is."""
        last_ns = course.made_ns[-1] if course.made_ns else course.since_ns
        tests = int(self.march and course.by_visit)

        def expected(point: int) -> float:
            return device.expected_faults(last_ns, grid.start_ns(point), tests)

        latest = grid.first_at_or_after(last_ns + self.longest_ns)
        searched = points[: max(0, latest - points.start)]
        found = bisect_left(searched, self.faults, key=expected)
        return points[found] if found < len(points) else None

    def visit_cost(self, costs: VisitCosts) -> Cost:
        return NO_COST if self.march else costs.test

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        if self.march:
            return costs.diagnosis.latency_ns + costs.programming.latency_ns
        return (1 + costs.rereads) * costs.test.latency_ns

    def pulses_per_cell(self, of_test: float) -> float:
        return 0.0 if self.march else of_test

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        return NO_COST if self.march else costs.aet_read.times(costs.baseline_reads)

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        return Finding(0, Outcome.DIAGNOSE) if self.march else device.first_alarm(ends_ns, least_score)

    def foresee(self, device: Examinee, ends_ns: Sequence[int], first: int | None = None) -> None:
        if not self.march:
            device.foresee(ends_ns)

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        if not self.march:
            device.read_goldens(time_ns)
