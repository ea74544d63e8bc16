"""Comparisons end to end: the same devices under every schedule, the same files whatever the workers, and what was interrupted goes on."""

import json
from pathlib import Path

import pytest

import lifesim
from lifesim.comparison import compare as module
from lifesim.comparison.alternatives import load_alternatives
from lifesim.comparison.compare import compare
from lifesim.comparison.results import MANIFEST, read_comparison
from lifesim.comparison.schema import FILES
from lifesim.comparison.statistics import mean_interval, paired_difference
from lifesim.comparison.tasks import make_task, run_tasks, stop_tasks
from lifesim.errors import UserError
from lifesim.experiment.executors import InProcessExecutor, make_executor

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
SMALL = [
    "group.cameras.count=2", "horizon_s=500 d", "report_interval_s=100 d", "group.cameras.site.mean_c=65", "prices.per_test=0.5",
    "cloud.retraining.steps=5", "spec.confidence=0.95",
]  # fmt: skip
SCHEDULES = "never,periodic:20d,blind_refresh:100d"

pytestmark = pytest.mark.usefixtures("mlp_model")


def alternatives(schedules=SCHEDULES, more=()):
    return load_alternatives(QUICKSTART, schedules, [*SMALL, *more])


@pytest.fixture(scope="module")
def directory(tmp_path_factory, mlp_model) -> Path:
    """Do not write to it."""
    directory = tmp_path_factory.mktemp("comparison") / "here"
    compare(alternatives(), directory, InProcessExecutor(), replications=3)
    return directory


def contents(directory):
    return {name: (directory / name).read_bytes() for name in (*FILES, MANIFEST)}


def test_two_workers_write_the_same_bytes(directory, tmp_path):
    with make_executor(2) as executor:
        compare(alternatives(), tmp_path / "there", executor, replications=3)
    assert contents(tmp_path / "there") == contents(directory)


def test_a_replication_is_a_run_of_that_number(directory, tmp_path):
    """What a comparison says of a fleet is what `lifesim run --set replication=N` says of it."""
    scenario = lifesim.load(
        QUICKSTART, [*SMALL, "replication=2", 'group.cameras.schedule={kind="periodic",interval_s="20 d"}']
    )
    summary = lifesim.run(scenario, tmp_path / "run").summary
    rows = read_comparison(directory).frame("replications")
    found = rows[(rows["schedule"] == "periodic:20d") & (rows["replication"] == 2)].set_index("measure")[
        "value"
    ]
    years = summary["devices"] * summary["horizon_s"] / (365 * 86_400)
    assert found["in_spec_availability"] == summary["in_spec_availability"]
    assert found["silent_share"] == summary["out_silent_share"]
    assert found["tests"] == pytest.approx(summary["counts"]["tests"] / years)
    assert found["cost"] == pytest.approx(0.5 * summary["counts"]["tests"] / years)
    assert found["energy_j"] == pytest.approx(summary["energy_j"] / years)


def test_replications_are_other_devices_and_schedules_are_not(directory):
    """Until anybody rewrites a cell, a device has lost the same cells under every schedule; under another number it has not."""
    results = {}
    for alternative in alternatives("never,periodic:400d"):
        for number in (0, 1):
            results[alternative.label, number] = make_task(alternative.scenario, number, directory).scenario
    assert results["never", 1].replication == 1
    rows = read_comparison(directory).frame("replications")
    of_never = rows[(rows["schedule"] == "never") & (rows["measure"] == "in_spec_availability")]["value"]
    assert of_never.nunique() == 3


def test_tables_are_what_statistics_say(directory):
    comparison = read_comparison(directory)
    rows = comparison.frame("replications")
    values = rows[rows["measure"] == "in_spec_availability"].pivot(
        index="replication", columns="schedule", values="value"
    )
    means = comparison.frame("comparison").set_index(["measure", "schedule"]).loc["in_spec_availability"]
    pairs = comparison.frame("pairs").set_index(["measure", "schedule"]).loc["in_spec_availability"]
    for schedule in values:
        interval = mean_interval(values[schedule])
        assert means.loc[schedule, "mean"] == interval.mean
        assert means.loc[schedule, "high"] == interval.high
        if schedule != "never":
            assert (
                pairs.loc[schedule, "difference"]
                == paired_difference(values[schedule], values["never"]).interval.mean
            )
    curves = comparison.frame("curves")
    at_end = curves[(curves["curve"] == "accuracy_mean") & (curves["time_s"] == 500 * 86_400)]
    assert (at_end.set_index("schedule")["replications"] == 3).all()
    assert list(comparison.manifest["measures"]) == list(dict.fromkeys(rows["measure"]))


def test_every_column_is_documented_and_every_file_written(directory):
    for name, columns in FILES.items():
        assert (directory / name).read_text(encoding="utf-8").splitlines()[0].split(",") == list(columns)


