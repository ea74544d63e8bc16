"""Equal expected numbers of new faults between tests."""

import numpy as np
import pytest
from scipy.integrate import quad

from lifesim.detection.schedules import Course, Finding, Hazard, Outcome
from lifesim.timeunits import NS_PER_S, S_PER_DAY

DAY_NS = S_PER_DAY * NS_PER_S
CELLS, SCALE_DAYS, SHAPE = 10_000, 4000.0, 2.5


class WearingOut:
    """Cells that fail by a Weibull hazard of time, which each test moves on by ``wear_days``."""

    def __init__(self, wear_days=0.0):
        self.wear_days = wear_days
        self.made = 0

    def density(self, day):
        """Expected faults a day, on a device that has been tested ``made`` times."""
        x = (day + self.wear_days * self.made) / SCALE_DAYS
        return CELLS * SHAPE / SCALE_DAYS * x ** (SHAPE - 1) * np.exp(-(x**SHAPE))

    def failed(self, day):
        return -CELLS * np.expm1(-((max(day, 0.0) / SCALE_DAYS) ** SHAPE))

    def expected_faults(self, since_ns, time_ns, tests=0):
        past = self.wear_days * self.made
        after = self.failed(time_ns / DAY_NS + past)
        return after - self.failed(since_ns / DAY_NS + past - tests * self.wear_days)


def visits(schedule, device, days, by_visit=False):
    """When a device is visited that nothing is ever found on."""
    chosen = schedule.visit_times(0.4, 1000)
    end = chosen.grid.first_at_or_after(days * DAY_NS)
    while True:
        made = chosen.since(0)
        last = made[-1:] if schedule.march else []  # each visit ends with a programming
        course = Course(last[0] if last else 0, [] if schedule.march else made, bool(last), False)
        earliest = chosen.grid.first_at_or_after(made[-1] + 1 if made else 0)
        point = schedule.next_visit(device, chosen.grid, range(earliest, end), course)
        if point is None:
            return made
        chosen.plan(point)
        device.made += 1


def test_intervals_have_equal_mass_by_numerical_integration():
    """Between any two tests the integral of the hazard is the mass, up to what one interval of the grid adds."""
    schedule, device = Hazard(DAY_NS, 25.0, 10_000 * DAY_NS, march=False), WearingOut()
    made = np.array(visits(schedule, device, 3000)) / DAY_NS
    device.made = 0
    assert len(made) > 100
    begins = np.array([0.0, *made[:-1]])
    masses = np.array([quad(device.density, a, b)[0] for a, b in zip(begins, made, strict=True)])
    of_a_day = np.array([device.density(b) for b in made])
    assert (masses >= 25.0 - 1e-6).all() and (masses < 25.0 + 1.01 * of_a_day).all()
    assert (np.diff(np.diff([0.0, *made])) <= 1.0 + 1e-9).all(), "ever more often, as the hazard rises"


def test_what_tests_wear_is_in_the_hazard():
    """Each March test ages the cells by ten days: as much as brings the next one forward, and it counts for the interval that it begins."""
    schedule, device = Hazard(DAY_NS, 25.0, 10_000 * DAY_NS, march=True), WearingOut(wear_days=10.0)
    made = np.array(visits(schedule, device, 2000)) / DAY_NS
    without = visits(Hazard(DAY_NS, 25.0, 10_000 * DAY_NS, march=True), WearingOut(), 2000)
    assert len(made) > 1.2 * len(without)
    for number in range(1, len(made) - 1):
        device.made = number  # of tests before the interval, whose own wear is its beginning
        by_tests = quad(device.density, made[number - 1] - 10.0, made[number - 1])[0]
        by_time = quad(device.density, made[number - 1], made[number])[0]
        needed = max(
            25.0, by_tests
        )  # once a test breaks more than that, the next one comes as soon as it can
        assert 25.0 - 1e-6 <= by_tests + by_time < needed + 1.01 * device.density(made[number])


def test_no_more_often_than_the_interval_and_no_less_than_the_longest():
    rare = visits(Hazard(DAY_NS, 1e6, 50 * DAY_NS, march=False), WearingOut(), 1000)
    assert set(np.diff(rare)) == {50 * DAY_NS}
    often = visits(Hazard(3 * DAY_NS, 1e-9, 50 * DAY_NS, march=False), WearingOut(), 1000)
    assert set(np.diff(often)) == {3 * DAY_NS}


def test_visits_are_points_of_the_device_s_own_grid():
    schedule = Hazard(7 * DAY_NS, 25.0, 100 * DAY_NS, march=False)
    made = visits(schedule, WearingOut(), 2000)
    assert {time_ns % (7 * DAY_NS) for time_ns in made} == {int(0.4 * 7 * DAY_NS)}


def test_asked_again_it_answers_the_same():
    """A device that was disturbed asks anew, and must not be tested at another time for that."""
    schedule, device = Hazard(DAY_NS, 25.0, 500 * DAY_NS, march=False), WearingOut()
    grid, course = schedule.visit_times(0.4, 0).grid, Course(0, [200 * DAY_NS], False, False)
    first = schedule.next_visit(device, grid, range(201, 4000), course)
    for later in (first - 3, first):
        assert schedule.next_visit(device, grid, range(later, 4000), course) == first
    assert schedule.next_visit(device, grid, range(first + 5, 4000), course) == first + 5, "as soon as it can"
    assert schedule.next_visit(device, grid, range(201, first), course) is None, "not before the horizon"


def test_what_a_visit_is():
    class Alarming:
        def first_alarm(self, times_ns, least_score=0):
            return Finding(1, Outcome.ALARM, 3)

    aet, march = (Hazard(10, 1.0, 100, march=march) for march in (False, True))
    assert aet.first_finding(Alarming(), [5, 15]) == Finding(1, Outcome.ALARM, 3)
    assert march.first_finding(Alarming(), [5, 15]) == Finding(0, Outcome.DIAGNOSE)
    assert (aet.pulses_per_cell(7.0), march.pulses_per_cell(7.0)) == (7.0, 0.0)


@pytest.mark.parametrize(("faults", "expected_days"), [(10.0, 20), (100.0, 100), (0.01, 1)])
def test_the_usual_interval_spreads_the_expected_faults(faults, expected_days):
    schedule = Hazard(DAY_NS, faults, 100 * DAY_NS, march=False)
    assert schedule.usual_interval_ns(1000 * DAY_NS, lambda time_ns: 500.0) == expected_days * DAY_NS
