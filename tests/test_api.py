"""The Python API: load, run, read, and frames whose columns are documented."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import lifesim
from lifesim.experiment import schema

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "scenarios" / "quickstart.toml"
TINY = ["group.cameras.count=1", "horizon_s=60 d"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory):
    return lifesim.run(lifesim.load(QUICKSTART, TINY), tmp_path_factory.mktemp("api") / "run")


def test_the_documented_names_are_there_and_documented() -> None:
    assert lifesim.__all__ == ["LifesimError", "UserError", "compare", "load", "read", "run"]
    assert all(inspect.getdoc(getattr(lifesim, name)) for name in lifesim.__all__)
    assert issubclass(lifesim.UserError, lifesim.LifesimError)


def test_load_takes_overrides_and_a_seed() -> None:
    scenario = lifesim.load(str(QUICKSTART), ["group.cameras.count=2"], seed=7)
    assert (scenario.group["cameras"].count, scenario.seed) == (2, 7)
    with pytest.raises(lifesim.UserError, match="no such file"):
        lifesim.load(ROOT / "scenarios" / "quickstar.toml")


@pytest.mark.parametrize("frame", ["fleet", "groups", "devices", "survival", "events"])
def test_frames_have_the_columns_of_the_schema(result, frame: str) -> None:
    assert list(getattr(result, frame).columns) == list(getattr(schema, frame.upper()))


def test_frames_hold_numbers(result) -> None:
    assert result.fleet["time_s"].tolist() == [0, 30 * 86_400, 60 * 86_400]
    names = {"group", "measure", "event", "detail"}
    for frame in (result.fleet, result.groups, result.devices, result.survival, result.events):
        for column in frame.columns.difference(list(names)):
            assert pd.api.types.is_numeric_dtype(frame[column]), column
    assert result.summary["devices"] == len(result.devices) == 1
    assert result.manifest["status"] == "finished"
    assert "60 days" in result.summary_text()


def test_read_gives_what_run_gave(result) -> None:
    again = lifesim.read(str(result.directory))
    for frame in ("fleet", "groups", "devices", "survival", "events"):
        pd.testing.assert_frame_equal(getattr(again, frame), getattr(result, frame))


def test_read_refuses_what_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(lifesim.UserError, match="no manifest.json: not the result directory of a run"):
        lifesim.read(tmp_path)
    with pytest.raises(lifesim.UserError, match="no manifest.json"):
        lifesim.read(tmp_path / "nowhere")


def test_a_group_keeps_its_name_whatever_pandas_takes_it_for(result, tmp_path: Path) -> None:
    scenario = lifesim.load(QUICKSTART, TINY)
    named = scenario.model_copy(
        update={"group": {"NA": scenario.group["cameras"], "007": scenario.group["cameras"]}}
    )
    run = lifesim.run(named, tmp_path)
    assert run.devices["group"].tolist() == ["NA", "007"]
    assert run.groups["group"].unique().tolist() == ["NA", "007"]


def test_the_example_of_the_package_names_what_exists() -> None:
    """It is too long to run; its names are checked."""
    (example,) = [e for e in doctest.DocTestFinder().find(lifesim, "lifesim") if e.name == "lifesim"]
    source = "".join(line.source for line in example.examples)
    assert 'lifesim.load("scenarios/quickstart.toml"' in source and "lifesim.run(" in source
    assert {"time_s", "accuracy_mean", "in_spec_availability"} <= set(schema.FLEET)


def test_importing_the_package_is_quick() -> None:
    code = "import sys, lifesim; print(sorted({'torch', 'pandas', 'pydantic', 'simpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_compare_is_the_commands_comparison(tmp_path: Path) -> None:
    shares: list[float] = []
    comparison = lifesim.compare(
        QUICKSTART,
        "never,periodic:20d",
        tmp_path / "comparison",
        overrides=TINY,
        replications=2,
        progress=lambda share, doing: shares.append(share),
    )
    assert comparison.manifest["replications"] == 2
    assert list(comparison.frame("pairs")["schedule"].unique()) == ["periodic:20d"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
