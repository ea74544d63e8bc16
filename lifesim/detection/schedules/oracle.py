"""The bound: a test exactly when it is needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lifesim.detection.schedules.protocol import (
    Course,
    Examinee,
    Finding,
    NothingRead,
    Outcome,
    VisitCosts,
)
from lifesim.detection.visits import Chosen, Grid

_AT_ONCE = 16  # times that are judged together


@dataclass(frozen=True, slots=True)
class Oracle(NothingRead):
    """Knows the truth, and raises the alarm when a device leaves the spec: never early, never false, for nothing. No test has less silent time.

    The only schedule that may see noise-free accuracy on the spec pictures, and the future. It judges as whoever measures the fleet does: at the start of
    each stretch and at the report times (``judged_ns`` apart), and where two of these differ it bisects to ``interval_ns``. So its alarms come up to that
    much late, and an excursion between two judgements escapes it, as it escapes the measurement.
    It bounds how soon a loss can be noticed; a schedule whose tests alarm before the loss can do better by the device.

    A device that a diagnosis has just left out of spec is not diagnosed again: the alarm is noted, as nobody knows what else to do.
    """

    interval_ns: int
    judged_ns: int

    looks_back = True

    def usual_interval_ns(self, horizon_ns: int, faults_by: Callable[[int], float]) -> None:
        return None

    def visit_times(self, share: float, visit_ns: int) -> Chosen:
        return Chosen(Grid(0, self.interval_ns, visit_ns))

    def next_visit(self, device: Examinee, grid: Grid, points: range, course: Course) -> int | None:
        """Return at which of ``points`` the next visit is."""
        if course.known or not points:
            return None  # the alarm is raised already, or the end has come
        if device.out_of_spec([course.since_ns])[0]:
            return points[0]
        last_ns = grid.start_ns(points[-1])
        reports_ns = range((course.since_ns // self.judged_ns + 1) * self.judged_ns, last_ns, self.judged_ns)
        judged_ns = [*reports_ns, last_ns]
        for first in range(0, len(judged_ns), _AT_ONCE):
            some_ns = judged_ns[first : first + _AT_ONCE]
            out = device.out_of_spec(some_ns)
            if any(out):
                end_ns = some_ns[out.index(True)]
                begin_ns = max([course.since_ns, *(time_ns for time_ns in judged_ns if time_ns < end_ns)])
                begin = max(points.start, grid.first_at_or_after(begin_ns))
                crossed = range(begin, grid.first_at_or_after(end_ns))
                found = bisect_left(
                    crossed, True, key=lambda point: device.out_of_spec([grid.start_ns(point)])[0]
                )
                return begin + found
        return None

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return 0

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        for position, end_ns in enumerate(ends_ns):
            if device.out_of_spec([end_ns])[0]:
                return Finding(position, Outcome.NOTED if device.left_out_of_spec() else Outcome.ALARM)
        return None
