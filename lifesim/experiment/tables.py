"""From ledgers to the tables that a run writes. Columns, units and order are those of :mod:`lifesim.experiment.schema`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from lifesim.experiment import schema
from lifesim.experiment.accounting import (
    DeviceAccount,
    commissioned,
    lowest_accuracies,
    mean,
    mean_accuracy_se,
    together,
)
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.extremes import PERCENTILE
from lifesim.experiment.milestones import Wait, arrays, milestones, waits
from lifesim.experiment.observation import Sample
from lifesim.experiment.rates import FailureRate, failure_rate
from lifesim.experiment.survival import kaplan_meier
from lifesim.experiment.wear import bank_wear
from lifesim.fleet.build import Plan
from lifesim.fleet.records import DeviceRecord, Event
from lifesim.timeunits import NS_PER_S

Table = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of devices at a report time: how many, their accuracy, and the mean number of cells lost; None of no devices."""

    devices: int
    accuracy_mean: float | None
    accuracy_mean_se: float | None
    accuracy_p05: float | None
    accuracy_min: float | None
    in_spec_devices: int
    stuck_cells_mean: float | None
    expired_cells_mean: float | None

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Seen:
        """Return what samples of one time amount to."""
        lowest = lowest_accuracies(samples)
        return cls(
            len(samples),
            mean([sample.accuracy for sample in samples]),
            mean_accuracy_se(samples),
            float(np.percentile(lowest, PERCENTILE)) if lowest else None,
            min(lowest, default=None),
            sum(sample.in_spec for sample in samples),
            mean([sample.stuck_cells for sample in samples]),
            mean([sample.expired_cells for sample in samples]),
        )


def fleet_table(accounts: Sequence[DeviceAccount], plans: dict[str, Plan], edges_ns: list[int]) -> Table:
    """Return fleet.csv: the sum of all ledgers, one row a report time, the first at the start."""
    by_time: dict[int, list[Sample]] = {edge_ns: [] for edge_ns in edges_ns}
    for account in accounts:
        for sample in account.observed.samples:
            by_time[sample.time_ns].append(sample)
    return fleet_rows(
        edges_ns,
        len(accounts),
        together(a.time_ns for a in accounts),
        together(a.counts for a in accounts),
        [Seen.of(samples) for samples in by_time.values()],
        np.stack(list(_answer_columns(accounts, plans).values()), axis=1),
        sum(energy_by_cause(a, plans[a.record.group]) for a in accounts),
    )


def fleet_rows(
    edges_ns: list[int],
    devices: int,
    time_ns: np.ndarray,
    counts: np.ndarray,
    seen: Sequence[Seen],
    answers: np.ndarray,
    energy_j: np.ndarray,
) -> Table:
    """Return the rows of fleet.csv from sums by period: ``time_ns`` [periods, STATES], ``counts`` [periods, COUNTS], ``answers``
    [periods, ANSWERS], ``energy_j`` [periods, ENERGY_CAUSES]; ``seen`` at each of ``edges_ns``.
    """
    start = np.zeros((1, 1), np.int64)
    time_ns = np.concatenate([start.repeat(len(schema.STATES), 1), time_ns])
    counts = np.concatenate([start.repeat(len(schema.COUNTS), 1), counts])
    table: Table = {"time_s": _seconds(edges_ns), "devices": [devices] * len(edges_ns)}
    for i, state in enumerate(schema.STATES):
        table[f"{state}_s"] = _seconds(time_ns[:, i].tolist())
        table[f"{state}_share"] = _shares(time_ns[:, [i]], time_ns)
    table["availability"] = _shares(time_ns[:, :3], commissioned(time_ns))
    table["in_spec_availability"] = _shares(time_ns[:, :1], commissioned(time_ns))
    table["accuracy_devices"] = [at_edge.devices for at_edge in seen]
    for column in (
        "accuracy_mean",
        "accuracy_mean_se",
        "accuracy_p05",
        "accuracy_min",
        "in_spec_devices",
        "stuck_cells_mean",
        "expired_cells_mean",
    ):
        table[column] = [getattr(at_edge, column) for at_edge in seen]
    table |= {name: counts[:, i].tolist() for i, name in enumerate(schema.COUNTS)}
    table |= {name: [0.0, *answers[:, i].tolist()] for i, name in enumerate(schema.ANSWERS)}
    table |= _energy_columns(np.concatenate([np.zeros((1, len(schema.ENERGY_CAUSES))), energy_j]))
    return {column: table[column] for column in schema.FLEET}


