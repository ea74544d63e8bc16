"""The tables of a run of many regions, from what they have come to together: the same columns as of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lifesim.experiment import schema
from lifesim.experiment.rates import FailureRate, rate_of
from lifesim.experiment.summary import summary_of
from lifesim.experiment.tables import (
    Table,
    csv_bytes,
    fleet_rows,
    grouped,
    rates_rows,
    survival_rows,
)
from lifesim.experiment.totals import FleetTotals
from lifesim.experiment.traffic import CAUSES
from lifesim.fleet.outlook import Outlook
from lifesim.scenario.models import Scenario


def merged_tables(totals: FleetTotals) -> dict[str, Table]:
    """Return the CSVs in which regions are added up, by file name."""
    return {
        "fleet.csv": fleet_table(totals),
        "groups.csv": grouped({name: fleet_table(only(totals, name)) for name in totals.groups}),
        "survival.csv": survival_rows(
            {
                name: {measure: totals.spans(measure, name) for measure in schema.MEASURES}
                for name in totals.groups
            }
        ),
        "rates.csv": rates_rows({name: _rates(totals, name) for name in totals.groups}),
        "layers.csv": layers_table(totals),
    }


def merged_bytes(totals: FleetTotals) -> dict[str, bytes]:
    """Return the same as they are written."""
    return {name: csv_bytes(table) for name, table in merged_tables(totals).items()}


def only(totals: FleetTotals, group: str) -> FleetTotals:
    """Return the totals of one group."""
    return FleetTotals(totals.edges_ns, totals.regions, {group: totals.groups[group]}, totals.cloud)


def fleet_table(totals: FleetTotals) -> Table:
    """Return fleet.csv: the first row at the start."""
    return fleet_rows(
        totals.edges_ns,
        totals.whole("devices"),
        np.array(totals.whole("time_ns"), object),
        np.array(totals.whole("counts"), object),
        [of_time.seen() for of_time in totals.whole("seen")],
        np.array(totals.whole("answers"), float),
        np.array(totals.whole("energy_j"), float),
    )


def layers_table(totals: FleetTotals) -> Table:
    """Return layers.csv."""
    table: Table = {column: [] for column in schema.LAYERS}
    for name, group in totals.groups.items():
        for bank in group.banks:
            n = bank.devices

            def mean(amount: Any, n: int = n) -> float | None:
                return float(amount / n) if n else None

            row = {
                "group": name,
                "layers": bank.layers,
                "cells": bank.cells,
                "operations_mean": mean(bank.operations),
                "operations_max": bank.most_operations if n else None,
                "expected_stuck_mean": mean(bank.expected_stuck),
                "stuck_cells_mean": mean(bank.stuck),
                "stuck_cells_max": bank.most_stuck if n else None,
                "expired_cells_mean": mean(bank.expired),
            }
            for column in schema.LAYERS:
                table[column].append(row[column])
    return table


def merged_summary(scenario: Scenario, totals: FleetTotals, expected: Outlook) -> dict[str, Any]:
    """Return summary.json."""
    sent = totals.whole("sent_bytes")
    return summary_of(
        scenario,
        expected,
        {name: {"devices": group.devices} | group.described for name, group in totals.groups.items()},
        devices=totals.whole("devices"),
        time_ns=np.array(totals.whole("time_ns"), object).sum(axis=0),
        counts=np.array(totals.whole("counts"), object).sum(axis=0).tolist(),
        joules=[float(sum(column)) for column in zip(*totals.whole("energy_j"), strict=True)],
        sent_bytes={cause: sent[cause] for cause in CAUSES},
        extra_wrong=float(sum(extra for _, extra in totals.whole("answers"))),
        last=totals.whole("seen")[-1].seen(),
        spans={measure: totals.spans(measure) for measure in schema.MEASURES},
        rates=_rates(totals),
        cloud_busy_ns=totals.cloud["busy_ns"],
        waiting_ns=totals.cloud["waiting_ns"],
        started=totals.cloud["started"],
    )


def _rates(totals: FleetTotals, group: str | None = None) -> Mapping[str, FailureRate]:
    return {failure: rate_of(*totals.at_risk(measure, group)) for failure, measure in schema.FAILURES.items()}
