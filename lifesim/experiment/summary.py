"""What a run comes to: a few numbers, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lifesim.experiment import schema
from lifesim.experiment.accounting import DeviceAccount, commissioned, together
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.milestones import arrays, milestones, waits
from lifesim.experiment.rates import FailureRate, failure_rate
from lifesim.experiment.survival import kaplan_meier
from lifesim.experiment.tables import Seen, Spans
from lifesim.experiment.totals import describe
from lifesim.experiment.traffic import CAUSES, bytes_by_cause
from lifesim.fleet.clock import to_ns, to_s
from lifesim.fleet.outlook import Outlook
from lifesim.fleet.simulation import FleetRecord
from lifesim.scenario.models import Scenario
from lifesim.timeunits import S_PER_YEAR


def summarise(
    scenario: Scenario, fleet: FleetRecord, accounts: Sequence[DeviceAccount], expected: Outlook
) -> dict[str, Any]:
    """Return the summary of a run as plain JSON values; durations in seconds, shares of device time."""
    last = [
        sample for a in accounts for sample in a.observed.samples[-1:] if sample.time_ns == fleet.horizon_ns
    ]
    traffic = [bytes_by_cause(account.events) for account in accounts]
    waited = waits([milestones(account) for account in accounts], fleet.horizon_ns)
    return summary_of(
        scenario,
        expected,
        {name: {"devices": plan.group.count} | describe(plan) for name, plan in fleet.plans.items()},
        devices=len(accounts),
        time_ns=together(a.time_ns.sum(axis=0) for a in accounts),
        counts=together(a.counts.sum(axis=0) for a in accounts).tolist(),
        joules=sum(energy_by_cause(a, fleet.plans[a.record.group]).sum(axis=0) for a in accounts).tolist(),
        sent_bytes={cause: sum(of_device[cause] for of_device in traffic) for cause in CAUSES},
        extra_wrong=sum(float(a.extra_wrong.sum()) for a in accounts),
        last=Seen.of(last),
        spans={measure: arrays(of_measure) for measure, of_measure in waited.items()},
        rates={failure: failure_rate(waited[measure]) for failure, measure in schema.FAILURES.items()},
        cloud_busy_ns=fleet.cloud_busy_ns,
        waiting_ns=fleet.cloud.waiting_ns,
        started=fleet.cloud.started,
    )


def summary_of(
    scenario: Scenario,
    expected: Outlook,
    groups: dict[str, dict[str, Any]],
    *,
    devices: int,
    time_ns: np.ndarray,
    counts: Sequence[int],
    joules: Sequence[float],
    sent_bytes: dict[str, int],
    extra_wrong: float,
    last: Seen,
    spans: Mapping[str, Spans],
    rates: Mapping[str, FailureRate],
    cloud_busy_ns: int,
    waiting_ns: int,
    started: int,
) -> dict[str, Any]:
    """Return the summary from sums over the whole run.

    ``groups``: what is said of each; ``time_ns`` by schema.STATES, ``counts`` by schema.COUNTS, ``joules`` by schema.ENERGY_CAUSES; ``last``: what is seen at the
    horizon; ``spans`` by schema.MEASURES, ``rates`` by schema.FAILURES; the rest is of the cloud.
    """
    count = dict(zip(schema.COUNTS, counts, strict=True))
    whole = int(commissioned(time_ns).sum())
    device_years = to_s(whole) / S_PER_YEAR
    regions = scenario.regions.count
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "horizon_s": scenario.horizon_s,
        **({"regions": regions} if regions > 1 else {}),
        "devices": devices,
        "groups": groups,
        "availability": int(time_ns[:3].sum()) / whole,
        "in_spec_availability": int(time_ns[0]) / whole,
        "out_silent_share": int(time_ns[2]) / whole,
        "state_s": {state: to_s(int(ns)) for state, ns in zip(schema.STATES, time_ns, strict=True)},
        "accuracy_last_mean": last.accuracy_mean,
        "accuracy_last_mean_se": last.accuracy_mean_se,
        "in_spec_last": last.in_spec_devices,
        "running_last": last.devices,
        "counts": count,
        "energy_j": sum(joules),
        "per_device_year": {
            "energy_j": {
                cause: energy_j / device_years
                for cause, energy_j in zip(schema.ENERGY_CAUSES, joules, strict=True)
            },
            "bytes": {cause: sent / device_years for cause, sent in sent_bytes.items()},
            "cell_writes": count["cell_writes"] / device_years,
            "inferences": count["inferences"] / device_years,
            "extra_wrong_inferences": extra_wrong / device_years,
        },
        "waits": {
            "detection": _waited(spans["undetected"]),
            "repair": _waited(spans["unrepaired"]),
        },
        "rates": {failure: asdict(rate) for failure, rate in rates.items()},
        "cloud": {
            "workers": scenario.cloud.workers,
            "load_bound": expected.cloud_load,
            "utilisation": cloud_busy_ns / (regions * scenario.cloud.workers * to_ns(scenario.horizon_s)),
            "mean_wait_s": to_s(waiting_ns) / started if started else 0.0,
        },
        "warnings": list(expected.warnings),
    }


def _waited(spans: Spans) -> dict[str, Any]:
    """Return how many waited, to how many it happened, and the Kaplan-Meier median (None if fewer than half got there)."""
    durations_ns, happened = spans
    median_ns = kaplan_meier(durations_ns, happened).median_ns
    return {
        "devices": len(happened),
        "events": int(happened.sum()),
        "median_s": None if median_ns is None else to_s(median_ns),
    }
