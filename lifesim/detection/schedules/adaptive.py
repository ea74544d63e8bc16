"""The next test when the trend of the last ones says that it will alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lifesim.detection.schedules.protocol import Course, Examinee, Finding, NothingForeseen, PicturesRead
from lifesim.detection.visits import Chosen, Grid

ALARM = 1000
"""How far a test has come when it alarms (:meth:`Examinee.progress`)."""


def predicted_crossing(times_ns: Sequence[int], values: Sequence[int]) -> int | None:
    """Return when the line of least squares through the points is at ``ALARM``, in exact arithmetic and rounded up; None if it does not rise."""
    n = len(times_ns)
    of_times, of_values = sum(times_ns), sum(values)
    rise = n * sum(t * v for t, v in zip(times_ns, values, strict=True)) - of_times * of_values
    if rise <= 0:
        return None
    spread = n * sum(t * t for t in times_ns) - of_times**2
    return -(-((ALARM * n - of_values) * spread + rise * of_times) // (n * rise))


@dataclass(frozen=True, slots=True)
class Adaptive(NothingForeseen, PicturesRead):
    """Tests of adversarial examples, each at the time at which the trend of those since the baseline is predicted to reach the alarm.

    Condition-based maintenance inspects so: the next inspection is set by the degradation seen (Alaswad and Xiang, A review on condition-based
    maintenance optimization models, Reliability Engineering and System Safety, 2017). The trend is the line of least squares through how far each test has come on
    the way to an alarm, 0 at the baseline. It is not trusted beyond twice the time that it was seen for, so intervals double while nothing moves. What
    strikes without warning, such as a broken line, is found no sooner than by tests as rare.

    Visits are points of a grid: at least ``interval_ns`` apart, at most ``longest_ns``.
    """

    interval_ns: int
    longest_ns: int

    looks_back = True

    def usual_interval_ns(self, horizon_ns: int, faults_by: Callable[[int], float]) -> int:
        return self.longest_ns

    def visit_times(self, share: float, visit_ns: int) -> Chosen:
        return Chosen(Grid(int(share * self.interval_ns), self.interval_ns, visit_ns))

    def next_visit(self, device: Examinee, grid: Grid, points: range, course: Course) -> int | None:
        """Return at which of ``points`` the next visit is."""
        ends_ns = [start_ns + grid.visit_ns for start_ns in course.made_ns]
        if not ends_ns:
            wanted_ns = course.since_ns + self.interval_ns
        else:
            seen_ns = ends_ns[-1] - course.since_ns
            wanted_ns = course.made_ns[-1] + min(seen_ns, self.longest_ns)
            times_ns = [0, *(end_ns - course.since_ns for end_ns in ends_ns)]
            crossing_ns = predicted_crossing(times_ns, [0, *map(device.progress, ends_ns)])
            if crossing_ns is not None:
                wanted_ns = min(wanted_ns, course.since_ns + crossing_ns)
        point = max(points.start, grid.first_at_or_after(wanted_ns))
        return point if point in points else None

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        if first is not None:
            for end_ns in ends_ns:  # it will be asked for, and takes the read that the test is about
                device.progress(end_ns)
        return device.first_alarm(ends_ns, least_score)
