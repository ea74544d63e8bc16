"""A device that watches its sums: how often it trips for nothing, and for what."""

import math

import numpy as np
import pytest
from scipy import special

from lifesim.crossbar.bank import Bank, Defect, Wear
from lifesim.crossbar.cost import OperationCosts
from lifesim.crossbar.diagnosis import Diagnosis
from lifesim.crossbar.march import MARCH_C_MINUS
from lifesim.crossbar.monitor import Monitor
from lifesim.crossbar.soft import Retention
from lifesim.detection.criteria import Golden
from lifesim.detection.reading import ReadNoise, TestRule
from lifesim.detection.schedules import Finding, Outcome, Sentinel
from lifesim.detection.testset import TestSet
from lifesim.fleet.silicon import Silicon
from lifesim.fleet.twin import DeviceTwin, Equipment
from lifesim.network.architecture import Architecture, Dense, Relu
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import CosineProfile, equivalent_time
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
CLOCK = equivalent_time(CosineProfile(85.0), 85.0, 1.1)
HOURLY = range(DAY_NS // 24, 400 * DAY_NS, DAY_NS // 24)


def make_twin(key=1, median_days=1e12, defects=()):
    architecture = Architecture("small", (1, 2, 2), (Dense("fc1", 3), Relu(), Dense("fc2", 2)))
    rng = np.random.default_rng(1)
    model = Model.quantised(
        architecture, [rng.uniform(-1, 1, (4, 3)), rng.uniform(-1, 1, (3, 2))], [np.zeros(3), np.zeros(2)]
    )
    wear = Wear(Weibull(1e9, 2.0), 0.8)
    retention = Retention(Lognormal(median_days * S_PER_DAY, 1.0), 0.5, 0, CLOCK)
    banks = tuple(
        Bank(stream_key(key, i), 16 * c.size, wear, (retention,), defects=defects if i == 0 else ())
        for i, c in enumerate(model.codes)
    )
    pictures = rng.integers(0, 256, (5, 1, 2, 2), dtype=np.uint8)
    evaluator = Evaluator.of(model)
    test_set = TestSet(pictures, Golden.of(evaluator.confidences([model.codes], pictures, None)[0]))
    rule = TestRule("sdc3", 5, 1, 1, 2)
    costs = OperationCosts.preset("isaac_slc")
    equipment = Equipment(rule, ReadNoise(0.0, 0.5), costs, Diagnosis(MARCH_C_MINUS), evaluator)
    return DeviceTwin(Silicon.of_layers(banks), model, test_set, equipment, stream_key(key, "noise"))


def trips(twin, monitor, times=HOURLY, window=64):
    """All trips at these times, asked for in windows, each going on after a trip."""
    found, first = [], 0
    while first < len(times):
        trip = twin.first_trip(times[first : first + window], monitor)
        first += min(window, len(times) - first) if trip is None else trip.position + 1
        if trip:
            found.append((times[first - 1], trip.without_noise))
    return found


@pytest.mark.parametrize(("sums", "number"), [("column", 48 + 32), ("crossbar", 2)])
def test_false_alarms_are_those_of_the_tails_of_the_noise(sums, number):
    """9,599 checks without a fault: as many trips as 1 - (1 - 2 Q(k))^sums says, within 3 standard errors."""
    k = 3.0
    chance = -math.expm1(number * math.log1p(-2 * special.ndtr(-k)))
    found = trips(make_twin(), Monitor(sums, 0.5, 0.5 * k))
    expected = chance * len(HOURLY)
    assert abs(len(found) - expected) < 3 * math.sqrt(expected * (1 - chance))
    assert not any(without_noise for _, without_noise in found), "the noise alone has done it"


def test_windows_do_not_show():
    monitor = Monitor("column", 0.5, 1.6)
    whole = trips(make_twin(median_days=40.0), monitor, HOURLY[:800], window=1)
    assert len(whole) > 20
    assert trips(make_twin(median_days=40.0), monitor, HOURLY[:800], window=64) == whole
    assert trips(make_twin(median_days=40.0), monitor, HOURLY[:800], window=7) == whole


def test_it_sees_a_line_that_breaks_and_takes_it_for_granted_after_a_baseline():
    """Four cells of one column that go to a level of 1: those that were 0 before add up."""
    column = np.arange(4, dtype=np.int32) * 48
    twin = make_twin(defects=[Defect(10 * DAY_NS, column, np.ones(4, np.uint8))])
    moved = 4 - int(twin.silicon.encoding.levels_of(twin.model.codes[0], column).sum())
    assert moved >= 2
    monitor = Monitor("column", 0.0, moved - 0.5)
    finding = Sentinel(10, monitor).first_finding(twin, HOURLY[:400])
    assert finding == Finding(239, Outcome.ALARM, reads=1, without_noise=True), "at the check at day 10"
    assert trips(twin, Monitor("column", 0.0, moved), HOURLY[:400]) == [], "that much is tolerated"
    Sentinel(10, monitor).set_baseline(twin, 11 * DAY_NS)
    assert trips(twin, monitor, HOURLY[264:400]) == []


def test_cells_that_cancel_do_not_show():
    levels = make_twin().silicon.encoding.levels(make_twin().model.codes[0]).reshape(4, 48)
    column = next(c for c in range(48) if 0 < levels[:, c].sum() < 4)
    one, other = (int(np.flatnonzero(levels[:, column] == level)[0]) * 48 + column for level in (0, 1))
    cells = np.array(sorted([one, other]), np.int32)
    swapped = np.array([1 if cell == one else 0 for cell in cells], np.uint8)
    twin = make_twin(defects=[Defect(10 * DAY_NS, cells, swapped)])
    assert trips(twin, Monitor("column", 0.0, 0.5), HOURLY[:400]) == []
    alone = make_twin(defects=[Defect(10 * DAY_NS, np.array([one], np.int32), np.ones(1, np.uint8))])
    assert trips(alone, Monitor("column", 0.0, 0.5), HOURLY[:400])
