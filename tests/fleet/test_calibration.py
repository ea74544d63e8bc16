"""From which score on an alarm is worth acting on."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lifesim.detection.prediction import NEVER
from lifesim.fleet import calibration
from lifesim.fleet.build import make_plan
from lifesim.scenario.load import load_scenario

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
READBACK = "group.cameras.schedule={kind='readback', interval_s='9 d'}"


def act_from(*overrides):
    scenario = load_scenario(QUICKSTART, overrides)
    return make_plan("cameras", scenario.group["cameras"], scenario, "cpu").policy.act_from_score


def above(loss):
    return f"group.cameras.policy.act_when={{kind='predicted_loss', above={loss}}}"


def test_without_being_asked_nothing_is_calibrated(monkeypatch):
    monkeypatch.setattr(calibration, "random_map", None)  # would be called
    assert act_from() == 0
    with pytest.raises(TypeError):
        act_from(above(0.01))


@pytest.mark.parametrize("schedule", [(), (READBACK,)], ids=["periodic", "readback"])
def test_the_more_loss_is_tolerated_the_higher_the_score(schedule):
    scores = [act_from(above(loss), *schedule) for loss in (0.005, 0.05, 0.99)]
    assert 0 < scores[0] < scores[1] < scores[2] == NEVER
    assert act_from(above(0.05), *schedule) == scores[1], "and it is the same every time"


BEST = (
    "group.cameras.policy_set='best'",
    "group.cameras.aet.pictures=4",
    "group.cameras.aet.selection='boundary'",
)
SHARED = "group.cameras.workload.banks={ array = ['fc1', 'fc2', 'fc3'] }"
OFTEN = "group.cameras.workload.reloads_per_day={ fc1 = 288, fc2 = 288, fc3 = 288 }"


def test_a_cell_that_layers_share_is_stuck_in_all_of_them():
    scenario = load_scenario(QUICKSTART, (SHARED, OFTEN, *BEST))
    plan = make_plan("cameras", scenario.group["cameras"], scenario, "cpu")
    sizes = [bank.n_cells for bank in plan.hardware.layout.banks]
    found = calibration._worn_map(7, plan.hardware, np.full(len(sizes), 0.01), 0.8)
    smallest = sizes[0]
    of_layers = [
        dict(zip(c[c < smallest].tolist(), v[c < smallest].tolist(), strict=True))
        for c, v in zip(found.cells, found.values, strict=True)
    ]
    assert len(of_layers) == 3 and len(of_layers[0]) == round(0.01 * smallest)
    assert of_layers[0] == of_layers[1] == of_layers[2]
    wear = calibration._relative_wear(plan.group, plan.hardware)
    assert wear[0] == 1.0 and np.all(np.diff(wear) < 0), "the more layers pass, the sooner"


def test_of_devices_whose_lines_fail_some_examples_have_failed_lines(monkeypatch):
    scenario = load_scenario(QUICKSTART, (*BEST, "group.cameras.technology.line_failures_per_year=0.2"))
    plan = make_plan("cameras", scenario.group["cameras"], scenario, "cpu")
    maps = [calibration._broken_map(5, plan.hardware, plan.group.technology, n) for n in calibration.LINES]
    counts = [found.count for found in maps]
    assert all(a < b for a, b in pairwise(counts))
    longest = max(max(bank.tiling.rows, bank.tiling.columns) for bank in plan.hardware.layout.banks)
    assert 0 < counts[0] <= longest
    assert all(maps[-1].without(found).count == counts[-1] - found.count for found in maps), "the first stay"
    # More examples never have the next rung climbed later.
    monkeypatch.setattr(calibration, "LINES", ())
    without = make_plan("cameras", scenario.group["cameras"], scenario, "cpu")
    assert plan.policy.climb_from_score <= without.policy.climb_from_score