def _answer_columns(accounts: Sequence[DeviceAccount], plans: dict[str, Plan]) -> dict[str, list[float]]:
    """Return the columns of schema.ANSWERS by period."""
    extra = sum(a.extra_wrong for a in accounts)
    also_when_clean = sum(
        a.count("inferences") * (1.0 - plan.spec_correct / plan.spec_pictures)
        for a, plan in ((a, plans[a.record.group]) for a in accounts)
    )
    columns = (also_when_clean + extra, extra)
    return {name: column.tolist() for name, column in zip(schema.ANSWERS, columns, strict=True)}


def _energy_columns(joules: np.ndarray) -> Table:
    """Return the columns of schema.ENERGY from joules [rows, causes]."""
    return {"energy_j": joules.sum(axis=1).tolist()} | {
        f"energy_{cause}_j": joules[:, i].tolist() for i, cause in enumerate(schema.ENERGY_CAUSES)
    }


def grouped(rows_by_group: Mapping[str, Table]) -> Table:
    """Return groups.csv from each group's rows of fleet.csv."""
    table: Table = {column: [] for column in schema.GROUPS}
    for name, rows in rows_by_group.items():
        table["group"] += [name] * len(rows["time_s"])
        for column, values in rows.items():
            table[column] += values
    return table


def groups_table(accounts: Sequence[DeviceAccount], plans: dict[str, Plan], edges_ns: list[int]) -> Table:
    """Return groups.csv: the rows of fleet.csv for each group."""
    return grouped(
        {
            name: fleet_table([a for a in accounts if a.record.group == name], plans, edges_ns)
            for name in plans
        }
    )


def devices_table(accounts: Sequence[DeviceAccount], plans: dict[str, Plan]) -> Table:
    """Return devices.csv: one row a device."""
    table: Table = {column: [] for column in schema.DEVICES}
    for account in accounts:
        plan, moments = plans[account.record.group], asdict(milestones(account))
        time_ns = account.time_ns.sum(axis=0, keepdims=True)
        samples = account.observed.samples
        row = {
            "device": account.record.device,
            "group": account.record.group,
            **dict(zip(schema.DURATIONS, _seconds(time_ns[0].tolist()), strict=True)),
            "availability": _shares(time_ns[:, :3], commissioned(time_ns))[0],
            "in_spec_availability": _shares(time_ns[:, :1], commissioned(time_ns))[0],
            "accuracy_mean": mean([sample.accuracy for sample in samples]),
            # Looked at on the same pictures, a device's states may err together, and no more than that.
            "accuracy_mean_se": mean([sample.accuracy_se for sample in samples]),
            "accuracy_min": min(lowest_accuracies(samples), default=None),
            "accuracy_last": samples[-1].accuracy if samples else None,
            "accuracy_last_se": samples[-1].accuracy_se if samples else None,
            **{f"{name}_s": _seconds([moment])[0] for name, moment in moments.items()},
            **dict(zip(schema.COUNTS, account.counts.sum(axis=0).tolist(), strict=True)),
            **{name: sum(values) for name, values in _answer_columns([account], plans).items()},
            **{
                name: value
                for name, (value,) in _energy_columns(
                    energy_by_cause(account, plan).sum(axis=0, keepdims=True)
                ).items()
            },
        }
        for column in schema.DEVICES:
            table[column].append(row[column])
    return table


Spans = tuple[np.ndarray, np.ndarray]
"""How long each was waited for (int64, ns), and whether it happened (bool)."""


def survival_table(accounts: Sequence[DeviceAccount], horizon_ns: int) -> Table:
    """Return survival.csv: the Kaplan-Meier curves of each group, a measure of schema.MEASURES after the other."""
    return survival_rows(
        {
            group: {measure: arrays(of_measure) for measure, of_measure in waited.items()}
            for group, waited in _waits_by_group(accounts, horizon_ns).items()
        }
    )


def survival_rows(spans: Mapping[str, Mapping[str, Spans]]) -> Table:
    """Return survival.csv from how long was waited in each group, by measure."""
    table: Table = {column: [] for column in schema.SURVIVAL}
    for group, of_group in spans.items():
        for measure in schema.MEASURES:
            curve = kaplan_meier(*of_group[measure])
            table["group"] += [group] * len(curve.time_ns)
            table["measure"] += [measure] * len(curve.time_ns)
            table["time_s"] += _seconds(curve.time_ns.tolist())
            for column in ("at_risk", "events", "censored", "survival", "standard_error"):
                table[column] += getattr(curve, column).tolist()
    return table


