"""How the cells of a device fail over time, without asking what they hold: who has worn out when, and how many have expired.

Wear is told by time. Reloads wear a bank by the clock, a hundred times and more as much as diagnoses and rewrites do; so when a cell of a reloaded bank wears out
is worked out once, from its limit, as if there were none of these. In banks that are never reloaded they are all the wear that there is, and are counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifesim.crossbar.bank import Bank
from lifesim.crossbar.faults import FaultMap
from lifesim.crossbar.programming import Programmed
from lifesim.crossbar.soft import SoftMechanism
from lifesim.fleet.silicon import Silicon
from lifesim.fleet.surrogate.harm import KINDS, PATHS, BankHarm
from lifesim.physics.fates import counts_by_hazard
from lifesim.streams import first_uniform

BankPopulations = tuple[int, list[tuple[int, int]]]
"""A bank, and of its cells that share a stream of limits, the key of this and how many they are."""

_NONE = np.zeros((KINDS, 1))


class Ageing:
    """One device's cells: ``silicon`` that is first programmed at ``started_ns`` and followed up to ``horizon_ns``.

    The cells that wear out have numbers, in the order in which they do; ``when_ns`` (int64) says when, ``harm`` (float64 [kinds, n + 1]) what the first so many
    of them are worth together. ``path``: the order in which cells expire.
    """

    __slots__ = (
        "silicon",
        "when_ns",
        "harm",
        "path",
        "_harms",
        "_banks",
        "_cells",
        "_levels",
        "_resident",
        "_expiring",
        "_horizon_ns",
    )

    def __init__(
        self, silicon: Silicon, harms: Sequence[BankHarm], key: int, started_ns: int, horizon_ns: int
    ):
        self.silicon = silicon
        self.path = int(first_uniform(key) * PATHS)
        self._harms = harms
        self._horizon_ns = horizon_ns
        self._resident = [
            number for number, bank in enumerate(silicon.banks) if bank.reload_period_ns is None and bank.soft
        ]
        # What can expire, of the writing that was asked about last: (epoch, time).
        self._expiring: dict[tuple[int, int], list[BankPopulations]] = {}
        self.when_ns = np.empty(0, np.int64)
        self.harm = _NONE
        self._banks, self._cells, self._levels = (
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.uint8),
        )
        first = Programmed(started_ns, 0, 1)
        for number, bank in enumerate(silicon.banks):
            if bank.reload_period_ns is not None:
                self._add(number, *_worn_by_reloads(bank, first, horizon_ns))

    def _add(self, number: int, cells: np.ndarray, when_ns: np.ndarray) -> None:
        if not len(cells):
            return
        when_ns = np.concatenate([self.when_ns, when_ns])
        banks = np.concatenate([self._banks, np.full(len(cells), number)])
        levels = self.silicon.banks[number].worn_levels(cells)
        levels, cells = np.concatenate([self._levels, levels]), np.concatenate([self._cells, cells])
        order = np.argsort(when_ns, kind="stable")
        self.when_ns, self._banks, self._cells, self._levels = (
            of[order] for of in (when_ns, banks, cells, levels)
        )
        each = np.empty((KINDS, len(order)))
        for bank, harms in enumerate(self._harms):
            there = self._banks == bank
            each[:, there] = harms.stuck[:, self._levels[there], self._cells[there]]
        self.harm = np.zeros((KINDS, len(order) + 1))
        np.cumsum(each, axis=1, out=self.harm[:, 1:])

    def note_programming(self, programmed: Sequence[Programmed], time_ns: int) -> None:
        """Have the cells of banks without reloads wear out that do by what the programmings have left at ``time_ns``."""
        for number, (bank, left) in enumerate(zip(self.silicon.banks, programmed, strict=True)):
            if bank.reload_period_ns is None:
                exposure = bank.wear.exposure(left)
                worn = bank.worn(exposure)
                count, before = (
                    worn.count_by(exposure) if len(worn) else 0,
                    np.count_nonzero(self._banks == number),
                )
                if count > before:
                    cells = worn.first(count)[before:].astype(np.int64)
                    self._add(number, cells, np.full(len(cells), time_ns))

    # -- wear --

    def worn_by(self, time_ns: int) -> int:
        """Return how many cells have worn out by a time."""
        return int(self.when_ns.searchsorted(time_ns, side="right")) if len(self.when_ns) else 0

    def worn_by_bank(self, time_ns: int) -> np.ndarray:
        """Return how many cells of each bank have worn out by a time."""
        return np.bincount(self._banks[: self.worn_by(time_ns)], minlength=len(self.silicon.banks))

    def fault_map(self, worn: int) -> FaultMap:
        """Return the first cells to wear out, as a map of the layers."""
        there = [self._banks[:worn] == bank for bank in range(len(self.silicon.banks))]
        return self.silicon.map_of([(self._cells[:worn][of], self._levels[:worn][of]) for of in there])

    def stuck_harm(self, kind: int, since: int, times_ns: np.ndarray) -> np.ndarray | float:
        """Return what the cells that have worn out by each time are worth, the first ``since`` left out: float64, or 0 where there are none."""
        if len(self.when_ns) <= since:
            return 0.0
        worn = self.when_ns.searchsorted(times_ns, side="right")
        return self.harm[kind][np.maximum(worn, since)] - self.harm[kind][since]

    # -- lost states --

    def expired(self, programmed: Sequence[Programmed], times_ns: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Return how many cells have expired at each time (ascending), of each bank in which any has by the last."""
        found: list[tuple[int, np.ndarray]] = []
        if not self._resident:
            return found
        # All cells have one clock and one distribution of limits, and interventions write all banks together.
        first = self._resident[0]
        left, (mechanism,) = programmed[first], self.silicon.banks[first].soft
        written = left.epoch, left.time_ns
        if written not in self._expiring:
            self._expiring = {written: self._populations(programmed)}
        if not (populations := self._expiring[written]):
            return found
        hazards = _hazards(mechanism, left, times_ns)
        for bank, bank_populations in populations:
            count = sum(counts_by_hazard(key, n, hazards) for key, n in bank_populations)
            if count[-1]:
                found.append((bank, count))
        return found

    def _populations(self, programmed: Sequence[Programmed]) -> list[BankPopulations]:
        """Return the populations of the banks in which any cell expires by the horizon, unless it is written again."""
        found = []
        for bank in self._resident:
            left, (mechanism,) = programmed[bank], self.silicon.banks[bank].soft
            hazards = _hazards(mechanism, left, np.array([self._horizon_ns]))
            own, drawn = self.silicon.banks[bank].soft_fates(left)[0].keys
            n_cells = self.silicon.banks[bank].n_cells
            n_own = round(mechanism.cell_share * n_cells)
            populations = [(own, n_own), (drawn, n_cells - n_own)]
            if any(counts_by_hazard(key, n, hazards)[0] for key, n in populations):
                found.append((bank, populations))
        return found

    def expired_harm(self, kind: int, expired: list[tuple[int, np.ndarray]]) -> np.ndarray | float:
        """Return what expired cells are worth at each time."""
        harm: np.ndarray | float = 0.0
        for bank, count in expired:
            harm = harm + self._harms[bank].of_expired(kind, self.path, count)
        return harm


