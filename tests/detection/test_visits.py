"""Uneven times of visits, against listing them one by one."""

from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.schedules.opportunistic import IdleTimes
from lifesim.detection.visits import NEVER_NS, Chosen, Grid
from lifesim.timeunits import NS_PER_S, S_PER_H

HOUR_NS = S_PER_H * NS_PER_S
DAYS = 6


@st.composite
def idle_times(draw):
    hours = tuple(sorted(draw(st.sets(st.integers(0, 23), min_size=1))))
    step_ns = draw(st.integers(HOUR_NS // 7, 30 * HOUR_NS))
    visit_ns = draw(st.integers(0, min(step_ns, HOUR_NS // 7)))
    return IdleTimes(hours, draw(st.integers(1, 9)), draw(st.integers(0, step_ns - 1)), step_ns, visit_ns)


def listed(times):
    """Walk through the idle hours of some days, and put a visit wherever a step of idle time has passed."""
    starts, idle_ns, next_ns = [], 0, times.phase_ns
    for day in range(DAYS + 40):
        for hour in times.hours:
            while next_ns < idle_ns + HOUR_NS:
                starts.append((24 * day + hour) * HOUR_NS + next_ns - idle_ns)
                next_ns += times.step_ns
            idle_ns += HOUR_NS
    return starts


MOMENTS = st.integers(0, DAYS * 24 * HOUR_NS) | st.integers(0, DAYS * 24).map(lambda hour: hour * HOUR_NS)


@settings(deadline=None, max_examples=150)
@given(idle_times(), MOMENTS, st.integers(-1, 1))
def test_idle_times_are_those_that_a_walk_through_the_days_finds(times, moment_ns, beside_ns):
    starts = listed(times)
    assert [times.start_ns(times.first + k) for k in range(len(starts))] == starts
    for time_ns in (
        max(0, moment_ns + beside_ns),
        starts[0] + beside_ns,
        times.end_ns(times.first) + beside_ns,
    ):
        if time_ns >= 0:
            check(times, starts, times.first, time_ns)
    few = starts[:3]
    assert times.ends_ns(times.first, times.first + len(few)) == [s + times.visit_ns for s in few]


def check(times, starts, first, time_ns):
    """Everything that is asked of times in closed form, by counting."""
    assert times.first_at_or_after(time_ns) == first + bisect_left(starts, time_ns)
    assert times.ended_by(time_ns) == first + sum(s + times.visit_ns <= time_ns for s in starts)
    assert times.busy_ns(time_ns) == sum(max(0, min(time_ns - s, times.visit_ns)) for s in starts)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 20),
    st.integers(0, 19),
    st.integers(0, 20),
    st.sets(st.integers(0, 30)),
    st.integers(0, 700),
)
def test_chosen_points_of_a_grid(interval_ns, phase_ns, visit_ns, points, time_ns):
    grid = Grid(phase_ns, interval_ns, min(visit_ns, interval_ns))
    times, points = Chosen(grid), sorted(points)
    for point in points:
        times.plan(point)
    starts = [grid.start_ns(point) for point in points]
    check(times, starts, 0, time_ns)
    assert times.planned == len(points) and times.start_ns(len(points)) == NEVER_NS
    assert times.ends_ns(0, len(points)) == [s + grid.visit_ns for s in starts]
    assert times.since(time_ns) == [s for s in starts if s >= time_ns]
    times.take_back(len(points) // 2)
    check(times, starts[: len(points) // 2], 0, time_ns)


def test_chosen_points_ascend():
    times = Chosen(Grid(0, 10, 1))
    times.plan(3)
    with pytest.raises(ValueError, match="not after"):
        times.plan(3)
    times.take_back(0)
    times.plan(2)
    assert times.start_ns(0) == 20
