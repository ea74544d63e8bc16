"""How worn each layer's cells are at the end: programming operations and faulty cells by layer."""

from __future__ import annotations

from dataclasses import dataclass

from lifesim.experiment.accounting import DeviceAccount
from lifesim.physics.distributions import failed_share


@dataclass(frozen=True, slots=True)
class LayerWear:
    """One layer of one device when it was last in use: at the horizon, or when what it does last began.

    ``operations`` per cell; ``expected_stuck``: cells that a device of this endurance has lost on average by then.
    """

    operations: int
    expected_stuck: float
    stuck: int
    expired: int


def layer_wear(account: DeviceAccount) -> list[LayerWear]:
    """Return the wear of each layer of a device."""
    last = account.record.stretches[-1]
    held = last.snapshot.held_at(last.end_ns)
    operations = last.snapshot.operations_at(last.end_ns).tolist()
    banks = last.snapshot.silicon.banks
    return [
        LayerWear(
            count,
            bank.n_cells * float(failed_share(bank.wear.limits, count)),
            len(faults.stuck),
            len(faults.expired),
        )
        for bank, faults, count in zip(banks, held.faults, operations, strict=True)
    ]
