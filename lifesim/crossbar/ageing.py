"""A bank of cells of one device: its fate drawn once, its state known at any time since its last programming.

Ageing between interventions is exogenous, so a bank is asked, never advanced: :meth:`Bank.faults_at` is a pure function of the
state that the last programming left (:class:`Programmed`) and of the time, whatever was asked before.

Two mechanisms, as in RRAMedy: *endurance* (a cell sticks when its count of programming operations reaches its limit) and *retention*
(a cell that has not been reprogrammed for its limit, in seconds at the reference temperature, loses its state until it is rewritten).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.fates import CellFates
from lifesim.physics.permutation import permute
from lifesim.physics.temperature import EquivalentTime
from lifesim.streams import stream_key, uniforms

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wear:
    """Endurance of a bank: limits in programming operations; the share of worn cells that stick at 1 (LRS)."""

    limits: Weibull
    stuck_at_1_share: float


@dataclass(frozen=True, slots=True)
class Retention:
    """Retention of a bank: limits in seconds at the reference temperature of ``clock``.

    ``cell_share`` of the cells keep their limit for life (a property of the cell: the weak ones expire again after every refresh); the
    others draw a new one at every programming. An expired cell reads ``fails_to`` (0: it drifted to HRS, 1: to LRS).
    """

    limits: Lognormal
    cell_share: float
    fails_to: int
    clock: EquivalentTime


@dataclass(frozen=True, slots=True)
class Programmed:
    """What a bank's last programming left: when it ended, its ordinal (epoch), and the programming operations so far per cell."""

    time_ns: int
    epoch: int
    operations: int

    def rewritten(self, time_ns: int, operations: int) -> Programmed:
        """Return the state after a programming that ends at ``time_ns`` and brings the count to ``operations``."""
        return replace(self, time_ns=time_ns, epoch=self.epoch + 1, operations=operations)


@dataclass(frozen=True, slots=True)
class BankFaults:
    """The faulty cells of a bank (int32, in the order of failing); ``signature`` is equal iff the sets are equal, within one bank."""

    stuck: np.ndarray
    stuck_values: np.ndarray
    expired: np.ndarray
    signature: tuple[int, ...]


class Bank:
    """``n_cells`` cells that hold one layer. Resident (``reload_period_ns`` None), or reloaded from the backup on a grid of that period.

    A reload is one programming operation of every cell and begins a new epoch. Reload number j is at ``j * reload_period_ns`` of the
    absolute clock, so its number and the time since it follow from the time alone, however many there have been.
    """

    __slots__ = (
        "n_cells",
        "wear",
        "retention",
        "reload_period_ns",
        "_key",
        "_wear_fates",
        "_own_fates",
        "_epoch_fates",
        "_n_own",
    )

    def __init__(
        self, key: int, n_cells: int, wear: Wear, retention: Retention, reload_period_ns: int | None = None
    ):
        self.n_cells = n_cells
        self.wear = wear
        self.retention = retention
        self.reload_period_ns = reload_period_ns
        self._key = key
        self._wear_fates = CellFates(stream_key(key, "endurance"), n_cells, wear.limits)
        self._n_own = round(retention.cell_share * n_cells)
        self._own_fates = CellFates(
            stream_key(key, "retention of the cell"), self._n_own, retention.limits, self._place_own
        )
        self._epoch_fates: tuple[int, CellFates] | None = None

    def at(self, programmed: Programmed, time_ns: int) -> Programmed:
        """Return the last programming at or before ``time_ns``, reloads included, given the last intervention."""
        if self.reload_period_ns is None:
            return programmed
        last, before = time_ns // self.reload_period_ns, programmed.time_ns // self.reload_period_ns
        if last <= before:
            return programmed
        reloads = last - before
        return Programmed(
            last * self.reload_period_ns, programmed.epoch + reloads, programmed.operations + reloads
        )

    def faults_at(self, programmed: Programmed, time_ns: int) -> BankFaults:
        """Return the faulty cells at ``time_ns`` (not before ``programmed.time_ns``)."""
        now = self.at(programmed, time_ns)
        clock = self.retention.clock
        age_s = clock.at(time_ns / NS_PER_S) - clock.at(now.time_ns / NS_PER_S)
        stuck = self._wear_fates.failed_by(now.operations)
        own = self._own_fates.failed_by(age_s)
        drawn = self._fates_of_epoch(now.epoch).failed_by(age_s)
        signature = (len(stuck), len(own), len(drawn), now.epoch if len(drawn) else 0)
        return BankFaults(stuck, self.stuck_values(stuck), np.concatenate([own, drawn]), signature)

    def stuck_at(self, operations: int) -> np.ndarray:
        """Return the cells that are stuck after ``operations`` programming operations, in the order of failing (int32)."""
        return self._wear_fates.failed_by(operations)

    def stuck_values(self, cells: np.ndarray) -> np.ndarray:
        """Return the bit (uint8) at which each of ``cells`` sticks once it does: a property of the cell."""
        return (uniforms(stream_key(self._key, "polarity"), cells) < self.wear.stuck_at_1_share).astype(
            np.uint8
        )

    def _place_own(self, indices: np.ndarray) -> np.ndarray:
        return permute(stream_key(self._key, "retention population"), self.n_cells, indices)

    def _place_drawn(self, indices: np.ndarray) -> np.ndarray:
        return self._place_own(indices + self._n_own)

    def _fates_of_epoch(self, epoch: int) -> CellFates:
        # Only the epoch asked for last is kept: any other can be drawn again from its key.
        if self._epoch_fates is None or self._epoch_fates[0] != epoch:
            key = stream_key(self._key, "retention of the programming", epoch)
            n_drawn = self.n_cells - self._n_own
            self._epoch_fates = (epoch, CellFates(key, n_drawn, self.retention.limits, self._place_drawn))
        return self._epoch_fates[1]
