"""Every schedule in a fleet: skip-ahead as stepped, and what each adds to the ledgers."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from lifesim.experiment.results import FILES, Result
from lifesim.experiment.run import run_to_directory
from lifesim.experiment.schema import STATES
from lifesim.fleet.build import Plan
from lifesim.fleet.simulation import make_plans
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Scenario
from lifesim.scenario.schedule import Schedule

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario(HERE / "schedules.toml")


@pytest.fixture(scope="module")
def result(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Do not write to it."""
    directory = tmp_path_factory.mktemp("schedules") / "skip-ahead"
    run_to_directory(scenario, directory)
    return Result(directory)


@pytest.fixture(scope="module")
def devices(result: Result) -> pd.DataFrame:
    """The totals of each group's one device."""
    return result.devices.set_index("group")


@pytest.fixture(scope="module")
def events(result: Result) -> pd.DataFrame:
    return pd.read_parquet(result.directory / "events.parquet")


@pytest.fixture(scope="module")
def plans(scenario: Scenario) -> dict[str, Plan]:
    return make_plans(scenario)


def test_stepped_and_skip_ahead_write_the_same_bytes(
    scenario: Scenario, result: Result, tmp_path: Path
) -> None:
    run_to_directory(scenario, tmp_path / "stepped", stepped=True)
    for name in FILES:
        if name != "manifest.json":
            assert (tmp_path / "stepped" / name).read_bytes() == (result.directory / name).read_bytes(), name


def test_every_kind_of_schedule_is_in_one_of_the_two_fleets(scenario: Scenario) -> None:
    kinds = {
        group.schedule.kind
        for fleet in (scenario, load_scenario(HERE / "fleet.toml"))
        for group in fleet.group.values()
    }
    every = {get_args(arm.model_fields["kind"].annotation)[0] for arm in get_args(get_args(Schedule)[0])}
    assert kinds == every - {"custom"}, "test_custom_schedule.py has that one"


def test_times_of_all_states_add_up_to_the_horizon(result: Result, scenario: Scenario) -> None:
    lines = [line.split(",") for line in (result.directory / "devices.csv").read_text().splitlines()]
    columns = [i for i, name in enumerate(lines[0]) if name.removesuffix("_s") in STATES]
    assert len(columns) == len(STATES)
    for line in lines[1:]:
        assert sum(Decimal(line[i]) for i in columns) == Decimal(scenario.horizon_s)


def test_reads_are_paid_for_and_the_rest_is_not(devices: pd.DataFrame, plans: dict[str, Plan]) -> None:
    """Joules of tests and baselines: a check of a sentinel a visit; nothing where nothing is read."""
    for group in ("watched", "powered"):
        check = plans[group].operations.check
        assert devices.loc[group, "energy_test_j"] == pytest.approx(
            devices.loc[group, "tests"] * check.energy_j
        )
        assert devices.loc[group, "tests"] > 400 and devices.loc[group, "alarms_false"] >= 0
    for group in ("named", "read_only", "massed_marches", "foretold"):
        assert devices.loc[group, ["tests", "energy_test_j", "energy_baseline_j"]].eq(0).all()
    for group in ("idle", "massed", "adapting"):
        assert devices.loc[group, "energy_test_j"] > 0 and devices.loc[group, "energy_baseline_j"] > 0


def test_a_march_test_writes_six_times_and_a_read_only_scrub_what_is_wrong(
    devices: pd.DataFrame, plans: dict[str, Plan]
) -> None:
    cells = sum(plans["massed_marches"].layer_cells)
    marches, scrubs = devices.loc["massed_marches"], devices.loc["read_only"]
    assert marches["diagnoses"] >= 2
    reloaded = 288 * 300 * plans["massed_marches"].layer_cells[1]
    assert marches["cell_writes"] - reloaded == pytest.approx(6 * cells * marches["diagnoses"], rel=0.02)
    assert scrubs["diagnoses"] == 10 and scrubs["refreshes"] == 0
    assert scrubs["cell_writes"] < reloaded + 0.2 * cells


def test_named_cells_take_no_diagnosis(devices: pd.DataFrame, events: pd.DataFrame) -> None:
    for group in ("named", "named_and_fitted"):
        of_group = events[events.group == group]
        named = of_group[of_group.event == "cells_named"]
        assert devices.loc[group, "diagnoses"] == 0 and len(named) >= 5
        alarms = of_group[(of_group.event == "alarm") & (of_group.amount == 0)]
        assert set(named.time_ns) == set(alarms.time_ns)
        assert (named.detail.astype(str).astype(int) >= (3 if group == "named" else 1)).all()
        assert named.amount.is_monotonic_increasing
    assert devices.loc["named", "retrainings"] >= 1


def test_opportunistic_visits_are_in_the_idle_hours_and_some_are_full(events: pd.DataFrame) -> None:
    of_group = events[(events.group == "idle")]
    tests = of_group[of_group.event.isin(["alarm", "unconfirmed_alarm"])]
    visits = tests[~tests.time_ns.isin(of_group[of_group.event == "reprogramming"].time_ns)]
    after = set(
        of_group[of_group.event == "reprogramming"].time_ns // 10**9
    )  # tests right after a redeployment
    hours = {time_ns // (3600 * 10**9) % 24 for time_ns in visits.time_ns if time_ns // 10**9 not in after}
    assert len(visits) > 5 and hours <= {0, 1, 2}
    alarmed = set(of_group[of_group.event == "alarm"].time_ns)
    full = [
        time_ns for time_ns in of_group[of_group.event == "diagnosis"].time_ns
        if not any(0 < time_ns - alarm_ns < 10**9 for alarm_ns in alarmed)
    ]  # fmt: skip
    assert len(full) == 5, "every 60 of 300 days"
    assert {time_ns // (3600 * 10**9) % 24 for time_ns in full} <= {0, 1, 2}


def test_chosen_visits_are_on_the_device_s_grid(events: pd.DataFrame, plans: dict[str, Plan]) -> None:
    """The phase is one for all events at visits, and the intervals are whole numbers of the shortest."""
    day_ns = 86_400 * 10**9
    for group, kind, interval_ns in (
        ("massed_marches", "diagnosis", 2 * day_ns),
        ("foretold", "alarm", 2 * day_ns),
    ):
        of_kind = events[(events.group == group) & (events.event == kind)]
        visit_ns = plans[group].operations.diagnosis.latency_ns if kind == "diagnosis" else 0
        assert (
            len({(time_ns - visit_ns) % interval_ns for time_ns in of_kind.time_ns}) == 1
            and len(of_kind) >= 2
        )


def test_the_sentinel_misses_what_falls_into_repairs_or_retirement(
    devices: pd.DataFrame, events: pd.DataFrame
) -> None:
    """Every check is made, missed, or would have come after retirement."""
    for group, hours in (("watched", 6), ("powered", 12)):
        of_group = events[events.group == group]
        retired = of_group[of_group.event == "retirement"].time_ns
        end_ns = int(retired.iloc[0]) if len(retired) else 300 * 86_400 * 10**9
        verified = of_group.event.isin(["verification", "drift_suspected"]).sum()
        alarms_after = 0
        for time_ns in of_group[of_group.event == "reprogramming"].time_ns:
            later = of_group[(of_group.time_ns > time_ns) & (of_group.time_ns < time_ns + 10**9)]
            alarms_after += (later.event == "alarm").sum()
        made = devices.loc[group, "tests"] - verified - alarms_after + devices.loc[group, "tests_missed"]
        assert abs(made - end_ns / (hours * 3600 * 10**9)) <= 1
