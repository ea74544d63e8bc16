"""Reads disturb when they happen: visits that are chosen as time goes by count from then on."""

import pytest

from lifesim.detection.visits import Chosen, Grid
from lifesim.fleet.hardware import Hardware, make_silicon, pulses_of_inference
from lifesim.scenario.models import Scenario
from lifesim.timeunits import NS_PER_S, S_PER_DAY

DAY_NS = S_PER_DAY * NS_PER_S


def readings(schedule, visits=None, at_days=(0, 10, 20, 30)):
    """What the clock of read disturb of the first bank shows at some days."""
    group = {
        "count": 1, "network": "mlp", "site": "indoor", "schedule": schedule, "aet": {"pictures": 5},
        "technology": {"preset": "rated_1e4", "disturb_median_pulses": 1e8},
    }  # fmt: skip
    scenario = Scenario.model_validate({"name": "t", "horizon_s": "1 y", "group": {"g": group}})
    hardware = Hardware.of(scenario.group["g"])
    silicon = make_silicon(scenario.group["g"], hardware, scenario, "g", 0, visits=visits)
    per_test = 5 * pulses_of_inference(scenario.group["g"], hardware, hardware.layout.banks[0])
    return [silicon.banks[0].soft[1].reading(day * DAY_NS) for day in at_days], per_test


def test_chosen_visits_count_when_they_have_begun():
    visits = Chosen(Grid(DAY_NS, DAY_NS, 1000))
    for point in (4, 14, 15, 29):
        visits.plan(point)
    got, per_test = readings({"kind": "adaptive", "interval_s": "1 d"}, visits)
    assert got == pytest.approx([0, per_test, 3 * per_test, 4 * per_test])
    visits.take_back(3)
    assert readings({"kind": "adaptive", "interval_s": "1 d"}, visits)[0][-1] == pytest.approx(3 * per_test)


@pytest.mark.parametrize(
    "schedule", [{"kind": "periodic", "interval_s": "1 d"}, {"kind": "opportunistic", "interval_s": "1 d"}]
)
def test_visits_that_are_known_beforehand_count_from_the_start(schedule):
    got, per_test = readings(schedule)
    assert [(b - a) / per_test for a, b in zip(got, got[1:], strict=False)] == pytest.approx([10] * 3)


@pytest.mark.parametrize(
    ("schedule", "pulses"), [({"kind": "sentinel", "interval_s": "1 d"}, 1), ({"kind": "oracle"}, 0)]
)
def test_checks_pulse_once_and_the_oracle_does_not(schedule, pulses):
    got, _ = readings(schedule)
    assert [b - a for a, b in zip(got, got[1:], strict=False)] == pytest.approx([10 * pulses] * 3)
