"""Joules by cause, from the events of each device one by one; every joule has one cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from lifesim.crossbar.cost import cell_pulses_cost, pulses_cost
from lifesim.experiment.accounting import DeviceAccount
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.schema import COUNTS, ENERGY_CAUSES
from lifesim.fleet.records import Event
from lifesim.scenario.link import Link


def happened(ledger: DeviceAccount) -> Counter[str]:
    return Counter(event.kind for event in ledger.events)


def radio_j(link: Link) -> Callable[[Event], float]:
    """Return what an event costs: a message that came through, its bytes on the air and a wake-up."""
    byte_j = {
        **dict.fromkeys(("map_received", "map_damaged", "request_received"), link.uplink_j_per_byte),
        **dict.fromkeys(
            ("redeployment_received", "redeployment_damaged", "notice_received"), link.downlink_j_per_byte
        ),
    }
    return lambda e: int(e.detail) * byte_j[e.kind] + link.wakeup_j if e.kind in byte_j else 0.0


def test_each_cause_is_its_operations_times_their_unit_cost(lived) -> None:
    for ledger in lived.plain:
        plan, kinds = lived.plans[ledger.record.group], happened(ledger)
        counts = dict(zip(COUNTS, ledger.counts.sum(axis=0).tolist(), strict=True))
        operations = plan.operations
        again = sum(
            e.amount - 1
            for e in ledger.events
            if e.kind in ("alarm", "unconfirmed_alarm", "verification", "drift_suspected")
        )
        read_j, baseline_reads = {
            "periodic": (operations.aet_read.energy_j, plan.group.aet.baseline_reads),
            "readback": (operations.readback.energy_j, 1),
        }.get(plan.group.schedule.kind, (0.0, 0))
        expected = {
            "test": (counts["tests"] + again) * read_j,
            "baseline": kinds["baseline"] * baseline_reads * read_j,
            "diagnosis": kinds["diagnosis"] * operations.diagnosis.energy_j
            + sum(e.amount for e in ledger.events if e.kind == "tried_again") * operations.again.energy_j,
            "rewrite": sum(
                (cell_pulses_cost if w.single_cells else pulses_cost)(plan.hardware.costs, w.pulses).energy_j
                for w in ledger.record.programmings
            ),
            "inference": counts["inferences"] * operations.aet_read.energy_j / plan.group.aet.pictures,
            "reload": sum(
                int(n) * cost.energy_j
                for n, cost in zip(ledger.reloads.sum(axis=0), operations.reload, strict=True)
            ),
            "radio": sum(map(radio_j(plan.group.link), ledger.events)),
        }
        found = dict(zip(ENERGY_CAUSES, energy_by_cause(ledger, plan).sum(axis=0).tolist(), strict=True))
        # The pulses of a rewrite are drawn: their mean over 400,000 cells is good to a thousandth.
        assert found == {
            cause: pytest.approx(joules, rel=1e-3 if cause == "rewrite" else 1e-12)
            for cause, joules in expected.items()
        }


def test_every_cause_costs_somebody_something(lived) -> None:
    joules = sum(energy_by_cause(a, lived.plans[a.record.group]).sum(axis=0) for a in lived.accounts)
    assert (joules > 0).all()


def test_nothing_is_spent_before_the_horizon_twice_or_below_zero(lived) -> None:
    for ledger in lived.accounts:
        joules = energy_by_cause(ledger, lived.plans[ledger.record.group])
        assert joules.shape == (len(lived.edges_ns) - 1, len(ENERGY_CAUSES))
        assert (joules >= 0).all() and np.isfinite(joules).all()
