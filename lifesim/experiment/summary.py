"""What a run comes to: a few numbers, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lifesim.experiment import schema
from lifesim.experiment.accounting import DeviceAccount, commissioned, mean, mean_accuracy_se, together
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.milestones import Wait, arrays, milestones, waits
from lifesim.experiment.rates import failure_rate
from lifesim.experiment.survival import kaplan_meier
from lifesim.experiment.traffic import CAUSES, bytes_by_cause
from lifesim.fleet.clock import to_s
from lifesim.fleet.outlook import Outlook
from lifesim.fleet.simulation import FleetRecord
from lifesim.scenario.models import Scenario
from lifesim.timeunits import S_PER_YEAR


def summarise(
    scenario: Scenario, fleet: FleetRecord, accounts: Sequence[DeviceAccount], expected: Outlook
) -> dict[str, Any]:
    """Return the summary of a run as plain JSON values; durations in seconds, shares of device time."""
    time_ns = together(a.time_ns.sum(axis=0) for a in accounts)
    counts = dict(zip(schema.COUNTS, together(a.counts.sum(axis=0) for a in accounts).tolist(), strict=True))
    whole = int(commissioned(time_ns).sum())
    last = [
        sample for a in accounts for sample in a.observed.samples[-1:] if sample.time_ns == fleet.horizon_ns
    ]
    cloud = fleet.cloud
    device_years = to_s(whole) / S_PER_YEAR
    joules = sum(energy_by_cause(a, fleet.plans[a.record.group]).sum(axis=0) for a in accounts).tolist()
    traffic = [bytes_by_cause(account.events) for account in accounts]
    sent_bytes = {cause: sum(of_device[cause] for of_device in traffic) for cause in CAUSES}
    waited = waits([milestones(account) for account in accounts], fleet.horizon_ns)
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "horizon_s": scenario.horizon_s,
        "devices": len(accounts),
        "groups": {
            name: {
                "devices": plan.group.count,
                "network": plan.group.network.name,
                "schedule": plan.group.schedule.kind,
                "clean_accuracy": plan.spec_correct / plan.spec_pictures,
                "required_accuracy": plan.required_correct / plan.spec_pictures,
                "fixed_point": plan.model.formats_text(),
            }
            for name, plan in fleet.plans.items()
        },
        "availability": int(time_ns[:3].sum()) / whole,
        "in_spec_availability": int(time_ns[0]) / whole,
        "out_silent_share": int(time_ns[2]) / whole,
        "state_s": {state: to_s(int(ns)) for state, ns in zip(schema.STATES, time_ns, strict=True)},
        "accuracy_last_mean": mean([sample.accuracy for sample in last]),
        "accuracy_last_mean_se": mean_accuracy_se(last),
        "in_spec_last": sum(sample.in_spec for sample in last),
        "running_last": len(last),
        "counts": counts,
        "energy_j": sum(joules),
        "per_device_year": {
            "energy_j": {
                cause: energy_j / device_years
                for cause, energy_j in zip(schema.ENERGY_CAUSES, joules, strict=True)
            },
            "bytes": {cause: sent / device_years for cause, sent in sent_bytes.items()},
            "cell_writes": counts["cell_writes"] / device_years,
            "inferences": counts["inferences"] / device_years,
            "extra_wrong_inferences": sum(float(a.extra_wrong.sum()) for a in accounts) / device_years,
        },
        "waits": {
            "detection": _waited(waited["undetected"]),
            "repair": _waited(waited["unrepaired"]),
        },
        "rates": {
            failure: asdict(failure_rate(waited[measure])) for failure, measure in schema.FAILURES.items()
        },
        "cloud": {
            "workers": scenario.cloud.workers,
            "load_bound": expected.cloud_load,
            "utilisation": fleet.cloud_busy_ns / (scenario.cloud.workers * fleet.horizon_ns),
            "mean_wait_s": to_s(cloud.waiting_ns) / cloud.started if cloud.started else 0.0,
        },
        "warnings": list(expected.warnings),
    }


def _waited(waited: Sequence[Wait]) -> dict[str, Any]:
    """Return how many waited, to how many it happened, and the Kaplan-Meier median (None if fewer than half got there)."""
    durations_ns, happened = arrays(waited)
    median_ns = kaplan_meier(durations_ns, happened).median_ns
    return {
        "devices": len(happened),
        "events": int(happened.sum()),
        "median_s": None if median_ns is None else to_s(median_ns),
    }
