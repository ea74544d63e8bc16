"""The comparison of schedules, from files such as runs write: what it refuses, says, draws."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from lifesim.experiment import schema

SCRIPT = Path(__file__).parents[2] / "analysis" / "compare_schedules.py"
DEVICES = 5


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_schedules", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


WriteRun = Callable[..., str]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Return a function that writes a result directory and returns LABEL=DIRECTORY."""

    def write(
        label: str,
        in_spec: list[float],
        *,
        seed: int = 1,
        status: str = "finished",
        schedule: str = "never",
        **changes: Any,
    ) -> str:
        directory = tmp_path / label
        directory.mkdir()
        periods = 4
        fleet = pd.DataFrame({column: np.zeros(periods) for column in schema.FLEET})
        fleet["time_s"] = np.arange(periods) * 30 * 86_400
        fleet["accuracy_mean"] = np.linspace(0.96, 0.96 * np.mean(in_spec), periods)
        fleet["accuracy_p05"] = fleet["accuracy_mean"] - 0.01
        fleet["in_spec_share"] = [None, *[np.mean(in_spec)] * (periods - 1)]
        fleet.to_csv(directory / "fleet.csv", index=False)
        devices = pd.DataFrame({column: np.zeros(DEVICES) for column in schema.DEVICES})
        devices["in_spec_availability"] = in_spec
        devices["accuracy_min"] = 0.9
        devices.to_csv(directory / "devices.csv", index=False)
        summary = {
            "scenario": "tiny",
            "seed": seed,
            "horizon_s": 90 * 86_400,
            "devices": DEVICES,
            "groups": {"g": {"required_accuracy": 0.94}},
            "in_spec_availability": float(np.mean(in_spec)),
            "out_silent_share": 1 - float(np.mean(in_spec)),
            "counts": dict.fromkeys(schema.COUNTS, 7),
        }
        (directory / "summary.json").write_text(json.dumps(summary))
        group = {"count": DEVICES, "site": {"mean_c": 55.0}, "schedule": {"kind": schedule}}
        scenario = {"name": label, "seed": seed, "group": {"g": group | changes}}
        manifest = {"status": status, "scenario": scenario, "versions": {"torch": "2"}}
        (directory / "manifest.json").write_text(json.dumps(manifest))
        return f"{label}={directory}"

    return write


def test_it_draws_a_picture_and_prints_a_table(
    compare: ModuleType, write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        write_run("tested", [1.0, 1.0, 1.0, 0.99, 1.0], schedule="periodic"),
        write_run("left alone", [0.8] * 5),
    ]
    assert compare.main(["-o", str(tmp_path / "out.png"), *runs]) == 0
    picture = imread(tmp_path / "out.png")
    assert picture.shape[1] > 800
    assert (picture[0, 0, :3] == 1.0).all(), "white ground, in dark mode, too"
    out = capsys.readouterr().out
    head, _, tested, alone = out.splitlines()[:4]
    assert {line.count("|") for line in (head, tested, alone)} == {12}
    assert "| tested | 99.800% |  |" in tested
    assert "| left alone | 80.000% |" in alone


def test_the_interval_is_that_of_paired_differences(compare: ModuleType, write_run: WriteRun) -> None:
    first = compare.read_run(write_run("a", [0.9, 0.8, 0.7, 0.6, 0.5]))
    other = compare.read_run(write_run("b", [0.8, 0.7, 0.6, 0.5, 0.3]))
    # Differences 0.1 four times and 0.2: mean 0.12, sd 0.0447, t(4 degrees, 97.5 %) = 2.776.
    mean, half_width = re.search(r"([\d.]+) ± ([\d.]+) points", compare.table([first, other])).groups()
    assert float(mean) == pytest.approx(12.0, abs=0.01)
    assert float(half_width) == pytest.approx(100 * 2.776 * 0.0447214 / 5**0.5, abs=0.01)


def test_the_finding_names_best_and_worst(compare: ModuleType, write_run: WriteRun) -> None:
    values = {"middling": 0.9, "worst": 0.5, "best": 0.9997}
    runs = [compare.read_run(write_run(label, [value] * DEVICES)) for label, value in values.items()]
    assert compare.finding(runs) == "In spec 99.97 % of the time with best, 50.0 % with worst"


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 2}, "seed"), ({"site": {"mean_c": 56.0}}, "group"), ({"count": 6}, "group")],
)
def test_it_refuses_other_silicon(
    compare: ModuleType,
    write_run: WriteRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict,
    named: str,
) -> None:
    runs = [write_run("a", [1.0] * DEVICES), write_run("b", [1.0] * DEVICES, **change)]
    assert compare.main(["-o", str(tmp_path / "out.png"), *runs]) == 2
    assert f"b and a differ in {named}: not the same silicon" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_it_refuses_what_is_no_finished_run(
    compare: ModuleType, write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = write_run("a", [1.0] * DEVICES, status="interrupted")
    for argument, complaint in (
        (interrupted, "the run is interrupted, not finished"),
        (f"b={tmp_path}", "no manifest.json"),
        (str(tmp_path), "must be LABEL=DIRECTORY"),
    ):
        assert compare.main(["-o", str(tmp_path / "out.png"), argument]) == 2
        assert complaint in capsys.readouterr().err


def test_labels_do_not_overlap_where_lines_end_together(compare: ModuleType, write_run: WriteRun) -> None:
    runs = [compare.read_run(write_run(f"run {i}", [0.95 - 1e-4 * i] * DEVICES)) for i in range(6)]
    figure = compare.draw(runs)
    figure.canvas.draw()
    for axes in figure.axes:
        labels = [text for text in axes.texts if text.get_text() != "in spec"]
        assert len(labels) == 6
        middles = np.sort([axes.transData.transform((0, label.xyann[1]))[1] for label in labels])
        assert np.diff(middles).min() > labels[0].get_size() * figure.dpi / 72


def test_it_reads_files_only() -> None:
    """The comparison must work for somebody who has only the files: no import of the simulator."""
    assert not re.search(r"^\s*(import|from) lifesim", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