def _hazards(mechanism: SoftMechanism, left: Programmed, times_ns: np.ndarray) -> np.ndarray:
    """Return the cumulative hazard at each time (ascending) of the cells' limits, since they were written."""
    exposures = mechanism.readings(times_ns) - mechanism.reading(left.time_ns)
    return np.maximum.accumulate(mechanism.limits.hazard(np.maximum(exposures, 0.0)))


def _worn_by_reloads(bank: Bank, first: Programmed, horizon_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells (int64) of a bank that reloads wear out by the horizon, in this order, and when (int64)."""
    period_ns = bank.reload_period_ns
    reloads = int(bank.reloads_since(first, [horizon_ns])[0])
    exposure = float(bank.wear.exposure(first, reloads * bank.layers))
    worn = bank.worn(exposure)
    count = worn.count_by(exposure) if len(worn) else 0
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    begun = bank.wear.exposure(first)
    each = bank.wear.cycles_per_reload * bank.layers
    needed = np.maximum(np.ceil((worn.limits(count) - begun) / each), 0.0).astype(np.int64)
    # Reload number j is at j * period_ns of the absolute clock.
    started = first.time_ns // period_ns
    when_ns = np.where(needed > 0, (started + needed) * period_ns, first.time_ns)
    return worn.first(count).astype(np.int64), when_ns
