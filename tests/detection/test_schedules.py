"""Schedules: what they ask of a device, what they find, what it costs."""

import pytest

from lifesim.crossbar.cost import Cost
from lifesim.crossbar.monitor import Monitor
from lifesim.detection.schedules import (
    NO_COST,
    BlindRefresh,
    Finding,
    MarchScrub,
    Never,
    Outcome,
    Periodic,
    Readback,
    ReloadVerify,
    Sentinel,
    Trip,
    VisitCosts,
)

COSTS = VisitCosts(
    aet_read=Cost(100, 2e-6, 0),
    readback=Cost(7000, 3e-6, 0),
    diagnosis=Cost(500, 0.0, 5),
    programming=Cost(90, 0.0, 1),
    baseline_reads=4,
    rereads=2,
    check=Cost(5, 1e-9, 0),
)
ALL = [Never(), Periodic(10), Readback(10, 3), MarchScrub(10), BlindRefresh(10)]
MONITOR = Monitor("column", 0.5, 3.5)


class Watched:
    """A device that notes what it is asked."""

    def __init__(self, wrong=(), alarm=None):
        self.wrong, self.alarm, self.asked = dict(wrong), alarm, []

    def foresee(self, times_ns):
        self.asked.append(("foresee", list(times_ns)))

    def first_alarm(self, times_ns, least_score=0):
        self.asked.append(("first_alarm", list(times_ns), least_score))
        return self.alarm

    def new_wrong_cells(self, times_ns):
        for time_ns in times_ns:
            self.asked.append(("new_wrong_cells", time_ns))
            yield self.wrong.get(time_ns, 0)

    def read_goldens(self, time_ns):
        self.asked.append(("read_goldens", time_ns))

    def read_back(self, time_ns):
        self.asked.append(("read_back", time_ns))

    def cells_named(self, time_ns):
        return self.wrong.get(time_ns, 0)

    def first_trip(self, times_ns, monitor):
        self.asked.append(("first_trip", list(times_ns), monitor))
        return self.alarm

    def read_sums(self, time_ns, monitor):
        self.asked.append(("read_sums", time_ns, monitor))


def test_never():
    device = Watched()
    assert Never().interval_ns is None
    assert Never().first_finding(device, [1, 2]) is None
    assert device.asked == []


@pytest.mark.parametrize("alarm", [None, Finding(2, Outcome.ALARM, 3), Finding(0, Outcome.UNCONFIRMED, 3)])
def test_periodic_hands_the_whole_window_to_the_device(alarm):
    device = Watched(alarm=alarm)
    assert Periodic(10).first_finding(device, [5, 15, 25], 7) is alarm
    assert device.asked == [("first_alarm", [5, 15, 25], 7)]


def test_only_a_schedule_that_runs_the_network_announces_its_visits():
    for schedule in ALL:
        device = Watched()
        schedule.foresee(device, range(5, 35, 10))
        assert device.asked == ([("foresee", [5, 15, 25])] if isinstance(schedule, Periodic) else [])


@pytest.mark.parametrize(
    ("wrong", "position"),
    [({}, None), ({5: 2, 15: 2}, None), ({15: 3}, 1), ({25: 9}, 2), ({5: 3, 15: 99}, 0)],
)
def test_readback_alarms_from_so_many_new_wrong_cells(wrong, position):
    times = [5, 15, 25]
    finding = Readback(10, alarm_cells=3).first_finding(Watched(wrong), times)
    assert finding == (
        None
        if position is None
        else Finding(position, Outcome.ALARM, reads=1, score=wrong[times[position]], without_noise=True)
    )


def test_readback_does_not_alarm_again_below_a_score():
    device = Watched({5: 3, 15: 6, 25: 7})
    schedule = Readback(10, alarm_cells=3)
    assert schedule.first_finding(device, [5, 15, 25], 7) == Finding(2, Outcome.ALARM, reads=1, score=7)
    assert schedule.first_finding(device, [5, 15, 25], 2).position == 0, "alarm_cells still holds"
    assert schedule.first_finding(device, [5, 15, 25], 8) is None


