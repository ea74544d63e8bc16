"""The command line: exit statuses, what goes to which stream, and what is not imported."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from lifesim.cli import main
from lifesim.commands.common import progress_bar
from lifesim.errors import LifesimError, UserError

ROOT = Path(__file__).parents[1]
QUICKSTART = str(ROOT / "scenarios" / "quickstart.toml")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> dict:
    """Stand in for the simulation; returns what it was called with; raises what is put in as "raises"."""
    calls: dict = {}

    def run_to_directory(scenario, directory, **options):
        calls.update(scenario=scenario, directory=directory, **options)
        if options["progress"] is not None:
            options["progress"](0.5, "half")
        if "raises" in calls:
            raise calls["raises"]
        return types.SimpleNamespace(summary_text=lambda: "the summary")

    module = types.ModuleType("lifesim.experiment.run")
    module.run_to_directory = run_to_directory  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lifesim.experiment.run", module)
    return calls


def test_run_passes_its_options_on(runner: dict, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seed", "9", "--set", "group.cameras.count=3", "--stepped", "--workers", "2", "--force"]
    assert main(["run", QUICKSTART, *options, "-o", "there", "--log-json", "log.json"]) == 0
    assert (runner["scenario"].seed, runner["scenario"].group["cameras"].count) == (9, 3)
    assert (runner["directory"], runner["log_json"]) == (Path("there"), Path("log.json"))
    assert (runner["stepped"], runner["workers"], runner["force"], runner["device"]) == (True, 2, True, "cpu")
    assert capsys.readouterr().out.splitlines()[0] == "the summary"


def test_the_default_directory_is_named_after_scenario_and_seed(runner: dict) -> None:
    assert main(["run", QUICKSTART, "--seed", "4"]) == 0
    assert runner["directory"] == Path("results/quickstart-4")
    assert (runner["workers"], runner["stepped"], runner["force"], runner["log_json"]) == (
        1,
        False,
        False,
        None,
    )


def test_quiet_prints_nothing(runner: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", QUICKSTART, "--quiet"]) == 0
    assert runner["progress"] is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (UserError("the directory is not empty"), 2, "lifesim: error: the directory is not empty"),
        (LifesimError("the delta is torn"), 1, "lifesim: error: the delta is torn"),
        (ValueError("a\nbug"), 1, "lifesim: error: ValueError: a bug (LIFESIM_DEBUG=1 shows the traceback)"),
    ],
)
def test_errors_become_one_line_and_a_status(
    runner: dict, capsys: pytest.CaptureFixture[str], raised: Exception, status: int, line: str
) -> None:
    runner["raises"] = raised
    assert main(["run", QUICKSTART]) == status
    assert capsys.readouterr().err.splitlines() == [" 50% half", line]


def test_debug_shows_the_traceback(
    runner: dict, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFESIM_DEBUG", "1")
    runner["raises"] = ValueError("a bug")
    assert main(["run", QUICKSTART]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_progress_without_a_terminal_is_a_line_for_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(quiet=False) as progress:
        for step in range(1001):
            progress(step / 1000, "living")
    assert capsys.readouterr().err.splitlines() == [f"{tenth / 10:4.0%} living" for tenth in range(11)]


def test_ctrl_c_is_130(runner: dict) -> None:
    runner["raises"] = KeyboardInterrupt()
    assert main(["run", QUICKSTART]) == 130


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["run"], "SCENARIO"),
        (["run", "nowhere.toml"], "nowhere.toml: no such file"),
        (["run", QUICKSTART, "--sed", "3"], "--sed"),
        (["run", QUICKSTART, "--seed", "x"], "--seed"),
        (["run", QUICKSTART, "--workers", "0"], "--workers"),
        (["run", QUICKSTART, "--device", "tpu"], "--device"),
        (["run", QUICKSTART, "--set", "horizon_s=never"], "--set: horizon_s"),
        (["runn"], "runn"),
        (["validate", QUICKSTART, "--set", "seed=-1"], "--set: seed = -1"),
        (["presets", "techology"], "did you mean 'technology'?"),
        (["presets", "site", "indor"], "did you mean 'indoor'?"),
    ],
)
def test_what_the_user_got_wrong_is_status_2_in_one_line(
    arguments: list[str], needle: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lifesim: error: ")
    assert needle in err
    assert err.count("\n") == 1


def test_every_mistake_has_its_prefixed_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", QUICKSTART, "--set", "seed=-1", "--set", "cloud.workers=0"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("lifesim: error: --set: ") for line in lines)


def test_presets_are_listed_in_brief_and_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    brief = capsys.readouterr().out
    assert "technology rated_1e4: " in brief and "network mlp: " in brief and "endurance_shape" not in brief
    assert main(["presets", "technology", "rated_1e4"]) == 0
    full = capsys.readouterr().out
    assert "endurance_shape" in full and "Nordic nRF54L15" in full and "mature_28nm" not in full
    for kind in ("technology", "site", "link", "network", "cost"):
        assert main(["presets", kind]) == 0


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "group" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize("command", ["", "run", "validate", "schema", "presets"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"] if command else []) == 0
    assert f"\n    lifesim {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"lifesim": "9.8.7"}[name])
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "lifesim 9.8.7\n"


@pytest.mark.parametrize(
    "arguments", [["schema"], ["presets", "network"], ["run", "-h"], ["validate", QUICKSTART]]
)
def test_torch_is_not_imported_where_nothing_is_simulated(arguments: list[str]) -> None:
    code = (
        f"import sys; from lifesim.cli import main; sys.exit(main({arguments!r}) or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_dash_m() -> None:
    done = subprocess.run([sys.executable, "-m", "lifesim", "runn"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lifesim: error: No such command 'runn'")
