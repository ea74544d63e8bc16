"""Runs that are killed and resumed: the files are those of a run that was not, and nothing is trusted that is not what it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lifesim.cli import main
from lifesim.errors import LifesimError, UserError
from lifesim.experiment import run as module
from lifesim.experiment import single
from lifesim.experiment.directory import JOURNAL
from lifesim.experiment.journal import Journal
from lifesim.experiment.remembering import RememberingExecutor
from lifesim.experiment.results import FILES
from lifesim.experiment.run import run_to_directory
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Regions, Scenario
from lifesim.streams import generator, stream_key

ROOT = Path(__file__).parents[2]
FLEET = Path(__file__).with_name("fleet.toml")
QUICKSTART = ROOT / "scenarios" / "quickstart.toml"
DAY_S = 86_400.0
SAME_BYTES = [name for name in FILES if name != "manifest.json"]


@pytest.fixture(scope="module")
def harsh(scenario: Scenario) -> Scenario:
    kept = {name: scenario.group[name] for name in ("harsh", "noisy")}
    return scenario.model_copy(
        update={"group": kept, "horizon_s": 300 * DAY_S, "report_interval_s": 100 * DAY_S}
    )


@pytest.fixture(scope="module")
def uninterrupted(harsh: Scenario, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("resume") / "whole"
    run_to_directory(harsh, directory)
    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)
    return contents(directory)


def contents(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in SAME_BYTES}


class Killed(BaseException):
    """As sudden as kill -9: nobody catches it."""


def kill_after(monkeypatch: pytest.MonkeyPatch, additions: int, torn: bool = False) -> None:
    """Have the process die after so many results are in the journal, in the middle of writing the next if ``torn``."""
    add, left = Journal.add, [additions]

    def dying(self: Journal, key: bytes, data: bytes) -> None:
        if not left[0]:
            if torn:
                end = self._end
                add(self, key, data)
                os.truncate(self.path, end + 50)
            raise Killed
        left[0] -= 1
        add(self, key, data)

    monkeypatch.setattr(Journal, "add", dying)


@pytest.mark.parametrize("torn", [False, True])
def test_a_run_killed_again_and_again_gives_the_same_bytes(
    harsh: Scenario,
    uninterrupted: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    torn: bool,
) -> None:
    where = tmp_path / "killed"
    for resume in (False, True, True):
        with monkeypatch.context() as patch:
            kill_after(patch, 4, torn)
            with pytest.raises(Killed):
                run_to_directory(harsh, where, resume=resume)
        assert json.loads((where / "manifest.json").read_text())["status"] == "running"
        (where / ".fleet.csv.0123.part").write_bytes(b"half a file")
    found: list[RememberingExecutor] = []
    monkeypatch.setattr(
        module, "RememberingExecutor", lambda *args: found.append(RememberingExecutor(*args)) or found[0]
    )
    run_to_directory(harsh, where, resume=True)
    assert found[0].found >= 12
    assert contents(where) == uninterrupted
    assert sorted(path.name for path in where.iterdir()) == sorted(FILES)


def test_with_other_workers_it_goes_on_just_the_same(
    harsh: Scenario, uninterrupted: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        kill_after(patch, 10)
        with pytest.raises(Killed):
            run_to_directory(harsh, tmp_path / "killed")
    run_to_directory(harsh, tmp_path / "killed", resume=True, workers=2)
    assert contents(tmp_path / "killed") == uninterrupted


def test_regions_that_have_finished_are_not_run_again(
    harsh: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = harsh.model_copy(update={"regions": Regions(count=3), "horizon_s": 100 * DAY_S})
    run_to_directory(three, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(Killed):
            run_to_directory(three, tmp_path / "killed")
    ran: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            "lifesim.experiment.regions.live",
            lambda region, *args, live=single.live, **more: (
                ran.append(region.regions.first) or live(region, *args, **more)
            ),
        )
        run_to_directory(three, tmp_path / "killed", resume=True)
    assert ran == [2]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("mlp_model")
def test_processes_killed_at_random_moments_go_on(tmp_path: Path) -> None:
    """Two real kills; tests/benchmarks/kills.py does twenty."""
    changes = ["horizon_s=300 d", "report_interval_s=100 d"]
    command = [
        sys.executable,
        "-m",
        "lifesim",
        "run",
        str(QUICKSTART),
        "--quiet",
        *(f"--set={text}" for text in changes),
    ]
    rng = generator(stream_key("moments"))
    where = tmp_path / "killed"
    for _ in range(2):
        process = subprocess.Popen([*command, "-o", str(where), "--resume"], cwd=ROOT)
        while process.poll() is None and not (where / JOURNAL).exists():
            time.sleep(0.05)
        time.sleep(2.0 * float(rng.random()))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run([*command, "-o", str(where), "--resume"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run_to_directory(load_scenario(QUICKSTART, changes), tmp_path / "whole")
    assert contents(where) == contents(tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(
    harsh: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = harsh.model_copy(update={"horizon_s": 30 * DAY_S, "report_interval_s": 30 * DAY_S})
    run_to_directory(short, tmp_path / "run", resume=True)  # there is nothing to go on with: it begins
    before = {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "run").iterdir()
    }
    monkeypatch.setattr(single, "live", None)
    result = run_to_directory(short, tmp_path / "run", resume=True)
    assert result.summary["devices"] == 5
    assert {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "run").iterdir()
    } == before


def test_what_is_no_run_of_this_scenario_is_refused_and_left_alone(
    harsh: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(Killed):
            run_to_directory(harsh, where)
    before = {path.name: path.read_bytes() for path in where.iterdir()}
    with pytest.raises(UserError, match="is not empty; use --force"):
        run_to_directory(harsh, where)
    with pytest.raises(
        UserError, match=r"holds a run of another scenario \(digest .*--seed must be what they were"
    ):
        run_to_directory(harsh.model_copy(update={"seed": 8}), where, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr("lifesim.experiment.directory.versions", lambda: ("0.0.0",))
        with pytest.raises(
            UserError, match=r"run.journal: is the journal of something else: versions .*, not 0.0.0"
        ):
            run_to_directory(harsh, where, resume=True)
    assert {path.name: path.read_bytes() for path in where.iterdir()} == before
    (where / "manifest.json").write_text("[]")
    with pytest.raises(UserError, match="manifest.json: is not the manifest of a run"):
        run_to_directory(harsh, where, resume=True)
    (where / "manifest.json").unlink()
    (where / JOURNAL).write_bytes(b"pictures of my holidays")
    with pytest.raises(UserError, match=r"run.journal: is no journal of lifesim"):
        run_to_directory(harsh, where, resume=True)
    assert [path.name for path in where.iterdir()] == [JOURNAL]
    (where / JOURNAL).rename(where / "notes")
    with pytest.raises(UserError, match="holds no run that could be resumed"):
        run_to_directory(harsh, where, resume=True)
    with pytest.raises(UserError, match="is a file, not a directory"):
        run_to_directory(harsh, where / "notes", resume=True)


def test_a_full_disk_loses_nothing(
    harsh: Scenario, uninterrupted: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, add, additions = tmp_path / "run", Journal.add, []

    def filling(self: Journal, key: bytes, data: bytes) -> None:
        additions.append(key)
        if len(additions) > 10:
            raise LifesimError(f"{self.path}: No space left on device")
        add(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", filling)
        with pytest.raises(LifesimError, match=r"run.journal: No space left on device"):
            run_to_directory(harsh, where)
    assert json.loads((where / "manifest.json").read_text())["status"] == "failed"
    with where.joinpath(JOURNAL).open("rb") as file:
        assert file.read(7) == b"lifesim"
    run_to_directory(harsh, where, resume=True)
    assert contents(where) == uninterrupted


def test_resume_and_force_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(FLEET), "-o", str(tmp_path / "r"), "--resume", "--force"]) == 2
    assert "--resume, --force" in capsys.readouterr().err and not (tmp_path / "r").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_said(harsh: Scenario, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(LifesimError, match="Permission denied"):
        run_to_directory(harsh, tmp_path / "run")
