"""The files of a run: exact sums, columns of the schema, the numbers of the ledgers."""

from __future__ import annotations

import csv
import io
from collections import Counter
from decimal import Decimal

import pandas as pd
import pyarrow.parquet
import pytest

from lifesim.experiment import schema, tables
from lifesim.experiment.accounting import DeviceAccount
from lifesim.experiment.observation import Observed, SpecSpan
from lifesim.fleet.clock import NS_PER_S
from lifesim.fleet.records import DeviceRecord, Event

Rows = list[dict[str, str]]
DAY_NS = 86_400 * NS_PER_S


@pytest.fixture(scope="module")
def rows(run_directory) -> dict[str, Rows]:
    return {name: read(run_directory / f"{name}.csv") for name in ("fleet", "groups", "devices", "survival")}


def read(path) -> Rows:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def seconds(row: dict[str, str]) -> Decimal:
    return sum(Decimal(row[name]) for name in schema.DURATIONS)


def test_the_files_are_those_of_the_ledgers(lived, run_directory) -> None:
    """A stepped run with two workers wrote the directory; the ledgers skipped ahead in this process."""
    written = {
        "fleet.csv": tables.csv_bytes(tables.fleet_table(lived.accounts, lived.plans, lived.edges_ns)),
        "groups.csv": tables.csv_bytes(tables.groups_table(lived.accounts, lived.plans, lived.edges_ns)),
        "devices.csv": tables.csv_bytes(tables.devices_table(lived.accounts, lived.plans)),
        "survival.csv": tables.csv_bytes(tables.survival_table(lived.accounts, lived.fleet.horizon_ns)),
        "events.parquet": tables.events_parquet([(a.record, a.events) for a in lived.accounts]),
    }
    for name, content in written.items():
        assert (run_directory / name).read_bytes() == content, name


@pytest.mark.parametrize("name", ["fleet", "groups", "devices", "survival"])
def test_columns_are_those_of_the_schema_in_order(rows, name: str) -> None:
    assert list(rows[name][0]) == list(getattr(schema, name.upper()))


def test_states_of_a_device_add_up_to_the_horizon_exactly(rows, lived) -> None:
    for row in rows["devices"]:
        assert seconds(row) == Decimal(lived.fleet.horizon_ns) / NS_PER_S


@pytest.mark.parametrize("name", ["fleet", "groups"])
def test_states_of_a_row_add_up_to_devices_times_period_exactly(rows, name: str) -> None:
    before = Decimal(0)
    for row in rows[name]:
        time_s = Decimal(row["time_s"])
        if time_s == 0:
            before = Decimal(0)
        assert seconds(row) == int(row["devices"]) * (time_s - before)
        before = time_s


def test_the_fleet_is_the_sum_of_its_groups_and_of_its_devices(rows) -> None:
    exact = [*schema.DURATIONS, *schema.COUNTS]
    by_time: dict[str, Counter] = {}
    for row in rows["groups"]:
        by_time.setdefault(row["time_s"], Counter()).update(
            {name: Decimal(row[name]) for name in [*exact, "devices"]}
        )
    for row in rows["fleet"]:
        assert {name: Decimal(row[name]) for name in [*exact, "devices"]} == {
            name: by_time[row["time_s"]][name] for name in [*exact, "devices"]
        }
    for name in exact:
        of_devices = sum(Decimal(row[name]) for row in rows["devices"])
        assert of_devices == sum(Decimal(row[name]) for row in rows["fleet"])
        for group in {row["group"] for row in rows["devices"]}:
            assert sum(Decimal(r[name]) for r in rows["devices"] if r["group"] == group) == sum(
                Decimal(r[name]) for r in rows["groups"] if r["group"] == group
            )
    energy_j = [sum(float(row["energy_j"]) for row in rows[name]) for name in ("fleet", "groups", "devices")]
    assert energy_j == pytest.approx([energy_j[0]] * 3, rel=1e-12)


def test_the_first_row_is_the_start(rows, lived) -> None:
    start = rows["fleet"][0]
    assert start["time_s"] == "0"
    assert {start[name] for name in [*schema.DURATIONS, *schema.COUNTS]} == {"0"}
    assert {start[name] for name in [*schema.SHARES, *schema.TOTALS]} == {""}
    assert int(start["accuracy_devices"]) == len(lived.accounts)
    assert len({row["time_s"] for row in rows["fleet"]}) == len(rows["fleet"]) == len(lived.edges_ns)


def test_shares_are_of_the_row_s_device_time(rows) -> None:
    for row in [*rows["fleet"][1:], *rows["devices"]]:
        whole = seconds(row)
        for state in schema.STATES:
            if f"{state}_share" in row:
                assert float(row[f"{state}_share"]) == pytest.approx(
                    float(Decimal(row[f"{state}_s"]) / whole), rel=1e-12
                )
        serving = sum(Decimal(row[f"{state}_s"]) for state in ("in_spec", "out_known", "out_silent"))
        assert float(row["availability"]) == pytest.approx(float(serving / whole), rel=1e-12)
        assert float(row["in_spec_availability"]) == pytest.approx(
            float(Decimal(row["in_spec_s"]) / whole), rel=1e-12
        )