def test_what_acts_blindly_acts_at_every_visit_and_asks_nothing():
    for schedule, outcome in ((MarchScrub(10), Outcome.DIAGNOSE), (BlindRefresh(10), Outcome.REFRESH)):
        device = Watched()
        finding = schedule.first_finding(device, [5, 15])
        assert (finding.position, finding.outcome, finding.reads) == (0, outcome, 0)
        schedule.set_baseline(device, 5)
        assert device.asked == []


def test_each_sets_its_own_baseline():
    for schedule, what in ((Periodic(10), "read_goldens"), (Readback(10, 3), "read_back")):
        device = Watched()
        schedule.set_baseline(device, 77)
        assert device.asked == [(what, 77)]


def test_costs():
    assert [s.visit_cost(COSTS) for s in ALL] == [NO_COST, COSTS.aet_read, COSTS.readback, NO_COST, NO_COST]
    assert [s.baseline_cost(COSTS) for s in ALL] == [
        NO_COST,
        Cost(400, 8e-6, 0),
        COSTS.readback,
        NO_COST,
        NO_COST,
    ]
    assert Cost(0, 0.0, 0) == NO_COST


def test_the_longest_visit_has_its_re_reads_and_what_it_always_leads_to():
    assert [s.longest_visit_ns(COSTS) for s in ALL] == [0, 300, 7000, 590, 90]


def test_what_a_visit_reads_is_what_it_pulses():
    """Test pictures their own pulses, the whole array one a cell, a rewrite none."""
    assert [s.pulses_per_cell(50.0) for s in ALL] == [0.0, 50.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("named", "position"),
    [({}, None), ({5: 2, 15: 2}, None), ({15: 3}, 1), ({5: 3, 15: 99}, 0)],
)
def test_reload_verify_takes_the_cells_that_are_named(named, position):
    times = [5, 15, 25]
    finding = ReloadVerify(10, alarm_cells=3).first_finding(Watched(named), times, 0, 7)
    assert finding == (
        None if position is None else Finding(position, Outcome.NAMED, reads=0, score=named[times[position]])
    )


@pytest.mark.parametrize("trip", [None, Trip(1, True), Trip(0, False)])
def test_a_sentinel_alarms_where_sums_trip(trip):
    device = Watched(alarm=trip)
    finding = Sentinel(10, MONITOR).first_finding(device, [5, 15], 0, 7)
    assert finding == (trip and Finding(trip.position, Outcome.ALARM, 1, 0, trip.without_noise))
    Sentinel(10, MONITOR).set_baseline(device, 77)
    assert device.asked == [("first_trip", [5, 15], MONITOR), ("read_sums", 77, MONITOR)]


def test_what_reads_little_costs_little():
    sentinel, named = Sentinel(10, MONITOR), ReloadVerify(10, 1)
    assert (sentinel.visit_cost(COSTS), sentinel.longest_visit_ns(COSTS)) == (COSTS.check, 5)
    assert (sentinel.baseline_cost(COSTS), sentinel.pulses_per_cell(50.0)) == (COSTS.check.times(4), 1.0)
    assert (named.visit_cost(COSTS), named.longest_visit_ns(COSTS)) == (NO_COST, 0)
    assert (named.baseline_cost(COSTS), named.pulses_per_cell(50.0)) == (NO_COST, 0.0)


def test_a_read_only_scrub_reads_every_cell_once():
    assert MarchScrub(10, read_only=True).pulses_per_cell(50.0) == 1.0


def test_regular_visits_are_on_a_grid_of_the_device_s_own_phase():
    for schedule in (*ALL[1:], Sentinel(10, MONITOR), ReloadVerify(10, 1)):
        times = schedule.visit_times(0.37, 2)
        assert [times.start_ns(k) for k in range(3)] == [3, 13, 23]
        assert schedule.usual_interval_ns(10**6, lambda time_ns: 0.0) == 10
    assert Never().visit_times(0.37, 2) is None
