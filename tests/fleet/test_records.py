"""The grid of visits in closed form, against counting them one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.fleet.records import Grid


@st.composite
def grids(draw):
    interval_ns = draw(st.integers(1, 20))
    phase_ns = draw(st.integers(0, 2 * interval_ns))
    return Grid(phase_ns, interval_ns, draw(st.integers(0, interval_ns)))


@settings(deadline=None, max_examples=120)
@given(grids(), st.integers(0, 400))
def test_first_at_or_after(grid, time_ns):
    assert grid.first_at_or_after(time_ns) == next(k for k in range(500) if grid.start_ns(k) >= time_ns)


@settings(deadline=None, max_examples=60)
@given(grids(), st.integers(0, 50), st.integers(0, 50))
def test_ends_ns(grid, first, visits):
    assert list(grid.ends_ns(first, first + visits)) == [grid.end_ns(k) for k in range(first, first + visits)]


@settings(deadline=None, max_examples=120)
@given(grids(), st.integers(0, 400))
def test_ended_by(grid, time_ns):
    assert grid.ended_by(time_ns) == sum(grid.end_ns(k) <= time_ns for k in range(500))


@settings(deadline=None, max_examples=120)
@given(grids(), st.integers(0, 400))
def test_busy_ns(grid, time_ns):
    inside = sum(
        any(grid.start_ns(k) <= t < grid.end_ns(k) for k in range(t // grid.interval_ns + 1))
        for t in range(time_ns)
    )
    assert grid.busy_ns(time_ns) == inside


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**16), st.integers(1, 10**16), st.data())
def test_nanoseconds_of_decades_are_exact(phase_ns, interval_ns, data):
    visit_ns = data.draw(st.integers(0, interval_ns))
    grid = Grid(phase_ns, interval_ns, visit_ns)
    k = data.draw(st.integers(0, 10**6))
    start_ns = phase_ns + k * interval_ns
    assert grid.start_ns(k) == start_ns and grid.end_ns(k) == start_ns + visit_ns
    assert grid.first_at_or_after(start_ns) == k and grid.first_at_or_after(start_ns + 1) == k + 1
    assert grid.ended_by(start_ns + visit_ns) == k + 1
    if visit_ns:
        assert grid.ended_by(start_ns + visit_ns - 1) == k
    assert grid.busy_ns(start_ns) == k * visit_ns and grid.busy_ns(start_ns + visit_ns) == (k + 1) * visit_ns


@pytest.mark.parametrize("time_ns", [-5, 0, 4])
def test_nothing_has_happened_before_the_first_visit(time_ns):
    grid = Grid(5, 10, 3)
    assert (grid.first_at_or_after(time_ns), grid.ended_by(time_ns), grid.busy_ns(time_ns)) == (0, 0, 0)
