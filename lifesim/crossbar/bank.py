"""A bank of cells of one device: its fate drawn once, its state known at any time since its last programming.

Ageing between interventions is exogenous, so a bank is asked, never advanced: :meth:`Bank.faults_at` is a pure function of what the
programmings left (:class:`Programmed`) and of the time, whatever was asked before.

Permanent faults: *endurance* (a cell sticks when its count of programming operations reaches its limit) and *defects* (from fabrication, or lines
that break). Soft faults: see :mod:`lifesim.crossbar.soft`; and *unwritten* cells, on which write-verify gave up: the next programming tries again.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lifesim.crossbar.overlay import DOWN, UP, Written
from lifesim.crossbar.programming import Programmed, among
from lifesim.crossbar.soft import Aged, SoftFates, SoftMechanism, expired_by, key_of
from lifesim.crossbar.verify import WriteVerify
from lifesim.physics.distributions import LifeDistribution, Weibull
from lifesim.physics.fates import CellFates, Failures, Populations
from lifesim.streams import stream_key, uniforms

_UNIT_EXPONENTIAL = Weibull(1.0, 1.0)
_ONE_PULSE = WriteVerify(1.0, 1)
_NO_CELLS = np.empty(0, np.int32)
Number = TypeVar("Number", int, float, np.ndarray)
_NEGLIGIBLE = 1e-15  # probability below which no cell of any fleet is left unwritten


@dataclass(frozen=True, slots=True)
class Wear:
    """Endurance of a bank's cells.

    limits
        In programming operations.
    stuck_at_1_share
        Share of the worn cells that stick at the low-resistance state (LRS), reading 1 or the top level; of those that do not stick between.
    between_share
        Share of the worn cells that stick at an intermediate level, each equally often (cells of two bits).
    cycles_per_operation
        What a programming operation wears, in cycles; above 1 where the pulses of write-verify wear, too.
    cycles_per_reload
        What the programming operation of a reload wears, which switches only the cells that change.
    """

    limits: LifeDistribution
    stuck_at_1_share: float
    between_share: float = 0.0
    cycles_per_operation: float = 1.0
    cycles_per_reload: float = 1.0

    def exposure(self, programmed: Programmed, more_reloads: Number = 0) -> Number:
        """Return the cycles that every cell of the bank has had, after so many operations more that come from reloads (or each of so many)."""
        others, reloads = programmed.operations - programmed.reloads, programmed.reloads + more_reloads
        return others * self.cycles_per_operation + reloads * self.cycles_per_reload


@dataclass(frozen=True, slots=True, eq=False)
class Defect:
    """Cells (int32, ascending) that are stuck at ``levels`` (uint8) from ``time_ns`` on: 0 for fabrication, later for a line that breaks."""

    time_ns: int
    cells: np.ndarray
    levels: np.ndarray


def with_defects(
    cells: np.ndarray, levels: np.ndarray, defects: Iterable[Defect]
) -> tuple[np.ndarray, np.ndarray]:
    """Return stuck cells and their levels with what breaks, in this order: each takes its cells over from what was stuck before."""
    for defect in defects:
        others = ~among(cells, defect.cells)
        cells = np.concatenate([cells[others], defect.cells])
        levels = np.concatenate([levels[others], defect.levels])
    return cells, levels


@dataclass(frozen=True, slots=True, eq=False)
class SoftCells:
    """Cells (int32) that one mechanism has expired, and where they have gone."""

    cells: np.ndarray
    fails_to: int
    one_level: bool


@dataclass(frozen=True, slots=True, eq=False)
class BankFaults:
    """The faulty cells of a bank (int32)."""

    stuck: np.ndarray
    stuck_values: np.ndarray
    soft: tuple[SoftCells, ...]
    unwritten: np.ndarray

    @property
    def expired(self) -> np.ndarray:
        """The cells that have lost their state, by whatever mechanism (a cell may be in it more than once)."""
        return np.concatenate([s.cells for s in self.soft]) if self.soft else _NO_CELLS


class _Aged(NamedTuple):
    """What has failed in a bank at many times: worn out with the bank, or late; left unwritten; expired, by mechanism.

    ``sure`` (bool): at which times nothing else has expired.
    """

    worn: Aged
    late: Aged
    unwritten: np.ndarray
    soft: list[list[Aged]]
    sure: np.ndarray


class FaultsKey(NamedTuple):
    """What tells the faults of a bank apart from those of other times (:meth:`Bank.faults_key`): mostly counts.

    ``worn``: cells that have worn out with the bank; ``late``: the later ones, as bytes of int32. ``in_force``: defects. ``soft``: of each mechanism what
    :meth:`lifesim.crossbar.soft.SoftFates.key` returns.
    """

    worn: int
    late: bytes
    in_force: int
    unwritten: bytes
    patched_ns: tuple[int, ...]
    soft: tuple[Hashable, ...]


def populations_of(soft: Sequence[SoftMechanism]) -> int:
    """Return how many populations the cells of a bank with these mechanisms make: for wear, and two for each mechanism."""
    return 1 + 2 * len(soft)


class Bank:
    """``n_cells`` cells, resident (``reload_period_ns`` None) or reloaded from the backup on a grid of that period.

    A reload is one programming operation of every cell for each of the ``layers`` that pass through the bank, and begins a new epoch.
    Reload number j is at ``j * reload_period_ns`` of the absolute clock, so its number and the time since it follow from the
    time alone, however many there have been.

    Parameters
    ----------
    key : addresses all of the bank's streams
    soft : the soft mechanisms; where two have expired a cell, the later one says where it has gone
    top_level : the level of the low-resistance state
    defects : permanent faults that are not wear, ordered by time
    write : how cells are written; a cell on which it gives up stays in the high-resistance state until the next programming
    populations, first_population : where what has been found out about the cells' fates is kept, under numbers from the first on
        (:func:`populations_of` them)
    """

    __slots__ = (
        "n_cells",
        "wear",
        "soft",
        "reload_period_ns",
        "layers",
        "top_level",
        "defects",
        "_key",
        "_populations",
        "_first_population",
        "_epoch",
        "write",
        "_given_up_in",
    )

    def __init__(
        self,
        key: int,
        n_cells: int,
        wear: Wear,
        soft: Sequence[SoftMechanism] = (),
        reload_period_ns: int | None = None,
        *,
        layers: int = 1,
        top_level: int = 1,
        defects: Sequence[Defect] = (),
        write: WriteVerify = _ONE_PULSE,
        populations: Populations | None = None,
        first_population: int = 0,
    ):
        self.n_cells = n_cells
        self.wear = wear
        self.soft = tuple(soft)
        self.reload_period_ns = reload_period_ns
        self.layers = layers
        self.top_level = top_level
        self.defects = tuple(defects)
        self._key = key
        self._populations = populations or Populations(populations_of(self.soft))
        self._first_population = first_population
        self._epoch = 0  # of the programming whose draws are kept
        self.write = write
        self._given_up_in: tuple[tuple[int, int], np.ndarray] | None = None

    # -- time goes by --

    def at(self, programmed: Programmed, time_ns: int) -> Programmed:
        """Return the last programming at or before ``time_ns``, reloads included, given what the interventions left."""
        if self.reload_period_ns is None:
            return programmed
        reloads = time_ns // self.reload_period_ns - self._last_reload(programmed)
        if reloads <= 0:
            return programmed
        writes = reloads * self.layers
        return Programmed(
            time_ns // self.reload_period_ns * self.reload_period_ns,
            programmed.epoch + reloads,
            programmed.operations + writes,
            programmed.reloads + writes,
            programmed.extra,
        )

    def reloads_since(self, programmed: Programmed, times_ns: Sequence[int]) -> np.ndarray:
        """Return how many reloads there have been since the interventions, by each time (int64), of a bank that has any."""
        return np.maximum(np.asarray(times_ns) // self.reload_period_ns - self._last_reload(programmed), 0)

    def _last_reload(self, programmed: Programmed) -> int:
        """Return the number of the last reload that no longer counts: those after it came since the interventions."""
        return max(programmed.time_ns, programmed.resumed_ns) // self.reload_period_ns

    def resumed(self, programmed: Programmed, halted_ns: int, time_ns: int) -> Programmed:
        """Return the state of a bank that goes on at ``time_ns`` as it was halted at ``halted_ns``, without a programming of the whole."""
        idle = programmed.idle or (0.0,) * len(self.soft)
        passed = (
            mechanism.reading(time_ns) - mechanism.reading(halted_ns) if mechanism.in_use_only else 0.0
            for mechanism in self.soft
        )
        idle = tuple(before + more for before, more in zip(idle, passed, strict=True))
        return replace(programmed, resumed_ns=time_ns, idle=idle)

    # -- what is faulty --

    def faults_at(self, programmed: Programmed, time_ns: int) -> BankFaults:
        """Return the faulty cells at ``time_ns`` (not before ``programmed.time_ns``)."""
        now = self.at(programmed, time_ns)
        stuck, levels = self.stuck_at(now, time_ns)
        soft = tuple(
            SoftCells(fates.expired(time_ns), fates.mechanism.fails_to, fates.mechanism.one_level)
            for fates in self.soft_fates(now)
        )
        return BankFaults(stuck, levels, soft, self.unwritten(now))

    def faults_key(self, programmed: Programmed, time_ns: int) -> FaultsKey:
        """Return what tells the faults of one time apart from those of others, without listing them: equal keys mean equal faults.

        Counts of the cells that have failed, in the order in which they do. Now and then the keys of equal faults differ: after a programming that
        expires the very cells that one before did, or when a cell wears out on a line that is broken.
        """
        now = self.at(programmed, time_ns)
        soft = tuple(fates.key(time_ns) for fates in self.soft_fates(now))
        first, late = self._worn_by(now)
        patched_ns = tuple(patch.time_ns for patch in now.patches)  # there is one at a time
        unwritten = self.unwritten(now).tobytes()
        return FaultsKey(len(first), late.tobytes(), self._in_force(time_ns), unwritten, patched_ns, soft)

    def faults_keys(self, programmed: Programmed, times_ns: Sequence[int]) -> list[FaultsKey]:
        """Return :meth:`faults_key` of each time, sooner."""
        aged = self._aged(programmed, times_ns)
        rewritten = programmed.patches if self.reload_period_ns is None else programmed.extra.goes
        if aged is None or rewritten:
            return [self.faults_key(programmed, time_ns) for time_ns in times_ns]
        late, unwritten = aged.late.cells.tobytes(), aged.unwritten.tobytes()
        soft = [
            [
                key_of(*counts, programmed.epoch)
                for counts in zip(own.counts.tolist(), drawn.counts.tolist(), strict=True)
            ]
            for own, drawn in aged.soft
        ]
        return [
            FaultsKey(worn, late, self._in_force(time_ns), unwritten, (), tuple(of_mechanisms))
            if sure
            else self.faults_key(programmed, time_ns)
            for time_ns, worn, sure, *of_mechanisms in zip(
                times_ns, aged.worn.counts.tolist(), aged.sure.tolist(), *soft, strict=True
            )
        ]

    def ageing(
        self, programmed: Programmed, times_ns: Sequence[int]
    ) -> tuple[list[Written], np.ndarray] | None:
        """Return :meth:`overlay` of many times: parts, and how many cells of each stand there at each time (int64 [times, parts]).

        None where cells have histories of their own, or other cells with each reload: then there are no such parts.
        """
        aged = self._aged(programmed, times_ns)
        if aged is None or not aged.sure.all():
            return None
        parts: list[Written] = []
        counts: list[int | np.ndarray] = []

        def add(cells: np.ndarray, levels: Any, of_times: int | np.ndarray) -> None:
            if len(cells):
                parts.append(Written(cells, levels))
                counts.append(of_times)

        add(aged.unwritten, 0, len(aged.unwritten))
        for mechanism, of_mechanism in zip(self.soft, aged.soft, strict=True):
            for part in of_mechanism:
                add(part.cells, self._expired_level(mechanism), part.counts)
        for part in (aged.worn, aged.late):
            add(part.cells, self.worn_levels, part.counts)
        for defect in self.defects:
            add(defect.cells, defect.levels, len(defect.cells) * (np.asarray(times_ns) >= defect.time_ns))
        table = np.empty((len(times_ns), len(parts)), np.int64)
        for number, of_times in enumerate(counts):
            table[:, number] = of_times
        return parts, table

    def _aged(self, programmed: Programmed, times_ns: Sequence[int]) -> _Aged | None:
        """Return what has failed at many times, where all cells of the bank have the same history; else None."""
        if not times_ns or self._is_half_selected(programmed):
            return None
        fates = self.soft_fates(programmed)
        always = np.ones(len(times_ns), np.int64)
        if self.reload_period_ns is None:
            worn, late = (Aged(cells, len(cells) * always) for cells in self._worn_by(programmed))
            soft = [of_one.aged(times_ns) for of_one in fates]
            return _Aged(worn, late, self.unwritten(programmed), soft, always > 0)
        if self.write.failure_probability >= _NEGLIGIBLE:
            return None
        period_ns, first = self.reload_period_ns, self._last_reload(programmed)
        reloads = self.reloads_since(programmed, times_ns)
        if (programmed.patches or programmed.idle) and not reloads.all():  # which the next reload ends
            return None
        exposures = self.wear.exposure(programmed, reloads * self.layers)
        most = float(exposures.max())
        worn = self.worn(most)
        soft, sure, none = [], always > 0, Aged(_NO_CELLS, 0 * always)
        for of_one in fates:
            own = none
            if not of_one.none_within(period_ns):
                begins_ns = [(first + n) * period_ns if n else programmed.time_ns for n in reloads.tolist()]
                epochs = (programmed.epoch + reloads).tolist()
                own, sure_of_one = of_one.aged_since(times_ns, begins_ns, epochs)
                sure &= sure_of_one
            soft.append([own, none])
        first_worn = Aged(worn.failed_by(most), worn.counts_by(exposures))
        return _Aged(first_worn, self._late(programmed, exposures), _NO_CELLS, soft, sure)

    def _late(self, programmed: Programmed, exposures: np.ndarray) -> Aged:
        """Return the cells that had worn out before the bank did, as they were written more often, by growing exposures; since when does not matter."""
        if not programmed.extra.goes:
            return Aged(_NO_CELLS, np.zeros(len(exposures), np.int64))
        bound = exposures.max() + programmed.extra.bound * self.wear.cycles_per_operation
        failures = self.worn(bound)
        cells, limits = failures.failed_by(bound), failures.limits_by(bound)
        more = programmed.extra.of(cells) * self.wear.cycles_per_operation
        worn = (limits <= exposures[:, None] + more) & (more > 0)
        order = np.argsort(-worn.sum(axis=0), kind="stable")  # who has worn out first has for the longest
        return Aged(cells[order], worn.sum(axis=1))

    def count_faulty(self, programmed: Programmed, time_ns: int, key: FaultsKey) -> tuple[int, int]:
        """Return how many cells are stuck, and how many have expired, at a time that has this key."""
        if key.in_force or key.patched_ns or self._is_half_selected(programmed):
            faults = self.faults_at(programmed, time_ns)
            return len(faults.stuck), len(faults.expired)
        return key.worn + len(key.late) // _NO_CELLS.itemsize, sum(expired_by(of_one) for of_one in key.soft)

    def _is_half_selected(self, programmed: Programmed) -> bool:
        """Return whether it does harm that other cells are written: then cells written together differ."""
        return any(mechanism.half_selects(programmed) is not None for mechanism in self.soft)

    def _in_force(self, time_ns: int) -> int:
        return sum(defect.time_ns <= time_ns for defect in self.defects) if self.defects else 0

    def overlay(self, programmed: Programmed, time_ns: int) -> list[Written]:
        """Return what stands over what was programmed: unwritten cells at HRS, expired ones where they have gone, stuck ones at their level.

        As the bank ages, cells are added at the end of its parts; after a programming they may all be others.
        """
        now = self.at(programmed, time_ns)
        parts = [Written(self.unwritten(now), 0)]
        for fates in self.soft_fates(now):
            mechanism = fates.mechanism
            level = self._expired_level(mechanism)
            parts += [Written(cells, level) for cells in fates.expired_parts(time_ns)]
        first, late = self._worn_by(now)
        parts.append(Written(first, self.worn_levels))
        if len(late):
            parts.append(Written(late, self.worn_levels))
        return parts + [Written(d.cells, d.levels) for d in self.defects if d.time_ns <= time_ns]

    def _expired_level(self, mechanism: SoftMechanism) -> int:
        if mechanism.one_level:
            return UP if mechanism.fails_to else DOWN
        return self.top_level if mechanism.fails_to else 0

    def stuck_at(self, programmed: Programmed, time_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells that are stuck (int32), and their levels (uint8).

        A line that breaks takes its cells over from wear, wear takes none over from fabrication.
        """
        worn = np.concatenate(self._worn_by(programmed))
        so_far = takewhile(lambda defect: defect.time_ns <= time_ns, self.defects)
        return with_defects(worn, self.worn_levels(worn), so_far)

    def worn_levels(self, cells: np.ndarray) -> np.ndarray:
        """Return the level (uint8) at which each of ``cells`` sticks once it is worn: a property of the cell."""
        low_resistance = uniforms(stream_key(self._key, "polarity"), cells) < self.wear.stuck_at_1_share
        levels = np.where(low_resistance, self.top_level, 0)
        if self.wear.between_share:
            u = uniforms(stream_key(self._key, "stuck between"), cells)
            between = 1 + np.floor(u / self.wear.between_share * (self.top_level - 1)).astype(np.int64)
            levels = np.where(u < self.wear.between_share, between, levels)
        return levels.astype(np.uint8)

    def unwritten(self, programmed: Programmed) -> np.ndarray:
        """Return the cells (int32) that their last programming has left unwritten."""
        if self.write.failure_probability < _NEGLIGIBLE:
            return _NO_CELLS
        cells = self._given_up(programmed.epoch)
        for patch in programmed.patches:
            again = patch.written[self._given_up(programmed.epoch, patch.ordinal, len(patch.written))]
            cells = np.concatenate(
                [cells[~among(cells, patch.written)], again[among(again, patch.cells)].astype(np.int32)]
            )
        return cells

    def pulses(self, epoch: int, ordinal: int = 0, cells: int | None = None) -> int:
        """Return how many write pulses a programming takes: of the whole bank, or of ``cells`` single cells (``ordinal`` from 1)."""
        n_cells = self.n_cells if cells is None else cells
        return self.write.draw(self._write_key(epoch, ordinal), n_cells)[0]

    def hit(self, probability: float, *purpose: int | str) -> np.ndarray:
        """Return the cells (int32) that something hits which hits each with ``probability``, independently; drawn by its ``purpose``."""
        if probability < _NEGLIGIBLE:
            return _NO_CELLS
        fates = CellFates(stream_key(self._key, *purpose), self.n_cells, _UNIT_EXPONENTIAL)
        return fates.failed_by(-math.log1p(-probability))

    def soft_fates(self, now: Programmed) -> list[SoftFates]:
        """Return the fates of the cells under each soft mechanism since a programming; ``now``: as of :meth:`at`."""
        own = self._first_population + 1
        drawn = own + len(self.soft)
        if now.epoch != self._epoch:
            self._populations.forget(range(drawn, drawn + len(self.soft)))
            self._epoch = now.epoch
        return [
            SoftFates(self._key, self.n_cells, mechanism, now, i, self._populations, own + i, drawn + i)
            for i, mechanism in enumerate(self.soft)
        ]

    def worn(self, exposure: float) -> Failures:
        """Return failures by wear that reach ``exposure``."""
        return self._populations.failures(self._first_population, exposure, self._make_wear_fates)

    def _make_wear_fates(self, known: Failures) -> CellFates:
        return CellFates(stream_key(self._key, "endurance"), self.n_cells, self.wear.limits, known=known)

    def _worn_by(self, programmed: Programmed) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells (int32) that have worn out with the bank, and the later ones that have, as they were written more often."""
        exposure, extra = self.wear.exposure(programmed), programmed.extra
        first = self.worn(exposure).failed_by(exposure)
        if not extra.goes:
            return first, _NO_CELLS
        bound = exposure + extra.bound * self.wear.cycles_per_operation
        failures = self.worn(bound)
        late, limits = failures.failed_by(bound)[len(first) :], failures.limits_by(bound)[len(first) :]
        return first, late[limits <= exposure + extra.of(late) * self.wear.cycles_per_operation]

    def _given_up(self, epoch: int, ordinal: int = 0, cells: int | None = None) -> np.ndarray:
        """Return which cells a programming leaves unwritten (int32); of a patch: which of its ``cells`` cells, by position."""
        if self._given_up_in is None or self._given_up_in[0] != (epoch, ordinal):
            n_cells = self.n_cells if cells is None else cells
            failed = self.write.draw(self._write_key(epoch, ordinal), n_cells)[1].astype(np.int32)
            self._given_up_in = (epoch, ordinal), failed
        return self._given_up_in[1]

    def _write_key(self, epoch: int, ordinal: int) -> int:
        return stream_key(self._key, "write", epoch, ordinal)
