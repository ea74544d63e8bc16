"""A run as a whole: the same bytes however it was run, and a directory that is never half-written."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from lifesim.crossbar.programming import Programmed
from lifesim.errors import LifesimError, UserError
from lifesim.experiment.lives import report_times_ns
from lifesim.experiment.results import FILES, read_result
from lifesim.experiment.run import run_to_directory
from lifesim.fleet import retraining_service
from lifesim.fleet.hardware import Hardware, make_silicon
from lifesim.scenario.load import load_scenario, scenario_digest
from lifesim.scenario.models import Scenario

ROOT = Path(__file__).parents[2]
FLEET = Path(__file__).with_name("fleet.toml")
CSVS = [name for name in FILES if name.endswith(".csv")]
SAME_BYTES = [name for name in FILES if name != "manifest.json"]
DAY_S = 86_400.0

SHIPPED = sorted((ROOT / "scenarios").glob("*.toml"))
# Fewer devices, or a shorter life, where twice the whole would take minutes.
SHORTENED = {
    "city_lenet": ["group.meters.count=1", "horizon_s=1 y"],
    "city_meters": ["regions.count=2", "group.meters.count=2", "horizon_s=1 y"],
    "quickstart": ["group.cameras.count=6", "horizon_s=3 y"],
    "lenet_hot_box": ["group.boxes.count=1", "horizon_s=2 y"],
    "two_sites": ["horizon_s=1 y"],
    "vehicle": ["group.cars.count=1", "horizon_s=2 y"],
    "busy_sensor": ["group.sensors.count=1", "horizon_s=100 d"],
    "mlc_drift": ["group.cameras.count=1", "horizon_s=200 d"],
    "lorawan_meter": ["group.meters.count=4", "horizon_s=2 y"],
    "heat_spells": ["group.boxes.count=4", "horizon_s=2 y"],
    "swapped_bank": ["group.doorbells.count=2", "horizon_s=2 y"],
    "factory_defects": ["group.screened.count=2", "group.unscreened.count=2", "horizon_s=200 d"],
    "fleet_1000": [
        *(f"group.{name}.count=2" for name in ("meters", "cameras", "sensors")),
        *(f"group.{name}.count=1" for name in ("doorbells", "converters", "stores", "vehicles")),
        "horizon_s=3 y",
    ],
}


def with_groups(scenario: Scenario, groups: list[str], days: float, **changes) -> Scenario:
    """Return the scenario with only these groups, in this order, for so many days."""
    kept = {name: scenario.group[name] for name in groups}
    return scenario.model_copy(update={"group": kept, "horizon_s": days * DAY_S, **changes})


@pytest.fixture(scope="module")
def quick(scenario: Scenario) -> Scenario:
    """Two worn devices for a few months, with retraining: seconds."""
    return with_groups(scenario, ["harsh"], 400, report_interval_s=100 * DAY_S)


def contents(directory: Path, names: list[str] = SAME_BYTES) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in names}


# -- the same bytes --


def test_the_same_bytes_from_the_command_line_in_another_process(run_directory: Path, tmp_path: Path) -> None:
    """``run_directory`` was stepped, with two workers; this one skips ahead, with one."""
    command = [sys.executable, "-m", "lifesim", "run", str(FLEET), "-o", str(tmp_path / "again"), "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert contents(tmp_path / "again") == contents(run_directory)
    here, there = (read_result(d).manifest for d in (run_directory, tmp_path / "again"))
    assert (here["stepped"], here["workers"], there["stepped"], there["workers"]) == (True, 2, False, 1)
    assert here["scenario_digest"] == there["scenario_digest"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_give_the_same_bytes_stepped_and_with_two_workers(
    path: Path, tmp_path: Path
) -> None:
    shipped = load_scenario(path, SHORTENED.get(path.stem, []))
    run_to_directory(shipped, tmp_path / "skip-ahead")
    run_to_directory(shipped, tmp_path / "stepped", stepped=True, workers=2)
    assert contents(tmp_path / "skip-ahead") == contents(tmp_path / "stepped")


def test_another_seed_is_another_fleet(quick: Scenario, tmp_path: Path) -> None:
    for seed in (3, 4):
        run_to_directory(quick.model_copy(update={"seed": seed}), tmp_path / str(seed))
    first, second = contents(tmp_path / "3", CSVS), contents(tmp_path / "4", CSVS)
    assert all(first[name] != second[name] for name in ("fleet.csv", "groups.csv", "devices.csv"))


def test_other_groups_and_their_order_leave_a_group_s_life_alone(scenario: Scenario, tmp_path: Path) -> None:
    """Of groups that do not meet in the cloud's queue, all but the devices' numbers."""
    alone = ["forgotten", "refreshed"]
    rows = []
    for i, groups in enumerate(
        (alone, alone[::-1], ["harsh", *alone], ["forgotten", "digital", "refreshed"])
    ):
        run_to_directory(with_groups(scenario, groups, 200), tmp_path / str(i))
        devices = [
            line.split(",", 2) for line in (tmp_path / str(i) / "devices.csv").read_text().splitlines()
        ]
        rows.append(sorted(rest for _, group, rest in devices if group in alone))
    assert rows == rows[:1] * 4


def test_silicon_depends_on_seed_group_and_slot_alone(scenario: Scenario) -> None:

    def stuck(in_scenario: Scenario, name: str, slot: int) -> list[list[int]]:
        silicon = make_silicon(
            in_scenario.group[name], Hardware.of(in_scenario.group[name]), in_scenario, name, slot
        )
        worn = Programmed(0, 0, 100_000)
        return [bank.stuck_at(worn, 0)[0].tolist() for bank in silicon.banks]

    other_order = with_groups(scenario, list(scenario.group)[::-1], 30)
    assert stuck(scenario, "harsh", 1) == stuck(other_order, "harsh", 1)
    changed = scenario.group["harsh"].model_copy(
        update={"schedule": scenario.group["forgotten"].schedule, "count": 9}
    )
    on_another_schedule = scenario.model_copy(update={"group": {"harsh": changed}})
    assert stuck(scenario, "harsh", 1) == stuck(on_another_schedule, "harsh", 1)
    assert stuck(scenario, "harsh", 1) != stuck(scenario, "harsh", 0)
    assert stuck(scenario, "harsh", 1) != stuck(scenario.model_copy(update={"seed": 4}), "harsh", 1)
    assert any(map(len, stuck(scenario, "harsh", 1)))


@pytest.mark.parametrize(
    ("horizon", "interval", "edges"), [(10, 5, [0, 5, 10]), (10, 4, [0, 4, 8, 10]), (3, 3, [0, 3])]
)
def test_report_times_end_with_the_horizon(
    scenario: Scenario, horizon: float, interval: float, edges: list[int]
) -> None:
    asked = scenario.model_copy(update={"horizon_s": float(horizon), "report_interval_s": float(interval)})
    assert report_times_ns(asked) == [edge * 10**9 for edge in edges]


# -- the directory --


def test_a_finished_run(run_directory: Path, scenario: Scenario) -> None:
    assert sorted(os.listdir(run_directory)) == sorted(FILES)
    manifest = json.loads((run_directory / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["seed"] == 3
    assert manifest["scenario_digest"] == scenario_digest(scenario)
    assert manifest["versions"]["torch"] == torch.__version__
    assert Scenario.model_validate_json(json.dumps(manifest["scenario"])) == scenario
    assert set(manifest["wall_clock_s"]) == {"networks", "simulation", "accuracy", "tables"}
    parts = manifest["of_which_s"]["simulation"]
    # Accuracy is judged while the fleet is simulated, as far as that goes, and counted apart.
    assert set(parts) == {"tests", "retraining", "accuracy", "event_loop"}
    assert sum(parts.values()) == pytest.approx(manifest["wall_clock_s"]["simulation"], abs=0.01)


@pytest.mark.parametrize("what", ["results", "foreign file"])
def test_a_directory_that_is_not_empty_is_refused_and_left_alone(
    quick: Scenario, tmp_path: Path, what: str
) -> None:
    (tmp_path / ("fleet.csv" if what == "results" else "notes.txt")).write_text("mine")
    with pytest.raises(UserError, match="is not empty; use --force"):
        run_to_directory(quick, tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_is_no_directory(quick: Scenario, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for force in (False, True):
        with pytest.raises(UserError, match="is a file, not a directory"):
            run_to_directory(quick, tmp_path / "file", force=force)


def test_force_replaces_results_and_leaves_the_rest(quick: Scenario, tmp_path: Path) -> None:
    for name in (*FILES, "notes.txt"):
        (tmp_path / name).write_text("old")
    run_to_directory(quick, tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "old"
    assert all((tmp_path / name).read_bytes() != b"old" for name in FILES)
    assert sorted(os.listdir(tmp_path)) == sorted([*FILES, "notes.txt"])


def test_nothing_is_destroyed_by_a_run_that_is_refused(
    quick: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fleet.csv").write_text("dear to me")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused = [
        ({"device": "cuda"}, "no CUDA device is available"),
        ({"workers": 0}, "must be at least 1"),
        (
            {"log_json": tmp_path / "nowhere" / "log.json"},
            "--log-json .*nowhere.*: cannot be written: No such file or directory",
        ),
    ]
    for options, message in refused:
        with pytest.raises(UserError, match=message):
            run_to_directory(quick, tmp_path, force=True, **options)
        assert os.listdir(tmp_path) == ["fleet.csv"] and (tmp_path / "fleet.csv").read_text() == "dear to me"


# -- what goes wrong in the middle --


def interrupt_from(share: float):
    def progress(done: float, doing: str) -> None:
        if done >= share:
            raise KeyboardInterrupt

    return progress


def assert_interrupted(directory: Path) -> int:
    """Check what an interrupted run leaves, and return the number of lines of its trace."""
    assert sorted(os.listdir(directory)) == ["events.parquet", "manifest.json", "run.journal"]
    assert json.loads((directory / "manifest.json").read_text())["status"] == "interrupted"
    with pytest.raises(UserError, match="the run is interrupted, not finished"):
        read_result(directory)
    return pyarrow.parquet.read_table(directory / "events.parquet").num_rows


@pytest.mark.parametrize(("share", "lines"), [(0.0, 0), (0.4, 10), (0.8, 20)])
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_the_trace_so_far(
    quick: Scenario, tmp_path: Path, share: float, lines: int, workers: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_to_directory(quick, tmp_path, workers=workers, progress=interrupt_from(share))
    assert assert_interrupted(tmp_path) >= lines


def test_ctrl_c_in_a_retraining(quick: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it strikes inside a process of the event loop."""

    def interrupted(task) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(retraining_service, "prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_to_directory(quick, tmp_path)
    assert assert_interrupted(tmp_path) > 5


def test_an_interrupted_trace_is_the_beginning_of_the_whole(quick: Scenario, tmp_path: Path) -> None:
    run_to_directory(quick, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_to_directory(quick, tmp_path / "part", progress=interrupt_from(0.5))
    whole, part = (
        pyarrow.parquet.read_table(tmp_path / d / "events.parquet").to_pandas() for d in ("whole", "part")
    )
    same = ["time_ns", "device", "event", "amount"]
    assert 0 < len(part) < len(whole)
    assert part[same].astype(str).equals(whole[same].astype(str).iloc[: len(part)])


def test_a_full_disk(quick: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0

    def fsync(handle: int) -> None:
        nonlocal written
        written += 1
        if written > 2:  # manifest and fleet.csv still fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lifesim.files.os.fsync", fsync)
    with pytest.raises(LifesimError, match="No space left on device") as caught:
        run_to_directory(quick, tmp_path)
    assert caught.value.exit_status == 1
    assert sorted(os.listdir(tmp_path)) == ["fleet.csv", "manifest.json", "run.journal"]
    assert len((tmp_path / "fleet.csv").read_text().splitlines()) == 6
    with pytest.raises(UserError, match="the run is running, not finished"):
        read_result(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_worker_gives_its_error_and_the_manifest_says_failed(
    quick: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    # A function that other processes can import, and that fails on the task.
    monkeypatch.setattr(retraining_service, "prepare", np.linalg.inv)
    with pytest.raises(np.linalg.LinAlgError, match="0-dimensional"):
        run_to_directory(quick, tmp_path, workers=workers)
    assert sorted(os.listdir(tmp_path)) == ["manifest.json", "run.journal"]
    assert json.loads((tmp_path / "manifest.json").read_text())["status"] == "failed"


def test_an_unwritable_directory(quick: Scenario, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LifesimError, match="Not a directory|File exists"):
        run_to_directory(quick, tmp_path / "file" / "below")


# -- the operator's view --


def test_progress_is_monotone_and_ends_at_1(quick: Scenario, tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    run_to_directory(quick, tmp_path, progress=lambda share, doing: seen.append((share, doing)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    assert list(dict.fromkeys(doing for _, doing in seen)) == [
        "networks",
        "simulation",
        "accuracy",
        "tables",
        "done",
    ]
    assert max(b - a for a, b in itertools.pairwise(shares)) < 0.25


def test_the_log_is_json_lines_and_is_appended_to(quick: Scenario, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    for directory in ("a", "b"):
        with pytest.raises(KeyboardInterrupt):
            run_to_directory(quick, tmp_path / directory, log_json=log, progress=interrupt_from(0.3))
    run_to_directory(quick, tmp_path / "c", log_json=log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    said = [line["event"] for line in lines]
    assert (
        said.count("run started") == 3 and said.count("run interrupted") == 2 and said[-1] == "run finished"
    )
    assert all({"event", "level", "timestamp", "scenario", "seed"} <= set(line) for line in lines)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_of_the_command(tmp_path: Path, workers: int) -> None:
    """The whole process group gets SIGINT, as from a terminal, once the simulation has begun."""
    directory, log = tmp_path / "out", tmp_path / "log.json"
    command = [sys.executable, "-m", "lifesim", "run", str(FLEET), "-o", str(directory), "--workers", workers]
    running = subprocess.Popen(
        [*command, "--quiet", "--log-json", str(log), "--set", "horizon_s=20 y"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while not (directory / "manifest.json").exists():
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(3)
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert (running.returncode, out, err) == (130, "", "")
    assert_interrupted(directory)
    with pytest.raises(ProcessLookupError):  # nobody is left in the group: no worker outlives the command
        for _ in range(50):
            os.killpg(running.pid, 0)
            time.sleep(0.1)