def rates_table(accounts: Sequence[DeviceAccount], horizon_ns: int) -> Table:
    """Return rates.csv: the failure rates of each group."""
    return rates_rows(
        {
            group: {failure: failure_rate(waited[measure]) for failure, measure in schema.FAILURES.items()}
            for group, waited in _waits_by_group(accounts, horizon_ns).items()
        }
    )


def rates_rows(rates: Mapping[str, Mapping[str, FailureRate]]) -> Table:
    """Return rates.csv from the rates of each group, by failure."""
    table: Table = {column: [] for column in schema.RATES}
    for group, of_group in rates.items():
        for failure, rate in of_group.items():
            row = {"group": group, "failure": failure, **asdict(rate)}
            for column in schema.RATES:
                table[column].append(row[column])
    return table


def layers_table(accounts: Sequence[DeviceAccount], plans: dict[str, Plan]) -> Table:
    """Return layers.csv: how worn each group's cells are at the end."""
    table: Table = {column: [] for column in schema.LAYERS}
    for group, of_group in _by_group(accounts).items():
        devices = [wear for wear in map(bank_wear, of_group) if wear]
        for number, bank in enumerate(plans[group].hardware.layout.banks):
            wear = [banks[number] for banks in devices]
            row = {
                "group": group,
                "layers": bank.name,
                "cells": bank.n_cells,
                "operations_mean": mean([w.operations for w in wear]),
                "operations_max": max((w.most_operations for w in wear), default=None),
                "expected_stuck_mean": mean([w.expected_stuck for w in wear]),
                "stuck_cells_mean": mean([w.stuck for w in wear]),
                "stuck_cells_max": max((w.stuck for w in wear), default=None),
                "expired_cells_mean": mean([w.expired for w in wear]),
            }
            for column in schema.LAYERS:
                table[column].append(row[column])
    return table


def _by_group(accounts: Sequence[DeviceAccount]) -> dict[str, list[DeviceAccount]]:
    groups: dict[str, list[DeviceAccount]] = {}
    for account in accounts:
        groups.setdefault(account.record.group, []).append(account)
    return groups


def _waits_by_group(accounts: Sequence[DeviceAccount], horizon_ns: int) -> dict[str, dict[str, list[Wait]]]:
    return {
        group: waits([milestones(account) for account in of_group], horizon_ns)
        for group, of_group in _by_group(accounts).items()
    }


def csv_bytes(table: Table, header: bool = True) -> bytes:
    """Return a table as CSV: UTF-8, comma, one header line, empty where there is no value, floats with all their digits."""
    buffer = io.StringIO()
    pd.DataFrame(table, dtype=object).to_csv(buffer, index=False, header=header, lineterminator="\n")
    return buffer.getvalue().encode()


def events_parquet(traces: Sequence[tuple[DeviceRecord, Sequence[Event]]]) -> bytes:
    """Return the trace as Parquet, ordered by (time, device), the events of one device and instant as they happened."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(events_table(traces), sink, compression="zstd")
    return sink.getvalue()


def events_table(traces: Sequence[tuple[DeviceRecord, Sequence[Event]]]) -> pa.Table:
    """Return the trace in this order."""
    rows = sorted(
        (
            (event.time_ns, record.device, i, record.group, event)
            for record, events in traces
            for i, event in enumerate(events)
        ),
        key=lambda row: row[:3],
    )
    names = pa.dictionary(pa.int32(), pa.string())
    return pa.table(
        {
            "time_ns": pa.array([row[0] for row in rows], pa.int64()),
            "device": pa.array([row[1] for row in rows], pa.int32()),
            "group": pa.array([row[3] for row in rows], pa.string()).cast(names),
            "event": pa.array([row[4].kind for row in rows], pa.string()).cast(names),
            "amount": pa.array([row[4].amount for row in rows], pa.int64()),
            "detail": pa.array([row[4].detail for row in rows], pa.string()).cast(names),
        }
    )


def _seconds(times_ns: Sequence[int | None]) -> list[str | None]:
    """Return exact decimal seconds: sums of what stands in the file are exact, too."""
    return [
        None if t is None else f"{t // NS_PER_S}.{t % NS_PER_S:09d}".rstrip("0").rstrip(".") for t in times_ns
    ]


def _shares(part_ns: np.ndarray, all_ns: np.ndarray) -> list[float | None]:
    wholes = all_ns.sum(axis=1).tolist()
    return [
        part / whole if whole else None
        for part, whole in zip(part_ns.sum(axis=1).tolist(), wholes, strict=True)
    ]
