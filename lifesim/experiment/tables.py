"""From ledgers to the tables that a run writes. Columns, units and order are those of :mod:`lifesim.experiment.schema`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from lifesim.experiment import schema
from lifesim.experiment.accounting import DeviceAccount
from lifesim.experiment.observation import Sample
from lifesim.experiment.survival import kaplan_meier
from lifesim.fleet.build import Plan
from lifesim.fleet.clock import NS_PER_S
from lifesim.fleet.records import DeviceRecord, Event

Table = dict[str, list[Any]]


def fleet_table(accounts: Sequence[DeviceAccount], plans: dict[str, Plan], edges_ns: list[int]) -> Table:
    """Return fleet.csv: the sum of all ledgers, one row a report time, the first at the start."""
    start = np.zeros((1, 1), np.int64)
    time_ns = np.concatenate([start.repeat(len(schema.STATES), 1), sum(a.time_ns for a in accounts)])
    counts = np.concatenate([start.repeat(len(schema.COUNTS), 1), sum(a.counts for a in accounts)])
    energy_j = [0.0, *sum(a.energy_j(plans[a.record.group]) for a in accounts).tolist()]
    by_time: dict[int, list[tuple[DeviceAccount, Sample]]] = {edge_ns: [] for edge_ns in edges_ns}
    for account in accounts:
        for sample in account.observed.samples:
            by_time[sample.time_ns].append((account, sample))
    observed = list(by_time.values())
    accuracy = [
        [sample.correct / plans[a.record.group].spec_pictures for a, sample in at_edge]
        for at_edge in observed
    ]
    table: Table = {"time_s": _seconds(edges_ns), "devices": [len(accounts)] * len(edges_ns)}
    for i, state in enumerate(schema.STATES):
        table[f"{state}_s"] = _seconds(time_ns[:, i].tolist())
        table[f"{state}_share"] = _shares(time_ns[:, [i]], time_ns)
    table["availability"] = _shares(time_ns[:, :3], time_ns)
    table["in_spec_availability"] = _shares(time_ns[:, :1], time_ns)
    table["accuracy_devices"] = [len(at_edge) for at_edge in observed]
    table["accuracy_mean"] = [float(np.mean(a)) if a else None for a in accuracy]
    table["accuracy_p05"] = [float(np.percentile(a, 5)) if a else None for a in accuracy]
    table["accuracy_min"] = [min(a, default=None) for a in accuracy]
    table["in_spec_devices"] = [
        sum(sample.correct >= plans[a.record.group].required_correct for a, sample in at_edge)
        for at_edge in observed
    ]
    for cells in ("stuck_cells", "expired_cells"):
        table[f"{cells}_mean"] = [
            float(np.mean([getattr(sample, cells) for _, sample in at_edge])) if at_edge else None
            for at_edge in observed
        ]
    table |= {name: counts[:, i].tolist() for i, name in enumerate(schema.COUNTS)}
    table["energy_j"] = energy_j
    return {column: table[column] for column in schema.FLEET}


def groups_table(accounts: Sequence[DeviceAccount], plans: dict[str, Plan], edges_ns: list[int]) -> Table:
    """Return groups.csv: the rows of fleet.csv for each group."""
    table: Table = {column: [] for column in schema.GROUPS}
    for name in plans:
        rows = fleet_table([a for a in accounts if a.record.group == name], plans, edges_ns)
        table["group"] += [name] * len(edges_ns)
        for column, values in rows.items():
            table[column] += values
    return table


def devices_table(accounts: Sequence[DeviceAccount], plans: dict[str, Plan]) -> Table:
    """Return devices.csv: one row a device."""
    table: Table = {column: [] for column in schema.DEVICES}
    for account in accounts:
        plan, moments = plans[account.record.group], milestones(account)
        time_ns = account.time_ns.sum(axis=0, keepdims=True)
        accuracy = [sample.correct / plan.spec_pictures for sample in account.observed.samples]
        row = {
            "device": account.record.device,
            "group": account.record.group,
            **dict(zip(schema.DURATIONS, _seconds(time_ns[0].tolist()), strict=True)),
            "availability": _shares(time_ns[:, :3], time_ns)[0],
            "in_spec_availability": _shares(time_ns[:, :1], time_ns)[0],
            "accuracy_mean": float(np.mean(accuracy)) if accuracy else None,
            "accuracy_min": min(accuracy) if accuracy else None,
            "accuracy_last": accuracy[-1] if accuracy else None,
            **{f"{name}_s": _seconds([moment])[0] for name, moment in moments.items()},
            **dict(zip(schema.COUNTS, account.counts.sum(axis=0).tolist(), strict=True)),
            "energy_j": float(account.energy_j(plan).sum()),
        }
        for column in schema.DEVICES:
            table[column].append(row[column])
    return table


def milestones(account: DeviceAccount) -> dict[str, int | None]:
    """Return when a device was first out of spec, detected, in spec again, and retired (ns; None where it was not)."""
    spans = [span for spans in account.observed.spans for span in spans if span.end_ns > span.start_ns]
    lost = next((span.start_ns for span in spans if not span.in_spec), None)
    moments = dict.fromkeys(("first_out_of_spec", "first_detection", "first_back_in_spec", "end_of_life"))
    if lost is not None:
        moments["first_out_of_spec"] = lost
        moments["first_back_in_spec"] = next(
            (s.start_ns for s in spans if s.in_spec and s.start_ns > lost), None
        )
        already_known = any(s.known for s in account.record.segments if s.start_ns <= lost < s.end_ns)
        alarms = (e.time_ns for e in account.events if e.kind == "alarm" and e.detail == "true")
        moments["first_detection"] = lost if already_known else next((t for t in alarms if t >= lost), None)
    moments["end_of_life"] = next((e.time_ns for e in account.events if e.kind == "retirement"), None)
    return moments


def survival_table(accounts: Sequence[DeviceAccount], horizon_ns: int) -> Table:
    """Return survival.csv: Kaplan-Meier curves of each group.

    Of staying in spec, of staying undetected once out of spec, of staying in service.
    """
    table: Table = {column: [] for column in schema.SURVIVAL}
    for group in dict.fromkeys(account.record.group for account in accounts):
        moments = [milestones(account) for account in accounts if account.record.group == group]
        observations = {
            "in_spec": [_first(m["first_out_of_spec"], m["end_of_life"], horizon_ns) for m in moments],
            "undetected": [
                _first(
                    m["first_detection"],
                    _earliest(m["first_back_in_spec"], m["end_of_life"]),
                    horizon_ns,
                    m["first_out_of_spec"],
                )
                for m in moments
                if m["first_out_of_spec"] is not None
            ],
            "in_service": [_first(m["end_of_life"], None, horizon_ns) for m in moments],
        }
        for measure, observed in observations.items():
            durations_ns, happened = zip(*observed, strict=True) if observed else ((), ())
            curve = kaplan_meier(np.array(durations_ns, np.int64), np.array(happened, bool))
            table["group"] += [group] * len(curve.time_ns)
            table["measure"] += [measure] * len(curve.time_ns)
            table["time_s"] += _seconds(curve.time_ns.tolist())
            for column in ("at_risk", "events", "censored", "survival", "standard_error"):
                table[column] += getattr(curve, column).tolist()
    return table


def _first(
    event_ns: int | None, ended_ns: int | None, horizon_ns: int, since_ns: int = 0
) -> tuple[int, bool]:
    """Return how long something was waited for from ``since_ns`` on, and whether it happened before the observation ended."""
    end_ns = horizon_ns if ended_ns is None else ended_ns
    happened = event_ns is not None and event_ns <= end_ns
    return (event_ns if happened else end_ns) - since_ns, happened


def _earliest(*times_ns: int | None) -> int | None:
    return min((time_ns for time_ns in times_ns if time_ns is not None), default=None)


def csv_bytes(table: Table) -> bytes:
    """Return a table as CSV: UTF-8, comma, one header line, empty where there is no value, floats with all their digits."""
    buffer = io.StringIO()
    pd.DataFrame(table, dtype=object).to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue().encode()


def events_parquet(traces: Sequence[tuple[DeviceRecord, Sequence[Event]]]) -> bytes:
    """Return the trace as Parquet, ordered by (time, device), the events of one device and instant as they happened."""
    rows = sorted(
        (
            (event.time_ns, record.device, i, record.group, event)
            for record, events in traces
            for i, event in enumerate(events)
        ),
        key=lambda row: row[:3],
    )
    names = pa.dictionary(pa.int32(), pa.string())
    table = pa.table(
        {
            "time_ns": pa.array([row[0] for row in rows], pa.int64()),
            "device": pa.array([row[1] for row in rows], pa.int32()),
            "group": pa.array([row[3] for row in rows], pa.string()).cast(names),
            "event": pa.array([row[4].kind for row in rows], pa.string()).cast(names),
            "amount": pa.array([row[4].amount for row in rows], pa.int64()),
            "detail": pa.array([row[4].detail for row in rows], pa.string()).cast(names),
        }
    )
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


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
