"""The oracle: when it visits, against a truth that is a function of time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.schedules import Course, Finding, Oracle, Outcome

RESOLUTION, REPORT = 7, 50
ORACLE = Oracle(RESOLUTION, REPORT)
GRID = ORACLE.visit_times(0.9, 0).grid


class Known:
    """A device whose truth is known: out of spec where ``out`` says so; counts how often it is judged."""

    def __init__(self, out, left=False):
        self.out, self.left, self.judged = out, left, set()

    def out_of_spec(self, times_ns):
        self.judged.update(times_ns)
        return [bool(self.out(time_ns)) for time_ns in times_ns]

    def left_out_of_spec(self):
        return self.left


def visit(device, since=0, now=None, horizon=3000, known=False):
    points = range(GRID.first_at_or_after(since if now is None else now), GRID.first_at_or_after(horizon))
    point = ORACLE.next_visit(device, GRID, points, Course(since, [], False, known))
    return None if point is None else GRID.start_ns(point)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 400), st.integers(1, 2900))
def test_a_loss_is_met_within_the_resolution(since, after):
    """For good: the visit is at the first point of the grid that is out of spec, and few judgements lead there."""
    lost = min(since + after, 2990)
    device = Known(lambda time_ns: time_ns >= lost)
    assert lost <= visit(device, since) < lost + RESOLUTION
    assert len(device.judged) <= 3000 / REPORT + 20


def test_who_stays_in_spec_is_never_visited():
    assert visit(Known(lambda time_ns: False)) is None
    assert visit(Known(lambda time_ns: time_ns >= 2998), horizon=3000) is None, (
        "after the last point of the grid"
    )


def test_an_excursion_between_two_judgements_escapes_it_and_one_that_a_judgement_sees_does_not():
    assert visit(Known(lambda time_ns: 510 <= time_ns < 540)) is None
    assert 590 <= visit(Known(lambda time_ns: 590 <= time_ns < 640)) < 590 + RESOLUTION


def test_a_device_that_starts_out_of_spec_is_visited_as_soon_as_there_is_a_point():
    device = Known(lambda time_ns: True)
    assert visit(device, since=100) == 105
    assert visit(device, since=100, now=106) == 112, "not in the past"


def test_nothing_is_to_be_said_while_an_alarm_is_unresolved():
    assert visit(Known(lambda time_ns: True), known=True) is None


@pytest.mark.parametrize(("left", "outcome"), [(False, Outcome.ALARM), (True, Outcome.NOTED)])
def test_the_alarm_is_true_and_costs_no_read(left, outcome):
    device = Known(lambda time_ns: time_ns > 20, left)
    assert ORACLE.first_finding(device, [14, 21, 28], 0, 3) == Finding(1, outcome)
    assert ORACLE.first_finding(device, [7, 14], 0, 3) is None


def test_asked_again_it_answers_the_same():
    device = Known(lambda time_ns: time_ns >= 1234)
    first = visit(device)
    assert visit(device, now=700) == visit(device, now=first) == first
