"""What a run comes to: a few numbers as JSON, and sentences for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lifesim.experiment import schema
from lifesim.fleet.clock import to_s
from lifesim.physics.temperature import S_PER_DAY, S_PER_YEAR

if TYPE_CHECKING:  # whoever only reads results does without torch
    from lifesim.experiment.accounting import DeviceAccount
    from lifesim.fleet.outlook import Outlook
    from lifesim.fleet.simulation import FleetRecord
    from lifesim.scenario.models import Scenario


def summarise(
    scenario: Scenario, fleet: FleetRecord, accounts: Sequence[DeviceAccount], expected: Outlook
) -> dict[str, Any]:
    """Return the summary of a run as plain JSON values; durations in seconds, shares of device time."""
    time_ns = sum(a.time_ns.sum(axis=0) for a in accounts)
    counts = dict(zip(schema.COUNTS, sum(a.counts.sum(axis=0) for a in accounts).tolist(), strict=True))
    whole = int(time_ns.sum())
    last = [a for a in accounts if a.observed.samples and a.observed.samples[-1].time_ns == fleet.horizon_ns]
    cloud = fleet.cloud
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "horizon_s": scenario.horizon_s,
        "devices": len(accounts),
        "groups": {
            name: {
                "devices": plan.group.count,
                "network": plan.group.network.preset,
                "schedule": plan.group.schedule.kind,
                "clean_accuracy": plan.spec_correct / plan.spec_pictures,
                "required_accuracy": plan.required_correct / plan.spec_pictures,
                "fixed_point": str(plan.model.fixed_point),
            }
            for name, plan in fleet.plans.items()
        },
        "availability": int(time_ns[:3].sum()) / whole,
        "in_spec_availability": int(time_ns[0]) / whole,
        "out_silent_share": int(time_ns[2]) / whole,
        "state_s": {state: to_s(int(ns)) for state, ns in zip(schema.STATES, time_ns, strict=True)},
        "accuracy_last_mean": _mean(
            [a.observed.samples[-1].correct / fleet.plans[a.record.group].spec_pictures for a in last]
        ),
        "in_spec_last": sum(
            a.observed.samples[-1].correct >= fleet.plans[a.record.group].required_correct for a in last
        ),
        "running_last": len(last),
        "counts": counts,
        "energy_j": float(sum(a.energy_j(fleet.plans[a.record.group]).sum() for a in accounts)),
        "cloud": {
            "workers": scenario.cloud.workers,
            "load_bound": expected.cloud_load,
            "utilisation": fleet.cloud_busy_ns / (scenario.cloud.workers * fleet.horizon_ns),
            "mean_wait_s": to_s(cloud.waiting_ns) / cloud.started if cloud.started else 0.0,
        },
        "warnings": list(expected.warnings),
    }


def summary_text(summary: dict[str, Any]) -> str:
    """Return the summary as text of at most 100 columns."""
    counts, cloud = summary["counts"], summary["cloud"]
    years = summary["horizon_s"] / S_PER_YEAR
    alarms = counts["alarms_true"] + counts["alarms_early"] + counts["alarms_false"]
    lines = [
        f"{summary['scenario']} (seed {summary['seed']}): {summary['devices']} devices for {_duration(summary['horizon_s'])}",
        *(
            f"  {name}: {g['devices']} x {g['network']} ({g['fixed_point']}), schedule {g['schedule']}, "
            f"accuracy {g['clean_accuracy']:.1%} when new, in spec from {g['required_accuracy']:.1%}"
            for name, g in summary["groups"].items()
        ),
        "",
        f"In spec      {summary['in_spec_availability']:8.3%} of the time (serving {summary['availability']:.5%})",
        f"Silent       {summary['out_silent_share']:8.3%} of the time out of spec with no alarm raised",
        f"At the end   {summary['in_spec_last']} of {summary['running_last']} running devices in spec"
        + (
            f", mean accuracy {summary['accuracy_last_mean']:.1%}"
            if summary["accuracy_last_mean"] is not None
            else ""
        )
        + (f"; {counts['retirements']} retired" if counts["retirements"] else ""),
        "",
        f"Tests        {counts['tests']:,}, {counts['tests_missed']:,} missed as the device was not serving, "
        f"{counts['tests_passed_out_of_spec']:,} passed out of spec",
        f"Alarms       {alarms:,}: {counts['alarms_true']:,} true, {counts['alarms_early']:,} early, "
        f"{counts['alarms_false']:,} false; {counts['alarms_unconfirmed']:,} not confirmed by re-reads",
        f"Repairs      {counts['diagnoses']:,} March C-, {counts['refreshes']:,} refreshes, "
        f"{counts['retrainings']:,} retrainings, {counts['reprogrammings']:,} redeployments",
        f"Link         {_bytes(counts['uplink_sent_bytes'])} up, {_bytes(counts['downlink_sent_bytes'])} down",
        f"Cloud        {cloud['utilisation']:.2%} busy, mean wait {cloud['mean_wait_s']:.3g} s",
        f"Wear         {counts['cell_writes'] / summary['devices'] / years:.3g} cell writes a device and year",
    ]
    return "\n".join(lines)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _duration(seconds: float) -> str:
    return f"{seconds / S_PER_YEAR:g} years" if seconds >= S_PER_YEAR else f"{seconds / S_PER_DAY:g} days"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
