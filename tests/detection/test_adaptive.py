"""The next test at the predicted crossing."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.schedules import Adaptive, Course, Finding, Outcome
from lifesim.detection.schedules.adaptive import predicted_crossing
from lifesim.timeunits import NS_PER_S, S_PER_DAY

DAY_NS = S_PER_DAY * NS_PER_S
VISIT_NS = 10**6


class Trending:
    """A device whose tests come along by ``law``, a function of days since the baseline; it alarms from 1000 on."""

    def __init__(self, law, since_ns=0):
        self.law, self.since_ns, self.asked = law, since_ns, []

    def progress(self, time_ns):
        self.asked.append(time_ns)
        return int(self.law((time_ns - self.since_ns) / DAY_NS))

    def first_alarm(self, times_ns, least_score=0):
        for position, time_ns in enumerate(times_ns):
            if self.law((time_ns - self.since_ns) / DAY_NS) >= 1000:
                return Finding(position, Outcome.ALARM, 1)
        return None


def lives_until_alarm(schedule, device, since_ns=0, days=2000):
    """Return when a device is tested after a baseline, and whether the last of these tests alarms."""
    times = schedule.visit_times(0.4, VISIT_NS)
    end = times.grid.first_at_or_after(days * DAY_NS)
    while True:
        made = times.since(since_ns)
        if made and schedule.first_finding(device, [made[-1] + VISIT_NS], 0, len(made) - 1):
            return made, True
        earliest = times.grid.first_at_or_after(made[-1] + 1 if made else since_ns)
        course = Course(since_ns, made, False, False)
        point = schedule.next_visit(device, times.grid, range(earliest, end), course)
        if point is None:
            return made, False
        times.plan(point)


@pytest.mark.parametrize("crossing_days", [9.3, 37.0, 150.0, 700.0])
@pytest.mark.parametrize("since_ns", [0, 12 * DAY_NS + 12345])
def test_a_linear_trend_is_met_where_it_crosses(crossing_days, since_ns):
    """The test that alarms is at the first point of the grid after the crossing, and few come before it: the intervals double up to there."""
    device = Trending(lambda days: 1e9 * days / crossing_days / 1e6, since_ns)
    made, alarmed = lives_until_alarm(Adaptive(DAY_NS, 10_000 * DAY_NS), device, since_ns)
    assert alarmed
    late_days = (made[-1] - since_ns) / DAY_NS - crossing_days
    # Thousandths are whole numbers, so the line is less steep by up to one of what was seen by the test before.
    rounding = crossing_days / device.law((made[-2] - since_ns) / DAY_NS)
    assert 0 <= late_days < 1 + rounding
    assert len(made) <= 3 + np.log2(crossing_days)


def test_intervals_double_while_nothing_moves_up_to_the_longest():
    made, alarmed = lives_until_alarm(Adaptive(DAY_NS, 100 * DAY_NS), Trending(lambda days: 0), days=600)
    assert not alarmed
    gaps = np.diff(np.array(made)) / DAY_NS
    assert (gaps[1:] <= 2 * gaps[:-1] + 1).all() and gaps.max() == 100 and (gaps[-3:] == 100).all()
    assert 1 <= made[0] / DAY_NS <= 2, "the first after the least interval"


def test_falling_statistics_are_no_trend():
    falling = lives_until_alarm(Adaptive(DAY_NS, 100 * DAY_NS), Trending(lambda days: -days), days=600)
    flat = lives_until_alarm(Adaptive(DAY_NS, 100 * DAY_NS), Trending(lambda days: 0), days=600)
    assert falling == flat


def test_what_comes_faster_than_predicted_is_met_at_the_least_interval():
    """A quadratic trend: each prediction is too late by less than that, and the alarm comes within a doubling."""
    made, alarmed = lives_until_alarm(
        Adaptive(DAY_NS, 1000 * DAY_NS), Trending(lambda days: days**2 / 10), days=600
    )
    assert alarmed and 100 <= made[-1] / DAY_NS < 170


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**17), st.integers(0, 3000)),
        min_size=2,
        max_size=8,
        unique_by=lambda p: p[0],
    )
)
def test_the_line_is_that_of_least_squares(points):
    times, values = zip(*points, strict=True)
    t, v = [Fraction(x) for x in times], [Fraction(x) for x in values]
    mean_t, mean_v = sum(t) / len(t), sum(v) / len(v)
    slope = sum((a - mean_t) * (b - mean_v) for a, b in zip(t, v, strict=True)) / sum(
        (a - mean_t) ** 2 for a in t
    )
    crossing = predicted_crossing(times, values)
    if slope <= 0:
        assert crossing is None
    else:
        exact = mean_t + (1000 - mean_v) / slope
        assert exact <= crossing < exact + 1


def test_the_test_after_a_redeployment_is_no_part_of_the_trend():
    device = Trending(lambda days: 0)
    Adaptive(DAY_NS, 100 * DAY_NS).first_finding(device, [5 * DAY_NS], 0, None)
    assert device.asked == []


def test_asked_again_it_answers_the_same():
    schedule, device = Adaptive(DAY_NS, 100 * DAY_NS), Trending(lambda days: 10 * days)
    grid = schedule.visit_times(0.4, VISIT_NS).grid
    course = Course(0, [grid.start_ns(1), grid.start_ns(3), grid.start_ns(50)], False, False)
    first = schedule.next_visit(device, grid, range(51, 4000), course)
    assert 99 <= first <= 101
    assert schedule.next_visit(device, grid, range(90, 4000), course) == first
    assert schedule.next_visit(device, grid, range(51, first), course) is None, "not before the horizon"
