"""Short tests in idle time, a rare full one."""

import numpy as np
import pytest

from lifesim.crossbar.cost import Cost
from lifesim.detection.schedules import Finding, Opportunistic, Outcome, VisitCosts
from lifesim.detection.schedules.opportunistic import idlest_hours
from lifesim.timeunits import NS_PER_S, S_PER_DAY, S_PER_H

DAY_NS, HOUR_NS = S_PER_DAY * NS_PER_S, S_PER_H * NS_PER_S
NIGHT = (1, 2, 3, 4)


class Device:
    """Its read alarms at one time; it notes what it is asked and told."""

    def __init__(self, alarm_ns=None):
        self.alarm_ns, self.foreseen = alarm_ns, []

    def first_alarm(self, times_ns, least_score=0):
        times = list(times_ns)
        return Finding(times.index(self.alarm_ns), Outcome.ALARM, 1) if self.alarm_ns in times else None

    def foresee(self, times_ns):
        self.foreseen.append(list(times_ns))


@pytest.mark.parametrize(
    ("shape", "hours", "idle"),
    [
        ((), 3, (0, 1, 2)),
        ((5, 1, 0, 1, *[9] * 20), 2, (1, 2)),
        ((*[9] * 20, 0, 1, 0, 1), 3, (20, 21, 22)),
        (tuple(range(24)), 24, tuple(range(24))),
    ],
)
def test_the_idlest_hours_are_those_of_the_lowest_weight_and_of_equals_the_first(shape, hours, idle):
    assert idlest_hours(shape, hours) == idle


@pytest.mark.parametrize("interval_days", [0.1, 1.0, 7.3])
def test_so_many_visits_as_the_interval_says_and_none_in_busy_hours(interval_days):
    schedule = Opportunistic(round(interval_days * DAY_NS), 50, NIGHT)
    for share in (0.0, 0.3, 0.99):
        times = schedule.visit_times(share, 1000)
        first, end = times.first_at_or_after(0), times.first_at_or_after(1000 * DAY_NS)
        assert abs((end - first) - 1000 / interval_days) <= 1
        starts = np.array([times.start_ns(k) for k in range(first, end)])
        assert set(starts % DAY_NS // HOUR_NS) <= set(NIGHT)
        assert np.diff(starts).min() >= schedule.interval_ns


def test_each_device_is_drained_in_turn():
    """A year of full tests of 400 devices, one of them every 90 days: as many in each month as in any other, within 4 standard errors."""
    schedule = Opportunistic(DAY_NS, 90, NIGHT)
    rng, drained = np.random.default_rng(1), []
    for share in rng.random(400):
        times = schedule.visit_times(share, 1000)
        visits = range(times.first_at_or_after(0), times.first_at_or_after(360 * DAY_NS))
        full = [times.start_ns(k) / DAY_NS for k in visits if k % 90 == 0]
        assert len(full) == 4 and np.diff(full) == pytest.approx(90, abs=1)
        drained += full
    of_months = np.histogram(drained, 12, (0, 360))[0]
    expected = 1600 / 12
    assert abs(of_months - expected).max() < 4 * np.sqrt(expected)


def test_every_so_manieth_visit_is_the_diagnosis_and_the_others_are_tests():
    schedule, ends = Opportunistic(10, 5, NIGHT), list(range(100, 112))
    assert schedule.first_finding(Device(), ends, 0, first=3) == Finding(2, Outcome.DIAGNOSE)
    assert schedule.first_finding(Device(), ends, 0, first=5) == Finding(0, Outcome.DIAGNOSE)
    assert schedule.first_finding(Device(alarm_ns=101), ends, 0, first=3) == Finding(1, Outcome.ALARM, 1)
    assert schedule.first_finding(Device(alarm_ns=102), ends, 0, first=3) == Finding(2, Outcome.DIAGNOSE)
    assert schedule.first_finding(Device(), ends[:2], 0, first=3) is None
    # The test after a redeployment is no visit, whatever the number of the next.
    assert schedule.first_finding(Device(), ends) is None


def test_only_what_is_read_is_announced():
    schedule, device = Opportunistic(10, 5, NIGHT), Device()
    schedule.foresee(device, [100, 110, 120], first=3)
    schedule.foresee(device, [100, 110, 120], first=5)
    assert device.foreseen == [[100, 110]]


def test_the_longest_visit_is_the_full_one_or_a_test_with_its_re_reads():
    def costs(read_ns, diagnosis_ns):
        read, nothing = Cost(read_ns, 0.0, 0), Cost(0, 0.0, 0)
        return VisitCosts(read, nothing, Cost(diagnosis_ns, 0.0, 5), Cost(90, 0.0, 1), 4, 2)

    schedule = Opportunistic(10, 5, NIGHT)
    assert schedule.longest_visit_ns(costs(100, 500)) == 590
    assert schedule.longest_visit_ns(costs(300, 500)) == 900
    assert schedule.visit_cost(costs(100, 500)).latency_ns == 100
