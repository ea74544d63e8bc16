"""From which score on an alarm is worth acting on."""

from pathlib import Path

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
