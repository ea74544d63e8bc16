"""Soft faults: cells that lose their state until they are rewritten.

A mechanism is one small class behind :class:`SoftMechanism`: retention (the exposure is time at the reference temperature), read disturb (pulses),
write disturb (half-selects, which differ from cell to cell). Some of a mechanism's limits are properties of the cell, the same after every
programming; the others are drawn by each programming.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from lifesim.crossbar.programming import Patch, Programmed, among
from lifesim.crossbar.tiles import HalfSelects, Tiling
from lifesim.physics.distributions import LifeDistribution
from lifesim.physics.fates import (
    CellFates,
    Failures,
    Populations,
    none_can_fail,
    none_fails,
)
from lifesim.physics.permutation import permute
from lifesim.physics.temperature import AgeingClock
from lifesim.streams import stream_key
from lifesim.timeunits import NS_PER_S

_MORE, _MORE_S = 1 + 1e-9, 1e-3  # wide margins for the last bits of readings


class SoftMechanism(Protocol):
    """What expires cells, and how.

    name
        Addresses the mechanism's streams.
    limits
        In units of the exposure.
    cell_share
        Share of the cells that keep their limit for life; the others draw a new one at every programming.
    fails_to
        State to which an expired cell moves: 0 the high-resistance (HRS), 1 the low-resistance one (LRS).
    one_level
        Whether it moves by one level only, or all the way (the same in one-bit cells).
    in_use_only
        Whether exposure grows only while the device is in use.

    One that is harmed by half-selects has ``pulses_per_write`` as well: what each write of another cell adds to the exposure.
    """

    name: str
    limits: LifeDistribution
    cell_share: float
    fails_to: int
    one_level: bool
    in_use_only: bool

    def reading(self, time_ns: int) -> float:
        """Return what the clock of exposure shows at a time; the exposure of cells written together is a difference of readings."""

    def readings(self, times_ns: Sequence[int]) -> np.ndarray:
        """Return :meth:`reading` of many times (float64)."""

    def most_within(self, duration_ns: int) -> float:
        """Return a number that the exposure grows by less than in any time of this length; infinity where that is not known."""

    def half_selects(self, now: Programmed) -> HalfSelects | None:
        """Return how often the writing of other cells has half-selected each; None where that does no harm."""


class _HarmedByItselfAlone:
    """Of the mechanisms for which it makes no difference that other cells are written."""

    __slots__ = ()

    def most_within(self, duration_ns: int) -> float:
        return math.inf

    def half_selects(self, now: Programmed) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Retention(_HarmedByItselfAlone):
    """Loss of state by time: limits in seconds at the reference temperature of ``clock``."""

    limits: LifeDistribution
    cell_share: float
    fails_to: int
    clock: AgeingClock
    one_level: bool = False
    name: str = "retention"
    in_use_only: bool = False

    def reading(self, time_ns: int) -> float:
        return self.clock.at(time_ns / NS_PER_S)

    def readings(self, times_ns: Sequence[int]) -> np.ndarray:
        if isinstance(times_ns, np.ndarray):
            return self.clock.at_many(times_ns / NS_PER_S)
        return self.clock.at_many(np.array([time_ns / NS_PER_S for time_ns in times_ns]))

    def most_within(self, duration_ns: int) -> float:
        return self.clock.highest_rate * (duration_ns / NS_PER_S) * _MORE + _MORE_S


@dataclass(frozen=True, slots=True)
class ReadDisturb(_HarmedByItselfAlone):
    """Loss of state by read pulses; ``pulses(time_ns)`` counts those that a cell of the bank has had since the start."""

    limits: LifeDistribution
    cell_share: float
    fails_to: int
    pulses: Callable[[int], float]
    one_level: bool = False
    name: str = "read disturb"
    in_use_only: bool = True

    def reading(self, time_ns: int) -> float:
        return self.pulses(time_ns)

    def readings(self, times_ns: Sequence[int]) -> np.ndarray:
        return np.array([self.pulses(time_ns) for time_ns in times_ns])


@dataclass(frozen=True, slots=True)
class WriteDisturb:
    """Loss of state by half-selects on a passive crossbar: limits in write pulses to cells on the same lines.

    ``pulses_per_write``: mean pulses of one write of a cell; its neighbours see each of them.
    """

    limits: LifeDistribution
    cell_share: float
    fails_to: int
    tiling: Tiling
    pulses_per_write: float
    one_level: bool = False
    name: str = "write disturb"
    in_use_only: bool = False

    def reading(self, time_ns: int) -> float:
        return 0.0

    def readings(self, times_ns: Sequence[int]) -> np.ndarray:
        return np.zeros(len(times_ns))

    def most_within(self, duration_ns: int) -> float:
        return math.inf

    def half_selects(self, now: Programmed) -> HalfSelects:
        return HalfSelects(self.tiling, [patch.written for patch in now.patches])


Reading = TypeVar("Reading", float, np.ndarray)


class Aged(NamedTuple):
    """Cells (int32) in the order in which they fail, and how many of them have by each of some times (int64)."""

    cells: np.ndarray
    counts: np.ndarray


class SoftFates:
    """The fates of the cells of a bank under one mechanism since it was programmed; made whenever asked, and kept by nobody.

    Parameters
    ----------
    key, n_cells : of the bank
    now : what its programmings have left, reloads included
    position : of the mechanism in ``now.idle``
    populations, own, drawn : what is kept, and the numbers in it of the cells with limits of their own and of the others
    """

    __slots__ = ("mechanism", "_key", "_n_cells", "_now", "_position", "_populations", "_own", "_drawn")

    def __init__(
        self,
        key: int,
        n_cells: int,
        mechanism: SoftMechanism,
        now: Programmed,
        position: int,
        populations: Populations,
        own: int,
        drawn: int,
    ):
        self.mechanism = mechanism
        self._key = key
        self._n_cells = n_cells
        self._now = now
        self._position = position
        self._populations = populations
        self._own = own
        self._drawn = drawn

    def expired(self, time_ns: int) -> np.ndarray:
        """Return the cells that have lost their state (int32)."""
        now, reading = self._now, self._reading(time_ns)
        cells = self._failed(0, reading - self.mechanism.reading(now.time_ns))
        for patch in now.patches:
            cells = cells[~among(cells, patch.cells)]
        parts = [cells]
        for patch in now.patches:
            failed = self._failed(patch.ordinal, self._exposure_of(patch, reading))
            parts.append(failed[among(failed, patch.cells)])
        return np.concatenate(parts)

    def expired_parts(self, time_ns: int) -> list[np.ndarray]:
        """Return the cells of :meth:`expired`, each of them once, in parts that only grow until the next programming."""
        if self._now.patches or self.mechanism.half_selects(self._now) is not None:
            return [np.unique(self.expired(time_ns))]
        exposure = self._reading(time_ns) - self.mechanism.reading(self._now.time_ns)
        return [self.own(exposure).failed_by(exposure), self.drawn(0, exposure).failed_by(exposure)]

    def key(self, time_ns: int) -> Hashable:
        """Return what tells :meth:`expired` apart from that of other times and programmings, by counting."""
        now, reading = self._now, self._reading(time_ns)
        key = self._key_of(0, reading - self.mechanism.reading(now.time_ns))
        if not now.patches:
            return key
        return (
            key,
            *[self._key_of(patch.ordinal, self._exposure_of(patch, reading)) for patch in now.patches],
        )

    def aged(self, times_ns: Sequence[int]) -> list[Aged]:
        """Return the expired cells with a limit of their own, and those whose limit the programming has drawn, at many times.

        First of the cells that the programming of the whole bank has left, then of those of each patch. For where nothing but time matters.
        """
        now = self._now
        begin = self.mechanism.reading(now.time_ns)
        patched = [patch.cells for patch in now.patches]

        def outside(cells: np.ndarray) -> np.ndarray:
            return ~functools.reduce(np.logical_or, [among(cells, of) for of in patched])

        found = self._aged(0, times_ns, lambda reading: reading - begin, outside if patched else None)
        for patch in now.patches:
            exposure = functools.partial(self._exposure_of, patch)
            found += self._aged(patch.ordinal, times_ns, exposure, functools.partial(among, of=patch.cells))
        return found

    @property
    def keys(self) -> tuple[int, int]:
        """The streams of the cells with a limit of their own, and of those whose limit the programming of the whole bank has drawn."""
        return self._own_key, self._drawn_key(self._now.epoch)

    def _aged(
        self,
        ordinal: int,
        times_ns: Sequence[int],
        exposure_at: Callable[[Reading], Reading],
        which: Callable[[np.ndarray], np.ndarray] | None,
    ) -> list[Aged]:
        """Return both kinds of expired cells of a programming, or those of them (``which``, a mask) that it has left."""
        first, last = (exposure_at(self._reading(time_ns)) for time_ns in (min(times_ns), max(times_ns)))
        found, exposures = [], None
        for failures in (self.own(last), self.drawn(ordinal, last)):
            most = failures.count_by(last)
            counts = np.full(len(times_ns), most)
            if failures.count_by(first) != most:  # cells only age: else it is the same all the time
                if exposures is None:
                    exposures = exposure_at(self._without_idle(self.mechanism.readings(times_ns)))
                counts = failures.counts_by(exposures)
            cells = failures.first(most)
            if which is not None:
                there = which(cells)
                cells, counts = cells[there], np.concatenate([[0], np.cumsum(there)])[counts]
            found.append(Aged(cells, counts))
        return found

    def none_within(self, duration_ns: int) -> bool:
        """Return whether it is certain that no cell expires so soon after whatever programming of all cells."""
        exposure = self.mechanism.most_within(duration_ns)
        if exposure == math.inf or self.own(exposure).count_by(exposure):
            return False
        return none_can_fail(self._n_cells - self._n_own, float(self.mechanism.limits.hazard(exposure)))

    def aged_since(
        self, times_ns: Sequence[int], begins_ns: Sequence[int], epochs: Sequence[int]
    ) -> tuple[Aged, np.ndarray]:
        """Return the expired cells with a limit of their own at many times, each since a programming of all cells of its own.

        And at which it is sure (bool) that no other cell has expired, as the programming has drawn no limit so short.
        """
        readings = self.mechanism.readings([*times_ns, *begins_ns])
        exposures = readings[: len(times_ns)] - readings[len(times_ns) :]
        longest = exposures.max()
        failures = self.own(longest)
        hazard = float(self.mechanism.limits.hazard(longest))
        n_drawn = self._n_cells - self._n_own
        sure = np.full(len(epochs), none_can_fail(n_drawn, hazard))
        if not sure.all():
            sure[:] = none_fails([self._drawn_key(epoch) for epoch in epochs], n_drawn, hazard)
        return Aged(failures.failed_by(longest), failures.counts_by(exposures)), sure

    def own(self, exposure: float) -> Failures:
        """Return failures that reach ``exposure`` of the cells with a limit of their own."""
        return self._populations.failures(self._own, exposure, self._make_own)

    def drawn(self, ordinal: int, exposure: float) -> Failures:
        """Return those of the cells whose limits the programming has drawn; of single cells written since, for ``ordinal`` from 1."""
        make = functools.partial(self._make_drawn, ordinal)
        return self._populations.failures(self._drawn, exposure, make, ordinal)

    def _reading(self, time_ns: int) -> float:
        return self._without_idle(self.mechanism.reading(time_ns))

    def _without_idle(self, reading: Reading) -> Reading:
        return reading - self._now.idle[self._position] if self._now.idle else reading

    def _exposure_of(self, patch: Patch, reading: Reading) -> Reading:
        reading = reading + (patch.idle[self._position] if patch.idle else 0.0)
        return reading - self.mechanism.reading(patch.time_ns)

    def _key_of(self, ordinal: int, exposure: float) -> Hashable:
        half_selects = self.mechanism.half_selects(self._now)
        if half_selects is None:
            own = self.own(exposure).count_by(exposure)
            drawn = self.drawn(ordinal, exposure).count_by(exposure)
        else:
            bound = exposure + half_selects.most() * self.mechanism.pulses_per_write
            # Which of those below the bound have expired, the exposure decides.
            own = (exposure,) if self.own(bound).count_by(bound) else 0
            drawn = (exposure,) if self.drawn(ordinal, bound).count_by(bound) else 0
        return key_of(own, drawn, self._now.epoch)

    def _failed(self, ordinal: int, exposure: float) -> np.ndarray:
        half_selects = self.mechanism.half_selects(self._now)
        bound = exposure
        if half_selects is not None:
            pulses = self.mechanism.pulses_per_write
            bound += half_selects.most() * pulses
        parts = []
        for failures in (self.own(bound), self.drawn(ordinal, bound)):
            cells = failures.failed_by(bound)
            if half_selects is not None and len(cells):
                cells = cells[failures.limits_by(bound) <= exposure + half_selects.of(cells) * pulses]
            parts.append(cells)
        return np.concatenate(parts)

    @property
    def _n_own(self) -> int:
        return round(self.mechanism.cell_share * self._n_cells)

    def _make_own(self, known: Failures) -> CellFates:
        return CellFates(self._own_key, self._n_own, self.mechanism.limits, self._place_own, known)

    def _make_drawn(self, ordinal: int, known: Failures) -> CellFates:
        key = self._drawn_key(self._now.epoch, *((ordinal,) if ordinal else ()))
        n_drawn = self._n_cells - self._n_own
        return CellFates(key, n_drawn, self.mechanism.limits, self._place_drawn, known)

    @property
    def _own_key(self) -> int:
        return stream_key(self._key, f"{self.mechanism.name} of the cell")

    def _drawn_key(self, *programming: int) -> int:
        return stream_key(self._key, f"{self.mechanism.name} of the programming", *programming)

    def _place_own(self, indices: np.ndarray) -> np.ndarray:
        key = stream_key(self._key, f"{self.mechanism.name} population")
        return permute(key, self._n_cells, indices)

    def _place_drawn(self, indices: np.ndarray) -> np.ndarray:
        return self._place_own(indices + self._n_own)


def key_of(own: Hashable, drawn: Hashable, epoch: int) -> Hashable:
    """Return a key of how many cells with a limit of their own have expired, and of those whose limit the programming has drawn."""
    return (own, drawn, epoch) if drawn else own


def expired_by(key: Hashable) -> int:
    """Return how many cells have expired by a key, where all were written together and nothing but time matters."""
    return sum(key[:2]) if isinstance(key, tuple) else key