def test_what_is_there_is_not_run_again(directory, tmp_path, monkeypatch):
    """A comparison that grows by a replication and loses a schedule runs two tasks; one that asks for what is there runs none."""
    ran = []
    monkeypatch.setattr(
        "lifesim.comparison.tasks.measured_scenario",
        lambda scenario, executor, device: (
            ran.append(scenario.replication) or json.loads(kept.read_text(encoding="utf-8"))
        ),
    )
    copy = tmp_path / "copy"
    (copy / "tasks").mkdir(parents=True)
    for path in (directory / "tasks").iterdir():
        (copy / "tasks" / path.name).write_bytes(path.read_bytes())
    kept = next((directory / "tasks").iterdir())
    compare(alternatives(), copy, InProcessExecutor(), replications=3)
    assert ran == []
    assert contents(copy) == contents(directory)
    compare(alternatives("never,periodic:20d"), copy, InProcessExecutor(), replications=4)
    assert ran == [3, 3]


def test_an_interrupted_comparison_keeps_what_it_has(directory, tmp_path, monkeypatch):
    """The first replication finishes, the second is interrupted: going on gives the files of one that was not."""
    results = {p.name: p.read_text(encoding="utf-8") for p in (directory / "tasks").iterdir()}
    ran = []

    def run_from_memory(tasks, device="cpu", on_task=lambda: None):
        if len(ran) == 1:
            ran.append("interrupted")
            raise KeyboardInterrupt
        ran.append(len(tasks))
        for task in tasks:
            task.path.parent.mkdir(exist_ok=True)
            task.path.write_text(results[task.path.name], encoding="utf-8")

    monkeypatch.setattr(module, "run_tasks", run_from_memory)
    with pytest.raises(KeyboardInterrupt):
        compare(alternatives(), tmp_path, InProcessExecutor(), replications=3)
    assert not (tmp_path / MANIFEST).exists()
    compare(alternatives(), tmp_path, InProcessExecutor(), replications=3)
    assert ran == [3, "interrupted", 3, 3]
    assert contents(tmp_path) == contents(directory)


def test_whoever_runs_tasks_stops_when_asked(tmp_path):
    task = make_task(alternatives()[0].scenario, 0, tmp_path)
    stop_tasks(tmp_path)
    run_tasks([task])
    assert task.result() is None


def test_a_damaged_result_is_no_result(directory, tmp_path):
    task = make_task(alternatives()[0].scenario, 0, tmp_path)
    task.path.parent.mkdir()
    task.path.write_text('{"measures": {', encoding="utf-8")
    assert task.result() is None


def test_looks_go_on_until_the_differences_are_narrow(tmp_path, monkeypatch):
    """Made-up measures whose differences have a standard deviation of 1: the first look at which t sd / sqrt(n) <= 0.7 is at 12."""
    ran = []

    def run(by_replication, executor, directory, device, on_share):
        for tasks in by_replication:
            ran.append(len(tasks))
            for task, schedule in zip(tasks, (0.0, 1.0), strict=True):
                number = task.scenario.replication
                value = schedule * (5 + (1 if number % 2 else -1))
                kept = json.loads(template) | {
                    "measures": json.loads(template)["measures"] | {"tests": value}
                }
                task.path.parent.mkdir(parents=True, exist_ok=True)
                task.path.write_text(json.dumps(kept), encoding="utf-8")

    source = tmp_path / "source"
    two = alternatives("never,periodic:20d")
    task = make_task(two[0].scenario, 0, source)
    run_tasks([task])
    template = task.path.read_text(encoding="utf-8")
    monkeypatch.setattr(module, "run_replications", run)
    manifest = compare(two, tmp_path / "narrow", InProcessExecutor(), until={"tests": 0.7}).manifest
    assert (manifest["replications"], manifest["precise_enough"], len(ran)) == (12, True, 12)
    manifest = compare(
        two, tmp_path / "capped", InProcessExecutor(), until={"tests": 0.1}, replications=10
    ).manifest
    assert (manifest["replications"], manifest["precise_enough"]) == (10, False)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"baseline": "nevr"}, "--baseline: .*did you mean 'never'"),
        ({"replications": 0}, "--replications 0: must be at least 1"),
        ({"replications": 4, "until": {"tests": 1.0}}, "at least 8 with --until-ci"),
        ({"until": {"test": 1.0}}, "--until-ci: no measure 'test'.*did you mean 'tests'"),
        ({"until": {"tests": 0.0}}, "must be above 0"),
    ],
)
def test_what_cannot_be_asked(asked, problem, tmp_path):
    with pytest.raises(UserError, match=problem):
        compare(alternatives(), tmp_path / "new", InProcessExecutor(), **asked)
    assert not (tmp_path / "new").exists()


def test_a_directory_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="holds no comparison; use --force"):
        compare(alternatives(), tmp_path, InProcessExecutor())
    with pytest.raises(UserError, match="is a file"):
        compare(alternatives(), tmp_path / "thesis.txt", InProcessExecutor())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
