"""What a run says at its end: the numbers of its tables, in sentences that fit a terminal."""

from __future__ import annotations

import copy
import csv
import json

import pytest

from lifesim.experiment import schema
from lifesim.experiment.results import Result
from lifesim.experiment.summary import summarise
from lifesim.experiment.summary_text import summary_text
from lifesim.fleet.outlook import outlook
from lifesim.timeunits import NS_PER_S


@pytest.fixture
def summary(result: Result) -> dict:
    return copy.deepcopy(result.summary)


def test_the_numbers_are_those_of_the_tables(summary: dict, result: Result) -> None:
    with (result.directory / "devices.csv").open() as file:
        devices = list(csv.DictReader(file))
    assert summary["devices"] == len(devices)
    assert summary["counts"] == {name: sum(int(row[name]) for row in devices) for name in schema.COUNTS}
    for state in schema.STATES:
        assert summary["state_s"][state] == pytest.approx(
            sum(float(row[f"{state}_s"]) for row in devices), rel=1e-12
        )
    whole = summary["horizon_s"] * len(devices)
    assert sum(summary["state_s"].values()) == pytest.approx(whole, rel=1e-12)
    whole -= summary["state_s"]["uncommissioned"]
    assert summary["in_spec_availability"] == pytest.approx(summary["state_s"]["in_spec"] / whole)
    assert summary["out_silent_share"] == pytest.approx(summary["state_s"]["out_silent"] / whole)
    assert summary["availability"] == pytest.approx(
        sum(summary["state_s"][s] for s in ("in_spec", "out_known", "out_silent")) / whole
    )
    assert summary["energy_j"] == pytest.approx(sum(float(row["energy_j"]) for row in devices))


def test_the_end_is_the_last_row_of_the_fleet(summary: dict, result: Result) -> None:
    last = result.fleet.iloc[-1]
    assert (summary["running_last"], summary["in_spec_last"]) == (
        last["accuracy_devices"],
        last["in_spec_devices"],
    )
    assert summary["accuracy_last_mean"] == pytest.approx(last["accuracy_mean"])


def test_groups_are_described(summary: dict, scenario, lived) -> None:
    assert list(summary["groups"]) == list(scenario.group)
    for name, group in summary["groups"].items():
        assert (group["devices"], group["schedule"]) == (
            scenario.group[name].count,
            scenario.group[name].schedule.kind,
        )
        assert group["clean_accuracy"] - group["required_accuracy"] == pytest.approx(scenario.spec.tolerance)


def test_the_cloud_is_the_sum_of_its_jobs(summary: dict, lived) -> None:
    events = [e for a in lived.accounts for e in a.events]
    waits = [e.amount for e in events if e.kind == "retraining_start"]
    assert summary["cloud"]["mean_wait_s"] == pytest.approx(sum(waits) / len(waits) / 1e9)
    # Work of finished jobs, and that of the one that the horizon cut, if any.
    busy_ns = sum(e.amount for e in events if e.kind == "retraining_end")
    assert len(waits) - sum(e.kind == "retraining_end" for e in events) <= 1
    utilisation = summary["cloud"]["utilisation"]
    assert busy_ns / lived.fleet.horizon_ns <= utilisation <= 1.0


def test_it_is_plain_json(summary: dict) -> None:
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_the_text_names_what_happened_and_fits(summary: dict) -> None:
    text = summary_text(summary)
    counts = summary["counts"]
    assert f"{counts['tests']:,}" in text and f"{counts['diagnoses']:,} diagnoses" in text
    assert f"{counts['retirements']} retired" in text
    assert all(name in text for name in summary["groups"])
    assert max(map(len, text.splitlines())) <= 100


def test_nobody_left_and_nothing_asked(summary: dict) -> None:
    summary |= {"running_last": 0, "in_spec_last": 0, "accuracy_last_mean": None}
    summary["counts"] = dict.fromkeys(summary["counts"], 0)
    text = summary_text(summary)
    assert "0 of 0 running devices in spec" in text and "None" not in text and "nan" not in text


def test_a_large_fleet_spends_its_time_as_a_small_one_of_the_same_devices(scenario, lived) -> None:
    """The nanoseconds of thirty devices in ten years exceed 64 bits."""
    few, many = (
        summarise(scenario, lived.fleet, lived.accounts * times, outlook(scenario)) for times in (1, 60)
    )
    assert sum(many["state_s"].values()) > 2**63 / NS_PER_S
    assert many["state_s"] == pytest.approx({s: 60 * time_s for s, time_s in few["state_s"].items()})
    assert many["in_spec_availability"] == few["in_spec_availability"]
    assert many["per_device_year"]["cell_writes"] == pytest.approx(few["per_device_year"]["cell_writes"])
