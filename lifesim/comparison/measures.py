"""What schedules are compared by: each measure one number of one fleet, with its unit, its meaning and which way is better."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lifesim.comparison.statistics import weighted_quantile
from lifesim.experiment import merged, schema
from lifesim.experiment.accounting import together
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.lives import Lives, live
from lifesim.experiment.regions import simulate_region
from lifesim.experiment.silence import silent_spells
from lifesim.experiment.tables import Table, fleet_table, layers_table
from lifesim.experiment.totals import FleetTotals
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
    plans = lives.fleet.plans
    return _kept(
        _Fleet.of_lives(scenario, lives),
        fleet_table(lives.accounts, plans, lives.edges_ns),
        layers_table(lives.accounts, plans),
    )


def measure_regions(scenario: Scenario, totals: FleetTotals) -> dict[str, Any]:
    """Return the same of a fleet of regions, from what they come to together."""
    return _kept(_Fleet.of_totals(scenario, totals), merged.fleet_table(totals), merged.layers_table(totals))


def measured_scenario(scenario: Scenario, executor: Executor, device: str = "cpu") -> dict[str, Any]:
    """Simulate a scenario, region by region if it has several, and return what a comparison keeps of it."""
    if scenario.regions.count == 1:
        return measure_fleet(scenario, live(scenario, executor, device=device))
    results = (
        simulate_region(scenario, number, device=device, executor=executor).totals
        for number in range(scenario.regions.count)
    )
    return measure_regions(scenario, functools.reduce(operator.add, results))


def _kept(seen: _Fleet, table: Table, layers: Table) -> dict[str, Any]:
    return {
        "measures": seen.measures(table),
        "curves": {name: table[column] for name, column in CURVES.items()},
        "spells": seen.spells,
        "wear": [
            dict(zip(("group", "layers", *WEAR), row, strict=True))
            for row in zip(*(layers[column] for column in ("group", "layers", *WEAR)), strict=True)
        ],
    }


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The sums over one fleet that measures are made of.

    ``time_ns`` by schema.STATES, ``counts`` by schema.COUNTS, ``joules`` by schema.ENERGY_CAUSES; ``spells`` by ending; ``cells`` of all devices together;
    ``retired``: how many of the slots' first devices, on the mean after ``end_of_life_s``.
    """

    scenario: Scenario
    time_ns: dict[str, int]
    counts: dict[str, int]
    joules: dict[str, float]
    extra_wrong: float
    spells: dict[str, dict[str, list[int]]]
    devices: int
    cells: int
    retired: int
    end_of_life_s: float | None

    @classmethod
    def of_lives(cls, scenario: Scenario, lives: Lives) -> _Fleet:
        accounts, plans = lives.accounts, lives.fleet.plans
        lengths: dict[str, list[int]] = {}
        for account in accounts:
            for spell in silent_spells(account):
                lengths.setdefault(spell.ending, []).append((spell.end_ns - spell.start_ns) // NS_PER_S)
        ends = [
            next((to_s(event.time_ns) for event in account.events if event.kind == "retirement"), None)
            for account in accounts
        ]
        known = [end for end in ends if end is not None]
        joules = sum(energy_by_cause(a, plans[a.record.group]).sum(axis=0) for a in accounts)
        return cls(
            scenario,
            _by(schema.STATES, together(a.time_ns.sum(axis=0) for a in accounts).tolist()),
            _by(schema.COUNTS, together(a.counts.sum(axis=0) for a in accounts).tolist()),
            _by(schema.ENERGY_CAUSES, joules.tolist()),
            sum(float(a.extra_wrong.sum()) for a in accounts),
            {ending: _counted(lengths[ending]) for ending in sorted(lengths)},
            len(accounts),
            sum(
                plan.group.count * sum(b.n_cells for b in plan.hardware.layout.banks)
                for plan in plans.values()
            ),
            len(known),
            float(np.mean(known)) if known else None,
        )

    @classmethod
    def of_totals(cls, scenario: Scenario, totals: FleetTotals) -> _Fleet:
        retired, spells = totals.whole("retired"), totals.whole("spells")
        columns = {
            name: [sum(column) for column in zip(*totals.whole(name), strict=True)]
            for name in ("time_ns", "counts", "energy_j", "answers")
        }
        return cls(
            scenario,
            _by(schema.STATES, columns["time_ns"]),
            _by(schema.COUNTS, columns["counts"]),
            _by(schema.ENERGY_CAUSES, list(map(float, columns["energy_j"]))),
            float(columns["answers"][-1]),
            {
                ending: {
                    "seconds": sorted(spells[ending]),
                    "counts": [n for _, n in sorted(spells[ending].items())],
                }
                for ending in sorted(spells)
                if spells[ending]
            },
            totals.whole("devices"),
            sum(group.devices * sum(bank.cells for bank in group.banks) for group in totals.groups.values()),
            retired,
            to_s(totals.whole("ends_ns")) / retired if retired else None,
        )

    @property
    def whole_ns(self) -> int:
        return sum(ns for state, ns in self.time_ns.items() if state != "uncommissioned")

    @property
    def device_years(self) -> float:
        return self.whole_ns / NS_PER_S / S_PER_YEAR

    def measures(self, table: dict[str, list[Any]]) -> dict[str, float | None]:
        """Return every measure; ``table``: fleet.csv."""
        share, year = self._share, self._per_year
        counts = self.counts
        care_j = sum(j for cause, j in self.joules.items() if cause not in ("inference", "reload"))
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
            "energy_j": year(sum(self.joules.values())),
            "cell_cycles": self._cell_cycles(),
            **self._retired(),
            "extra_wrong_inferences": year(self.extra_wrong) if counts["inferences"] else None,
            "cost": self._cost(),
        }
        return {name: values[name] for name in MEASURES}

    def _share(self, *states: str) -> float:
        return sum(self.time_ns[state] for state in states) / self.whole_ns

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
        return self._per_year(self.counts["cell_writes"]) / (self.cells / self.devices)

    def _retired(self) -> dict[str, float | None]:
        return {"retired_share": self.retired / self.devices, "end_of_life_s": self.end_of_life_s}

    def _cost(self) -> float | None:
        prices = self.scenario.prices
        return (
            None
            if prices is None
            else self._per_year(
                cost(prices, self.counts, self.time_ns, sum(self.joules.values()), self.extra_wrong)
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


def _by(names: Iterable[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))


def _counted(seconds: Sequence[int]) -> dict[str, list[int]]:
    values, counts = np.unique(np.asarray(seconds, np.int64), return_counts=True)
    return {"seconds": values.tolist(), "counts": counts.tolist()}


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
