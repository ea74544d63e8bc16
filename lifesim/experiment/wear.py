"""How worn the cells are at the end, by bank: a layer's own, or those that several layers pass through."""

from __future__ import annotations

from dataclasses import dataclass

from lifesim.crossbar.bank import Bank
from lifesim.crossbar.programming import Programmed
from lifesim.experiment.accounting import DeviceAccount
from lifesim.physics.distributions import failed_share


@dataclass(frozen=True, slots=True)
class BankWear:
    """One bank of one device when it was last in use: at the horizon, or when what it does last began.

    ``operations`` per cell on the mean, ``most_operations`` of a cell; ``expected_stuck``: cells that a device of this endurance has
    worn out on average by then.
    """

    operations: float
    most_operations: int
    expected_stuck: float
    stuck: int
    expired: int


def bank_wear(account: DeviceAccount) -> list[BankWear]:
    """Return the wear of each bank of a device; nothing if it has never been in use."""
    if not account.record.stretches:
        return []
    last = account.record.stretches[-1]
    programmed, lost = last.snapshot.at(last.end_ns), last.snapshot.lost_cells(last.end_ns)
    return [
        BankWear(
            p.operations + p.extra.total / bank.n_cells,
            p.operations + int(p.extra.merged()[1].max(initial=0)),
            _expected_stuck(bank, p),
            stuck,
            expired,
        )
        for bank, p, (stuck, expired) in zip(last.snapshot.silicon.banks, programmed, lost, strict=True)
    ]


def _expected_stuck(bank: Bank, programmed: Programmed) -> float:
    """Cells written alone have more cycles behind them than the others."""
    cycles, (_, counts) = bank.wear.exposure(programmed), programmed.extra.merged()
    alone = failed_share(bank.wear.limits, cycles + counts * bank.wear.cycles_per_operation)
    others = bank.n_cells - len(counts)
    return others * float(failed_share(bank.wear.limits, cycles)) + float(alone.sum())