def test_accuracy_rows_are_of_the_devices_observed(rows, lived) -> None:
    for row, time_ns in zip(rows["fleet"], lived.edges_ns, strict=True):
        seen = [
            (s, lived.plans[a.record.group])
            for a in lived.accounts
            for s in a.observed.samples
            if s.time_ns == time_ns
        ]
        accuracy = pd.Series([s.correct / plan.spec_pictures for s, plan in seen])
        assert int(row["accuracy_devices"]) == len(seen)
        assert float(row["accuracy_mean"]) == pytest.approx(accuracy.mean())
        assert float(row["accuracy_p05"]) == pytest.approx(accuracy.quantile(0.05))
        assert float(row["accuracy_min"]) == accuracy.min()
        assert int(row["in_spec_devices"]) == sum(s.correct >= plan.required_correct for s, plan in seen)
        assert float(row["stuck_cells_mean"]) == pytest.approx(
            sum(s.stuck_cells for s, _ in seen) / len(seen)
        )
        assert float(row["expired_cells_mean"]) == pytest.approx(
            sum(s.expired_cells for s, _ in seen) / len(seen)
        )


def test_in_spec_means_at_most_the_tolerance_below_clean(lived) -> None:
    for plan in lived.plans.values():
        assert plan.required_correct == plan.spec_correct - 10  # of 1,000 pictures: one point


def test_survival_steps_are_milestones_of_devices(rows) -> None:
    for measure, column in (("in_spec", "first_out_of_spec_s"), ("in_service", "end_of_life_s")):
        happened = sorted(Decimal(row[column]) for row in rows["devices"] if row[column])
        steps = [row for row in rows["survival"] if row["measure"] == measure]
        assert sorted(Decimal(r["time_s"]) for r in steps for _ in range(int(r["events"]))) == happened
        assert sum(int(r["events"]) + int(r["censored"]) for r in steps) == len(rows["devices"])
    undetected = [row for row in rows["survival"] if row["measure"] == "undetected"]
    lost = [row for row in rows["devices"] if row["first_out_of_spec_s"]]
    assert sum(int(r["events"]) + int(r["censored"]) for r in undetected) == len(lost)
    assert any(row["first_detection_s"] for row in lost) and any(not row["first_detection_s"] for row in lost)


def test_the_trace_is_ordered_and_uses_the_kinds_of_the_schema(run_directory, lived) -> None:
    trace = pyarrow.parquet.read_table(run_directory / "events.parquet").to_pandas()
    assert list(trace.columns) == list(schema.EVENTS)
    assert set(trace["event"]) == set(schema.EVENT_KINDS)
    assert list(zip(trace["time_ns"], trace["device"], strict=True)) == sorted(
        zip(trace["time_ns"], trace["device"], strict=True)
    )
    assert set(trace.loc[trace["event"] == "alarm", "detail"]) == {"true", "early", "false"}
    assert len(trace) == sum(len(a.events) for a in lived.accounts)


# -- milestones, of devices made up for the purpose --


def made_up(
    *spans: tuple[int, int, bool], alarms_at: tuple[int, ...] = (), retired_at: int | None = None
) -> DeviceAccount:
    """A device with these spans (days, in spec), a stretch each, true alarms and a retirement."""
    record = DeviceRecord("made up", 0, None)
    observed = Observed([], [[SpecSpan(a * DAY_NS, b * DAY_NS, in_spec)] for a, b, in_spec in spans])
    events = [Event(day * DAY_NS, "alarm", 1, "true") for day in alarms_at]
    if retired_at is not None:
        events.append(Event(retired_at * DAY_NS, "retirement"))
    return DeviceAccount(record, observed, None, None, None, None, None, events)


def days(account: DeviceAccount) -> tuple[int | None, ...]:
    return tuple(None if ns is None else ns // DAY_NS for ns in tables.milestones(account).values())


def test_milestones() -> None:
    assert days(made_up((0, 100, True))) == (None, None, None, None)
    assert days(made_up((0, 30, True), (30, 40, False), (41, 100, True), alarms_at=(40,))) == (
        30,
        40,
        41,
        None,
    )
    assert days(made_up((0, 30, True), (30, 100, False))) == (30, None, None, None)
    assert days(made_up((0, 30, True), (30, 40, False), alarms_at=(40,), retired_at=42)) == (30, 40, None, 42)
    assert days(made_up((0, 0, False), (0, 9, True))) == (
        None,
        None,
        None,
        None,
    )  # no time was spent out of spec


def test_detection_is_censored_by_a_repair_that_comes_without_an_alarm() -> None:
    accounts = [
        made_up((0, 10, True), (10, 20, False), (20, 100, True), alarms_at=(20,)),  # detected after 10 days
        made_up(
            (0, 10, True), (10, 25, False), (25, 40, True), (40, 60, False), alarms_at=(60,)
        ),  # cured by a reload after 15
        made_up((0, 10, True), (10, 40, False), retired_at=40),  # retired undetected after 30
        made_up((0, 60, True), (60, 100, False)),  # undetected for the 40 days that are left
        made_up((0, 100, True)),  # never out of spec: not at risk
    ]
    table = tables.survival_table(accounts, 100 * DAY_NS)
    steps = [
        tuple(table[c][i] for c in ("time_s", "at_risk", "events", "censored"))
        for i, measure in enumerate(table["measure"])
        if measure == "undetected"
    ]
    assert steps == [(str(10 * 86400), 4, 1, 0), (str(40 * 86400), 1, 0, 3)]


def test_seconds_are_exact_decimals() -> None:
    assert tables._seconds([None, 0, 1, 10**9, 10 * 10**9, 1_500_000_000, 10**18 + 1]) == [
        None, "0", "0.000000001", "1", "10", "1.5", "1000000000.000000001",
    ]  # fmt: skip
