"""From which score on an alarm is worth acting on."""

from pathlib import Path

import numpy as np
import pytest

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.detection.prediction import NEVER
from lifesim.fleet import calibration
from lifesim.fleet.build import make_plan
from lifesim.scenario.load import load_scenario
from lifesim.streams import stream_key

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
READBACK = "group.cameras.schedule={kind='readback', interval_s='9 d'}"


def act_from(*overrides):
    scenario = load_scenario(QUICKSTART, overrides)
    return make_plan("cameras", scenario.group["cameras"], scenario, "cpu").policy.act_from_score


def above(loss):
    return f"group.cameras.policy.act_when={{kind='predicted_loss', above={loss}}}"


def test_without_being_asked_nothing_is_calibrated(monkeypatch):
    monkeypatch.setattr(calibration, "_random_map", None)  # would be called
    assert act_from() == 0
    with pytest.raises(TypeError):
        act_from(above(0.01))


@pytest.mark.parametrize("schedule", [(), (READBACK,)], ids=["periodic", "readback"])
def test_the_more_loss_is_tolerated_the_higher_the_score(schedule):
    scores = [act_from(above(loss), *schedule) for loss in (0.005, 0.05, 0.99)]
    assert 0 < scores[0] < scores[1] < scores[2] == NEVER
    assert act_from(above(0.05), *schedule) == scores[1], "and it is the same every time"


@pytest.mark.parametrize(("encoding", "top"), [(SLC, 1), (Encoding(2, True), 3)])
def test_examples_have_so_many_cells_anywhere_and_so_many_of_them_at_the_top(encoding, top):
    layers = (30_000, 1_000, 69_000)
    found = calibration._random_map(stream_key("a map"), layers, 0.4, 0.8, encoding)
    assert found.count == 40_000 and found.encoding == encoding
    for cells, values, size in zip(found.cells, found.values, layers, strict=True):
        assert (np.diff(cells) > 0).all() and cells[0] >= 0 and cells[-1] < size
        assert abs(len(cells) / size - 0.4) < 3 * np.sqrt(0.24 / size)
        assert set(values.tolist()) == {0, top}
        assert abs((values == top).mean() - 0.8) < 3 * np.sqrt(0.16 / len(values))
    one = calibration._random_map(stream_key("one"), layers, 1e-9, 0.8, encoding)
    assert one.count == 1
