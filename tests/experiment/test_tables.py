"""The files of a run: exact sums, columns of the schema, the numbers of the ledgers."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from lifesim.experiment import schema, tables
from lifesim.experiment.observation import Sample
from lifesim.timeunits import NS_PER_S

Rows = list[dict[str, str]]
TABLES = ("fleet", "groups", "devices", "survival", "rates", "layers")


@pytest.fixture(scope="module")
def rows(run_directory) -> dict[str, Rows]:
    return {name: read(run_directory / f"{name}.csv") for name in TABLES}


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
        "rates.csv": tables.csv_bytes(tables.rates_table(lived.accounts, lived.fleet.horizon_ns)),
        "layers.csv": tables.csv_bytes(tables.layers_table(lived.accounts, lived.plans)),
        "events.parquet": tables.events_parquet([(a.record, a.events) for a in lived.accounts]),
    }
    for name, content in written.items():
        assert (run_directory / name).read_bytes() == content, name


@pytest.mark.parametrize("name", TABLES)
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
    for name in schema.ENERGY:
        joules = [sum(float(row[name]) for row in rows[table]) for table in ("fleet", "groups", "devices")]
        assert joules == pytest.approx([joules[0]] * 3, rel=1e-12)


@pytest.mark.parametrize("name", ["fleet", "groups", "devices"])
def test_the_causes_of_a_row_add_up_to_its_energy(rows, name: str) -> None:
    for row in rows[name]:
        causes = [float(row[f"energy_{cause}_j"]) for cause in schema.ENERGY_CAUSES]
        assert float(row["energy_j"]) == pytest.approx(sum(causes), rel=1e-12)


def test_the_first_row_is_the_start(rows, lived) -> None:
    start = rows["fleet"][0]
    assert start["time_s"] == "0"
    assert {start[name] for name in [*schema.DURATIONS, *schema.COUNTS]} == {"0"}
    assert {start[name] for name in [*schema.SHARES, *schema.TOTALS]} == {""}
    begun = [a for a in lived.accounts if not a.record.commissioned_ns]
    assert int(start["accuracy_devices"]) == len(begun) < len(lived.accounts)
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
        whole -= Decimal(row["uncommissioned_s"])
        assert float(row["availability"]) == pytest.approx(float(serving / whole), rel=1e-12)
        assert float(row["in_spec_availability"]) == pytest.approx(
            float(Decimal(row["in_spec_s"]) / whole), rel=1e-12
        )


def test_accuracy_rows_are_of_the_devices_observed(rows, lived) -> None:
    for row, time_ns in zip(rows["fleet"], lived.edges_ns, strict=True):
        seen = [s for a in lived.accounts for s in a.observed.samples if s.time_ns == time_ns]
        accuracy = pd.Series([s.full_accuracy for s in seen])
        assert int(row["accuracy_devices"]) == len(seen)
        assert float(row["accuracy_mean"]) == pytest.approx(accuracy.mean())
        assert float(row["accuracy_p05"]) == pytest.approx(accuracy.quantile(0.05))
        assert float(row["accuracy_min"]) == accuracy.min()
        assert float(row["accuracy_mean_se"]) == 0.0
        assert int(row["in_spec_devices"]) == sum(s.in_spec for s in seen)
        assert float(row["stuck_cells_mean"]) == pytest.approx(sum(s.stuck_cells for s in seen) / len(seen))
        assert float(row["expired_cells_mean"]) == pytest.approx(
            sum(s.expired_cells for s in seen) / len(seen)
        )


def test_estimates_give_the_mean_and_full_accuracies_the_lowest(lived) -> None:
    """Of the ledgers of the run, as if most accuracies had been estimated."""
    edge_ns = lived.edges_ns[-1]
    accounts = [a for a in lived.accounts if a.observed.samples and a.observed.samples[-1].time_ns == edge_ns]
    accuracy = [0.5 + 0.01 * i for i in range(len(accounts))]
    made_up = [
        replace(
            a,
            observed=replace(
                a.observed,
                samples=[
                    Sample(edge_ns, x + 0.002, 0.003, None if i > 4 else x, i > 2, 0, 0),
                ],
            ),
        )
        for i, (a, x) in enumerate(zip(accounts, accuracy, strict=True))
    ]
    table = tables.fleet_table(made_up, lived.plans, lived.edges_ns)
    assert table["accuracy_mean"][-1] == pytest.approx(np.mean(accuracy) + 0.002)
    assert table["accuracy_mean_se"][-1] == pytest.approx(0.003 / np.sqrt(len(accounts)))
    assert table["accuracy_min"][-1] == 0.5
    assert table["accuracy_p05"][-1] == pytest.approx(np.percentile(accuracy, 5))
    assert table["in_spec_devices"][-1] == len(accounts) - 3
    assert table["accuracy_mean_se"][1] is None
    rows = tables.devices_table(made_up, lived.plans)
    assert rows["accuracy_last"] == pytest.approx([x + 0.002 for x in accuracy])
    assert rows["accuracy_mean_se"] == rows["accuracy_last_se"] == [0.003] * len(accounts)
    assert rows["accuracy_min"][:3] == accuracy[:3]


def test_in_spec_means_at_most_the_tolerance_below_clean(lived) -> None:
    for plan in lived.plans.values():
        assert plan.required_correct == plan.spec_correct - 10  # of 1,000 pictures: one point


def test_survival_steps_are_milestones_of_devices(rows) -> None:
    for measure, column in (("in_spec", "first_out_of_spec_s"), ("in_service", "end_of_life_s")):
        happened = sorted(
            Decimal(row[column]) - Decimal(row["uncommissioned_s"]) for row in rows["devices"] if row[column]
        )
        steps = [row for row in rows["survival"] if row["measure"] == measure]
        assert sorted(Decimal(r["time_s"]) for r in steps for _ in range(int(r["events"]))) == happened
        assert sum(int(r["events"]) + int(r["censored"]) for r in steps) == len(rows["devices"])
    undetected = [row for row in rows["survival"] if row["measure"] == "undetected"]
    lost = [row for row in rows["devices"] if row["first_out_of_spec_s"]]
    assert sum(int(r["events"]) + int(r["censored"]) for r in undetected) == len(lost)
    assert any(row["first_detection_s"] for row in lost) and any(not row["first_detection_s"] for row in lost)


def test_rates_count_the_failures_of_the_devices(rows) -> None:
    for row in rows["rates"]:
        devices = [d for d in rows["devices"] if d["group"] == row["group"]]
        column = {"spec_loss": "first_out_of_spec_s", "retirement": "end_of_life_s"}[row["failure"]]
        ended = [d[column] or d["end_of_life_s"] for d in devices]
        lived_s = [
            (Decimal(e) if e else seconds(d)) - Decimal(d["uncommissioned_s"])
            for e, d in zip(ended, devices, strict=True)
        ]
        assert int(row["events"]) == sum(bool(d[column]) for d in devices)
        assert float(row["device_time_h"]) == pytest.approx(float(sum(lived_s)) / 3600, rel=1e-12)
    assert len(rows["rates"]) == len({d["group"] for d in rows["devices"]}) * len(schema.FAILURES)


def test_layers_hold_what_the_devices_wrote(rows) -> None:
    """Programming operations times cells, layer by layer, are the cell writes of the devices and their first programming."""
    for group in {row["group"] for row in rows["devices"]}:
        devices = [row for row in rows["devices"] if row["group"] == group]
        layers = [row for row in rows["layers"] if row["group"] == group]
        cells = sum(int(row["cells"]) for row in layers)
        written = sum(float(row["operations_mean"]) * int(row["cells"]) for row in layers) * len(devices)
        in_devices = sum(int(row["cell_writes"]) for row in devices) + cells * len(devices)
        if not any(int(row["replacements"]) for row in devices):
            assert written == pytest.approx(in_devices, rel=1e-12)
        for row in layers:
            assert float(row["operations_mean"]) <= int(row["operations_max"])
            assert float(row["stuck_cells_mean"]) <= int(row["stuck_cells_max"])


def test_the_trace_is_ordered_and_uses_the_kinds_of_the_schema(run_directory, lived) -> None:
    trace = pyarrow.parquet.read_table(run_directory / "events.parquet").to_pandas()
    assert list(trace.columns) == list(schema.EVENTS)
    assert set(trace["event"]) <= set(schema.EVENT_KINDS)
    assert list(zip(trace["time_ns"], trace["device"], strict=True)) == sorted(
        zip(trace["time_ns"], trace["device"], strict=True)
    )
    assert set(trace.loc[trace["event"] == "alarm", "detail"]) == {"true", "early", "false"}
    assert len(trace) == sum(len(a.events) for a in lived.accounts)


def test_seconds_are_exact_decimals() -> None:
    assert tables._seconds([None, 0, 1, 10**9, 10 * 10**9, 1_500_000_000, 10**18 + 1]) == [
        None, "0", "0.000000001", "1", "10", "1.5", "1000000000.000000001",
    ]  # fmt: skip


def test_the_nanoseconds_of_a_large_fleet_exceed_64_bits(lived) -> None:
    few, many = (tables.fleet_table(lived.accounts * n, lived.plans, lived.edges_ns) for n in (1, 120))
    assert Decimal(many["in_spec_s"][1]) * NS_PER_S > 2**63
    for state in schema.STATES:
        assert [Decimal(s) for s in many[f"{state}_s"]] == [120 * Decimal(s) for s in few[f"{state}_s"]]
        assert many[f"{state}_share"] == few[f"{state}_share"]
    assert many["in_spec_availability"] == few["in_spec_availability"]
