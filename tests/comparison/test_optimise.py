"""The search over the settings of a scenario: what is tried is what is run, and what cannot be asked is said in a line."""

import csv
import json
from pathlib import Path

import pytest

from lifesim.comparison.optimise import make_problem, optimise, summary_text
from lifesim.comparison.search import Dimension
from lifesim.errors import UserError
from lifesim.experiment.executors import InProcessExecutor

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
SMALL = [
    "group.cameras.count=1", "horizon_s=300 d", "report_interval_s=100 d", "group.cameras.site.mean_c=65", "cloud.retraining.steps=5",
    "prices.per_test=1",
]  # fmt: skip


def problem(schedule="periodic", over=("schedule.interval_s",), bounds=("10d:100d",)):
    return make_problem(QUICKSTART, schedule, over, bounds, SMALL)


def test_keys_and_their_ranges():
    found = problem(
        "periodic:7d",
        ("schedule.interval_s", "aet.pictures", "policy.retry_after_s"),
        ("1d:1y", "8:64", "3600:1 d"),
    )
    assert found.dimensions == (
        Dimension("schedule.interval_s", 86_400.0, 31_536_000.0),
        Dimension("aet.pictures", 8.0, 64.0, whole=True),
        Dimension("policy.retry_after_s", 3600.0, 86_400.0),
    )
    group = found.scenario((172_800.0, 16.0, 7200.5)).group["cameras"]
    assert (group.schedule.interval_s, group.aet.pictures, group.policy.retry_after_s) == (
        172_800.0,
        16,
        7200.5,
    )


@pytest.mark.parametrize(
    ("asked", "problem_text"),
    [
        (
            {"over": ("schedule.interval",)},
            "--over: no key 'schedule.interval'.*did you mean 'schedule.interval_s'",
        ),
        ({"over": ("count",)}, "--over: no key 'count'"),
        ({"bounds": ("10d",)}, "must be LOW:HIGH"),
        ({"bounds": ("10d:1d",)}, "lower end must be below"),
        ({"bounds": ("10parsec:1d",)}, "unknown unit 'parsec'"),
        ({"bounds": ()}, "equally often"),
        ({"bounds": ("many:1d",)}, "many must be a number"),
        (
            {"schedule": "periodic:7d", "over": ("aet.vote",), "bounds": ("1:99",)},
            "--schedule: .*no more than the 16 pictures",
        ),
        ({"schedule": "perodic"}, "--schedule: .*did you mean 'periodic'"),
        ({"bounds": ("1 ns:1d",)}, "1 ns must be from 1 ms"),
    ],
)
def test_what_cannot_be_asked(asked, problem_text):
    with pytest.raises(UserError, match=problem_text):
        problem(**asked)


@pytest.mark.usefixtures("mlp_model")
def test_the_fewest_tests_are_cheapest(tmp_path):
    """With a price on tests and on nothing else, the longest interval is best; the files say so, and going on runs nothing anew."""
    found = optimise(problem(), "cost", tmp_path, InProcessExecutor(), replications=2, evaluations=4)
    assert found.best.candidate == (8_640_000.0,)
    with (tmp_path / "evaluations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["schedule.interval_s"]) for row in rows] == [e.candidate[0] for e in found.evaluations]
    assert float(rows[-1]["difference"]) == 0.0
    optimum = json.loads((tmp_path / "optimum.json").read_text(encoding="utf-8"))
    assert optimum["best"] == {"schedule.interval_s": 8_640_000.0}
    assert optimum["unit"] == "EUR a device and year"
    assert optimum["mean"] == float(rows[-1]["mean"])
    assert optimum["scenario"]["group"]["cameras"]["schedule"]["interval_s"] == 8_640_000.0
    assert "an end of the range" in summary_text(found, "cost")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "tasks").iterdir()}
    again = optimise(problem(), "cost", tmp_path, InProcessExecutor(), replications=2, evaluations=4)
    assert again == found
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "tasks").iterdir()} == before
    with pytest.raises(UserError, match="extra_wrong_inferences has no value"):
        optimise(
            problem(), "extra_wrong_inferences", tmp_path, InProcessExecutor(), replications=2, evaluations=4
        )


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"objective": "costs"}, "--objective: no measure 'costs'.*did you mean 'cost'"),
        ({"replications": 1}, "--replications 1: must be at least 2"),
        ({"evaluations": 3}, "--evaluations 3: must be at least 4"),
    ],
)
def test_what_cannot_be_searched(more, text, tmp_path):
    asked = {"objective": "cost", "directory": tmp_path / "new", "executor": InProcessExecutor(), **more}
    with pytest.raises(UserError, match=text):
        optimise(problem(), **asked)
    assert not (tmp_path / "new").exists()
