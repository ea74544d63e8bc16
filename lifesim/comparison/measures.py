"""What schedules are compared by: each measure one number of one fleet, with its unit, its meaning and which way is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lifesim.comparison.statistics import weighted_quantile
from lifesim.experiment import schema
from lifesim.experiment.accounting import commissioned, together
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.lives import Lives
from lifesim.experiment.silence import silent_spells
from lifesim.experiment.tables import fleet_table, layers_table
from lifesim.fleet.clock import to_s
from lifesim.scenario.models import Scenario
from lifesim.scenario.prices import Prices
from lifesim.timeunits import NS_PER_S, S_PER_H, S_PER_YEAR

J_PER_KWH = 3.6e6
BYTES_PER_MB = 1e6
SLOW_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Measure:
    """``unit``: "" for counts; ``better``: which way is better, "" where that is not for us to say."""

    title: str
    unit: str
    better: Literal["higher", "lower", ""]
    meaning: str


_PER_YEAR = "a device and year"

MEASURES = {
    "in_spec_availability": Measure(
        "In-spec availability", "1", "higher", "share of the time since it was put into service serving in spec"
    ),
    "availability": Measure(
        "Availability", "1", "higher", "share of the time since it was put into service serving, in spec or not"
    ),
    "silent_share": Measure(
        "Silently out of spec", "1", "lower", "share of that time serving out of spec with no alarm raised"
    ),
    "undetected_mean_s": Measure(
        "Time undetected, mean", "s", "lower",
        "mean length of a silent spell: from leaving the spec until an alarm, until in spec again unnoticed, or until the end; none where there was no spell",
    ),
    "undetected_p95_s": Measure(
        "Time undetected, 95th percentile", "s", "lower", "95th percentile of the lengths of the silent spells"
    ),
    "accuracy_mean": Measure(
        "Accuracy, mean", "1", "higher", "mean over the report times of the fleet's mean noise-free accuracy"
    ),
    "accuracy_p05": Measure(
        "Accuracy, 5th percentile", "1", "higher", "mean over the report times of the 5th percentile over devices"
    ),
    "tests": Measure("Tests", _PER_YEAR, "lower", "visits that read test pictures or the array"),
    "alarms_false": Measure("False alarms", _PER_YEAR, "lower", "alarms that a noise-free read would not have raised"),
    "diagnoses": Measure("Diagnoses", _PER_YEAR, "lower", "March tests or read-only diagnoses"),
    "refreshes": Measure("Refreshes", _PER_YEAR, "lower", "rewrites of all cells from the backup"),
    "cloud_jobs": Measure("Cloud jobs", _PER_YEAR, "lower", "retrainings asked of the cloud"),
    "sent_bytes": Measure("Bytes", f"B {_PER_YEAR}", "lower", "bytes sent, both directions together"),
    "care_energy_j": Measure(
        "Energy of tests and repairs", f"J {_PER_YEAR}", "lower",
        "energy of tests, baselines, diagnoses, rewrites and radio: what a schedule is answerable for",
    ),
    "energy_j": Measure("Energy, all", f"J {_PER_YEAR}", "lower", "energy of all causes, reloads and inferences among them"),
    "cell_cycles": Measure(
        "Write cycles", "a cell and year", "lower", "programming operations, on the mean over all cells of a device"
    ),
    "retired_share": Measure(
        "Retired by the end", "1", "lower", "share of the slots whose first device had been retired by the horizon"
    ),
    "end_of_life_s": Measure(
        "End of life, if retired", "s", "higher", "mean time of retirement of those that were; none where nobody was"
    ),
    "extra_wrong_inferences": Measure(
        "Extra wrong inferences", _PER_YEAR, "lower", "expected inferences wrong beyond those of the network without faults"
    ),
    "cost": Measure("Cost", f"currency {_PER_YEAR}", "lower", "what all of it costs at the scenario's [prices]"),
}  # fmt: skip
"""Those without a value (no inferences asked, no prices given, nobody retired) are left out of the tables."""

CURVES = {
    "accuracy_mean": "accuracy_mean",
    "accuracy_p05": "accuracy_p05",
    "availability": "availability",
    "in_spec_availability": "in_spec_availability",
    "silent_share": "out_silent_share",
}
"""Curve over the report times -> column of fleet.csv."""

WEAR = ("operations_mean", "operations_max", "expected_stuck_mean", "stuck_cells_mean", "expired_cells_mean")
"""Columns of layers.csv that are kept."""


def measure_fleet(scenario: Scenario, lives: Lives) -> dict[str, Any]:
    """Return what a comparison keeps of one fleet, as plain JSON values.

    ``measures``: by name, None where there is no value; ``curves``: by name, a value a report time; ``spells``: by ending, lengths in whole seconds and
    how many; ``wear``: one row a group and bank.
    """
    seen = _Fleet(scenario, lives)
    table = fleet_table(lives.accounts, lives.fleet.plans, lives.edges_ns)
    layers = layers_table(lives.accounts, lives.fleet.plans)
    return {
        "measures": seen.measures(table),
        "curves": {name: table[column] for name, column in CURVES.items()},
        "spells": seen.spells,
        "wear": [
            dict(zip(("group", "layers", *WEAR), row, strict=True))
            for row in zip(*(layers[column] for column in ("group", "layers", *WEAR)), strict=True)
        ],
    }


class _Fleet:
    """The sums over one fleet that measures are made of."""

    def __init__(self, scenario: Scenario, lives: Lives):
        self._scenario = scenario
        self._lives = lives
        time_ns = together(a.time_ns.sum(axis=0) for a in lives.accounts)
        counts = together(a.counts.sum(axis=0) for a in lives.accounts)
        self._time_ns = dict(zip(schema.STATES, time_ns.tolist(), strict=True))
        self._counts = dict(zip(schema.COUNTS, counts.tolist(), strict=True))
        self._whole_ns = int(commissioned(time_ns).sum())
        joules = sum(
            energy_by_cause(a, lives.fleet.plans[a.record.group]).sum(axis=0) for a in lives.accounts
        )
        self._joules = dict(zip(schema.ENERGY_CAUSES, joules.tolist(), strict=True))
        self._extra_wrong = sum(float(a.extra_wrong.sum()) for a in lives.accounts)

    @property
    def device_years(self) -> float:
        return self._whole_ns / NS_PER_S / S_PER_YEAR

    @cached_property
    def spells(self) -> dict[str, dict[str, list[int]]]:
        lengths: dict[str, list[int]] = {}
        for account in self._lives.accounts:
            for spell in silent_spells(account):
                lengths.setdefault(spell.ending, []).append((spell.end_ns - spell.start_ns) // NS_PER_S)
        return {ending: _counted(lengths[ending]) for ending in sorted(lengths)}

    def measures(self, table: dict[str, list[Any]]) -> dict[str, float | None]:
        """Return every measure; ``table``: fleet.csv."""
        share, year = self._share, self._per_year
        counts = self._counts
        care_j = sum(j for cause, j in self._joules.items() if cause not in ("inference", "reload"))
        values = {
            "in_spec_availability": share("in_spec"),
            "availability": share("in_spec", "out_known", "out_silent"),
            "silent_share": share("out_silent"),
            **self._undetected(),
            "accuracy_mean": _mean_of_known(table["accuracy_mean"]),
            "accuracy_p05": _mean_of_known(table["accuracy_p05"]),
            **{name: year(counts[name]) for name in ("tests", "alarms_false", "diagnoses", "refreshes")},
            "cloud_jobs": year(counts["jobs"]),
            "sent_bytes": year(counts["uplink_sent_bytes"] + counts["downlink_sent_bytes"]),
            "care_energy_j": year(care_j),
            "energy_j": year(sum(self._joules.values())),
            "cell_cycles": self._cell_cycles(),
            **self._retired(),
            "extra_wrong_inferences": year(self._extra_wrong) if counts["inferences"] else None,
            "cost": self._cost(),
        }
        return {name: values[name] for name in MEASURES}

    def _share(self, *states: str) -> float:
        return sum(self._time_ns[state] for state in states) / self._whole_ns

    def _per_year(self, amount: float) -> float:
        return amount / self.device_years

    def _undetected(self) -> dict[str, float | None]:
        seconds = sorted(
            (s, n)
            for of_ending in self.spells.values()
            for s, n in zip(of_ending["seconds"], of_ending["counts"], strict=True)
        )
        if not seconds:
            return {"undetected_mean_s": None, "undetected_p95_s": None}
        values, counts = zip(*seconds, strict=True)
        return {
            "undetected_mean_s": sum(s * n for s, n in seconds) / sum(counts),
            "undetected_p95_s": weighted_quantile(values, counts, SLOW_SHARE),
        }

    def _cell_cycles(self) -> float:
        plans = self._lives.fleet.plans
        cells = sum(
            plan.group.count * sum(b.n_cells for b in plan.hardware.layout.banks) for plan in plans.values()
        )
        devices = sum(plan.group.count for plan in plans.values())
        return self._per_year(self._counts["cell_writes"]) / (cells / devices)

    def _retired(self) -> dict[str, float | None]:
        ends = [
            next((to_s(event.time_ns) for event in account.events if event.kind == "retirement"), None)
            for account in self._lives.accounts
        ]
        known = [end for end in ends if end is not None]
        return {
            "retired_share": len(known) / len(ends),
            "end_of_life_s": float(np.mean(known)) if known else None,
        }

    def _cost(self) -> float | None:
        prices = self._scenario.prices
        return (
            None
            if prices is None
            else self._per_year(
                cost(prices, self._counts, self._time_ns, sum(self._joules.values()), self._extra_wrong)
            )
        )


def cost(
    prices: Prices, counts: dict[str, int], time_ns: dict[str, int], energy_j: float, extra_wrong: float
) -> float:
    """Return what a fleet costs at ``prices``; ``counts`` by schema.COUNTS, ``time_ns`` by schema.STATES."""
    down_ns = sum(ns for state, ns in time_ns.items() if state not in _UP and state != "uncommissioned")

    def hours(ns: int) -> float:
        return ns / NS_PER_S / S_PER_H

    sent = counts["uplink_sent_bytes"] + counts["downlink_sent_bytes"]
    return (
        prices.per_test * counts["tests"]
        + prices.per_kwh * energy_j / J_PER_KWH
        + prices.per_mb * sent / BYTES_PER_MB
        + prices.per_job * counts["jobs"]
        + prices.per_silent_h * hours(time_ns["out_silent"])
        + prices.per_known_h * hours(time_ns["out_known"])
        + prices.per_down_h * hours(down_ns)
        + prices.per_wrong_inference * extra_wrong
        + prices.per_device * counts["retirements"]
    )


_UP = ("in_spec", "out_known", "out_silent")


def _counted(seconds: Sequence[int]) -> dict[str, list[int]]:
    values, counts = np.unique(np.asarray(seconds, np.int64), return_counts=True)
    return {"seconds": values.tolist(), "counts": counts.tolist()}


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
