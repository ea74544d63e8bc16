"""Joules by cause: the integer counts of a ledger times the unit costs of its plan, multiplied when they are written."""

from __future__ import annotations

import numpy as np

from lifesim.experiment.accounting import DeviceAccount
from lifesim.experiment.schema import ENERGY_CAUSES
from lifesim.fleet.build import Plan


def energy_by_cause(account: DeviceAccount, plan: Plan) -> np.ndarray:
    """Return joules [periods, causes of schema.ENERGY_CAUSES] of one device."""
    operations, visit, link = plan.operations, plan.costs, plan.group.link
    joules = {
        "test": account.reads * plan.schedule.visit_cost(visit).energy_j
        + account.count("judgements") * visit.test.energy_j,
        "baseline": account.baselines * plan.schedule.baseline_cost(visit).energy_j,
        "diagnosis": account.count("diagnoses") * operations.diagnosis.energy_j
        + account.count("cells_tried_again") * operations.again.energy_j,
        "rewrite": account.count("rewrite_pulses") * operations.pulse.energy_j
        + account.count("single_cell_pulses") * operations.cell_pulse.energy_j,
        "reload": account.reloads @ np.array([cost.energy_j for cost in operations.reload]),
        "inference": account.count("inferences") * operations.inference.energy_j,
        "radio": account.count("uplink_air_bytes") * link.uplink_j_per_byte
        + account.count("downlink_air_bytes") * link.downlink_j_per_byte
        + (account.count("uplink_messages") + account.count("downlink_messages")) * link.wakeup_j,
    }
    return np.stack([joules[cause] for cause in ENERGY_CAUSES], axis=1)
