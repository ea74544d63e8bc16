"""Sweeps end to end: what a point says is what a run says, the same files wherever tasks run, and what failed or was interrupted goes on."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pandas as pd
import pytest

import lifesim
from lifesim.cli import main
from lifesim.comparison.measures import MEASURES
from lifesim.errors import LifesimError, UserError
from lifesim.experiment.cluster import DaskExecutor
from lifesim.experiment.executors import InProcessExecutor, make_executor
from lifesim.experiment.journal import Journal
from lifesim.sweep import run as module
from lifesim.sweep import tasks
from lifesim.sweep.dataset import DATASET
from lifesim.sweep.plan import load_plan
from lifesim.sweep.run import FAILURES, JOURNAL, run_sweep

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
SETTINGS = ["group.cameras.count=1", "horizon_s=300 d", "report_interval_s=100 d", "cloud.retraining.steps=5"]
SWEEP = f"""
scenario = "{QUICKSTART}"
set = {SETTINGS}
schedules = "never,periodic:20d"
replications = 2
plot = ["energy_j"]

[vary]
"group.*.site.mean_c" = [50, 65]
"regions.count" = [1, 2]
"""

pytestmark = pytest.mark.usefixtures("mlp_model")


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "small.toml"
    path.write_text(SWEEP, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def directory(sweep_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not write to it."""
    directory = tmp_path_factory.mktemp("sweeps") / "here"
    sweep = run_sweep(load_plan(sweep_file), directory, InProcessExecutor())
    assert (sweep.tasks, sweep.found, sweep.failed) == (2 * 2 * 2 * 3, 0, [])
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    """All files but the journal, which has tasks in the order in which they finished."""
    paths = (path for path in directory.rglob("*") if path.is_file() and path.name != JOURNAL)
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def test_a_row_is_what_a_comparison_says_of_that_scenario(directory: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(directory / DATASET)
    assert len(frame) == 4 * 2 * 2
    assert list(frame.columns) == [
        "point",
        "schedule",
        "replication",
        "group.*.site.mean_c",
        "regions.count",
        *MEASURES,
    ]
    assert frame.drop_duplicates(["point", "schedule", "replication"]).shape == frame.shape
    comparison = lifesim.compare(
        QUICKSTART, "never,periodic:20d", tmp_path / "c", overrides=[*SETTINGS, "group.cameras.site.mean_c=65", "regions.count=2"],
        replications=2,
    )  # fmt: skip
    here = frame[(frame["group.*.site.mean_c"] == 65) & (frame["regions.count"] == 2)]
    for _, row in comparison.frame("replications").iterrows():
        (found,) = here[(here["schedule"] == row["schedule"]) & (here["replication"] == row["replication"])][
            row["measure"]
        ]
        assert found == row["value"] or (pd.isna(found) and pd.isna(row["value"])), row["measure"]


def test_two_workers_and_a_cluster_write_the_same_bytes(
    sweep_file: Path, directory: Path, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    expected = contents(directory)
    assert {
        f"{DATASET}/part-00000.parquet",
        "sensitivity.csv",
        "sweep.json",
        "tornado_energy_j.png",
        "heatmap_energy_j.png",
    } == set(expected)
    with make_executor(2) as executor:
        run_sweep(load_plan(sweep_file), tmp_path / "processes", executor, workers=2)
    assert contents(tmp_path / "processes") == expected
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        DaskExecutor(cluster.scheduler_address) as executor,
    ):
        run_sweep(load_plan(sweep_file), tmp_path / "cluster", executor, workers=executor.workers)
    assert contents(tmp_path / "cluster") == expected


def _counting(monkeypatch: pytest.MonkeyPatch, fails_at: float | None = None) -> list[float]:
    ran: list[float] = []
    run = tasks._run

    def counted(task, executor, device):
        heat = task.scenario.group["cameras"].site.mean_c
        ran.append(heat)
        if heat == fails_at:
            raise ZeroDivisionError("too\nhot")
        return run(task, executor, device)

    monkeypatch.setattr(tasks, "_run", counted)
    return ran


def test_a_task_that_fails_is_reported_and_the_others_finish(
    sweep_file: Path,
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = tmp_path / "failing"
    with monkeypatch.context() as patch:
        ran = _counting(patch, fails_at=65.0)
        assert main(["sweep", str(sweep_file), "-o", str(where), "--quiet"]) == 1
        assert len(ran) == 24
    error = capsys.readouterr().err
    assert f"12 of 24 tasks failed, see {where / FAILURES}" in error
    assert (
        "schedule never, replication 0, region 0, group.*.site.mean_c = 65.0, regions.count = 1.0: ZeroDivisionError: too hot"
        in error
    )
    with (where / FAILURES).open() as file:
        failures = list(csv.DictReader(file))
    assert len(failures) == 12 and {row["group.*.site.mean_c"] for row in failures} == {"65.0"}
    assert all(
        "Traceback" in row["trace"] and row["error"] == "ZeroDivisionError: too hot" for row in failures
    )
    assert len(pd.read_parquet(where / DATASET)) == 8
    with monkeypatch.context() as patch:
        ran = _counting(patch)
        assert main(["sweep", str(sweep_file), "-o", str(where), "--quiet"]) == 0
        assert ran == [65.0] * 12
    assert contents(where) == contents(directory)


def test_what_is_finished_is_not_run_again_and_what_is_cut_off_is(
    sweep_file: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "copy"
    where.mkdir()
    journal = (directory / JOURNAL).read_bytes()
    (where / JOURNAL).write_bytes(journal)
    ran = _counting(monkeypatch)
    assert run_sweep(load_plan(sweep_file), where, InProcessExecutor()).found == 24 and ran == []
    assert contents(where) == contents(directory)
    (where / JOURNAL).write_bytes(journal[:-5])
    sweep = run_sweep(load_plan(sweep_file), where, InProcessExecutor())
    assert (sweep.found, len(ran)) == (23, 1) and sweep.dropped_bytes > 0
    assert contents(where) == contents(directory)


def test_an_interrupted_sweep_goes_on(
    sweep_file: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = _counting(monkeypatch)

    def stop(share: float, doing: str) -> None:
        if 7 <= len(ran) < 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(load_plan(sweep_file), tmp_path / "s", InProcessExecutor(), progress=stop)
    assert len(ran) == 8
    run_sweep(load_plan(sweep_file), tmp_path / "s", InProcessExecutor())
    assert len(ran) == 24 and contents(tmp_path / "s") == contents(directory)


def _dies(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_kills_its_workers_is_reported(
    sweep_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job of the first point kills whatever process it is in; the others finish."""
    plan = load_plan(sweep_file)

    class Deadly(InProcessExecutor):
        def submit(self, fn, /, *args, **kwargs):
            first = args[0][0].scenario
            if (
                first.group["cameras"].site.mean_c == 50.0
                and first.regions.count == 1
                and first.replication == 0
            ):
                return pool.submit(_dies)
            return super().submit(fn, *args, **kwargs)

    with make_executor(2) as pool:
        sweep = run_sweep(plan, tmp_path / "s", Deadly())
    assert {(where.point, where.replication, where.schedule) for where, _ in sweep.failed} == {
        (0, 0, "never"),
        (0, 0, "periodic:20d"),
    }
    assert all("died each time" in failure.error for _, failure in sweep.failed)


def test_a_directory_of_something_else_is_refused(sweep_file: Path, tmp_path: Path) -> None:
    plan = load_plan(sweep_file)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no sweep"):
        run_sweep(plan, tmp_path, InProcessExecutor())
    with pytest.raises(UserError, match="is a file"):
        run_sweep(plan, tmp_path / "notes.txt", InProcessExecutor())
    (tmp_path / JOURNAL).write_bytes(b"something else")
    with pytest.raises(UserError, match="no journal"):
        run_sweep(plan, tmp_path, InProcessExecutor())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", JOURNAL]


def test_a_full_disk_is_said(sweep_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, key, contents):
        raise LifesimError(f"{self.path}: No space left on device")

    monkeypatch.setattr(Journal, "add", full)
    with pytest.raises(LifesimError, match="tasks.journal: No space left"):
        run_sweep(load_plan(sweep_file), tmp_path / "s", InProcessExecutor())


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--executor", "proces"], 'must be process or dask:ADDRESS; did you mean'),
        (["--executor", "dask:"], "must be process or dask:ADDRESS"),
        (["--workers", "0"], "workers"),
    ],
)  # fmt: skip
def test_unusable_options_are_said(
    sweep_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], expected: str
) -> None:
    assert main(["sweep", str(sweep_file), "-o", str(tmp_path / "s"), *more]) == 2
    assert expected in capsys.readouterr().err and not (tmp_path / "s").exists()


def test_points_that_are_no_scenarios_are_said_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(SWEEP.replace("[50, 65]", "[50, 650]"), encoding="utf-8")
    assert main(["sweep", str(path), "-o", str(tmp_path / "s")]) == 2
    assert f"{path}: vary: group.cameras.site.mean_c = 650: must be" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_rows_go_to_files_of_some_thousand(
    sweep_file: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "copy"
    where.mkdir()
    (where / JOURNAL).write_bytes((directory / JOURNAL).read_bytes())
    monkeypatch.setattr(module.dataset, "ROWS_PER_FILE", 5)
    run_sweep(load_plan(sweep_file), where, InProcessExecutor())
    assert sorted(path.name for path in (where / DATASET).iterdir()) == [
        f"part-0000{i}.parquet" for i in range(4)
    ]
    assert pd.read_parquet(where / DATASET).equals(pd.read_parquet(directory / DATASET))
    monkeypatch.undo()
    run_sweep(load_plan(sweep_file), where, InProcessExecutor())
    assert contents(where) == contents(directory)
