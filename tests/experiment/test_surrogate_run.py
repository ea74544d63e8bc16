"""A run of surrogates: the same bytes again, nanoseconds that add up, the same silicon as the exact run, and a report of how far it is off."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import lifesim
from lifesim.experiment.run import run_to_directory
from lifesim.fleet.surrogate import calibration
from lifesim.scenario.load import load_scenario

ROOT = Path(__file__).parents[2]
SMALL = [
    "group.cameras.count=4",
    'horizon_s="2 y"',
    'report_interval_s="180 d"',
    "cloud.retraining.steps=5",
]


@pytest.fixture(scope="module", autouse=True)
def _few_examples():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_MOST", 240), ("_RETRAININGS", 24), ("_VISITS", 2), ("_PATHS", 8)):
            patch.setattr(calibration, name, value)
        patch.setattr(calibration, "_held", {})
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    where = tmp_path_factory.mktemp("runs")
    scenario = load_scenario(ROOT / "scenarios" / "quickstart.toml", SMALL)
    places = {}
    for name in ("first", "second"):
        places[name] = where / name
        run_to_directory(scenario, places[name], fidelity="surrogate")
        calibration._held.clear()  # the second reads what the first has kept
    for fidelity in ("surrogate", "multi"):
        regions = load_scenario(
            ROOT / "scenarios" / "quickstart.toml", [*SMALL, "regions.count=5", "group.cameras.count=1", 'horizon_s="200 d"']
        )  # fmt: skip
        places[fidelity] = where / fidelity
        run_to_directory(regions, places[fidelity], fidelity=fidelity, exact_regions=4)
    return places


def test_the_same_bytes(runs: dict[str, Path]) -> None:
    for name in ("fleet.csv", "devices.csv", "events.parquet", "summary.json", "layers.csv"):
        assert (runs["first"] / name).read_bytes() == (runs["second"] / name).read_bytes(), name
    for name in ("fleet.csv", "devices.csv", "events.parquet"):
        assert (runs["surrogate"] / name).read_bytes() == (runs["multi"] / name).read_bytes(), name


def test_manifest_and_summary_say_what_it_is(runs: dict[str, Path]) -> None:
    result = lifesim.read(runs["first"])
    assert result.manifest["fidelity"] == result.summary["fidelity"] == "surrogate"
    report = result.summary["surrogates"]["cameras"]
    assert report == result.manifest["surrogates"]["cameras"]
    assert report["held_out"]["deployed"]["examples"] > 20 and report["retrainings"] > 0
    assert report["held_out"]["deployed"]["alarm_brier"] < 0.15


def test_all_time_is_accounted_for(runs: dict[str, Path]) -> None:
    devices = pd.read_csv(runs["first"] / "devices.csv")
    states = [f"{state}_s" for state in lifesim.experiment.schema.STATES]
    assert (devices[states].sum(axis=1) - 2 * 365 * 86_400).abs().max() < 1e-3
    assert devices["tests"].sum() > 300 and devices["diagnoses"].sum() > 0
    assert (devices["jobs"] == devices["retrainings"]).all() and devices["jobs"].sum() > 0
    assert (devices["downlink_received_bytes"] > 1000 * devices["jobs"]).all()
    assert devices["in_spec_availability"].between(0.5, 1.0).all()


def test_estimates(runs: dict[str, Path]) -> None:
    estimates = pd.read_csv(runs["multi"] / "estimates.csv").set_index("measure")
    assert list(estimates["regions"].unique()) == [5]
    assert (estimates["low"] <= estimates["estimate"]).all()
    assert estimates.loc["in_spec_availability", "exact"] <= 1.0
    note = lifesim.read(runs["multi"]).manifest["multi"]
    assert len(note["exact_regions"]) == 4 and note["cpu_s"]["exact"] > 0
