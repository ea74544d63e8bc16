"""What the programmings of a bank leave behind: everything that its later state depends on, besides time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_NO_CELLS = np.empty(0, np.int64)


def among(cells: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return which of a few ``cells`` are among the many ``of`` (sorted), as bool; faster than np.isin, which sorts or hashes them."""
    if not len(of):
        return np.zeros(len(cells), bool)
    return of[np.minimum(np.searchsorted(of, cells), len(of) - 1)] == cells


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Single cells (int64, sorted) that were written after the last programming of the whole bank, in one go that ended at ``time_ns``.

    ``cells`` are those of them that no later patch has rewritten, ``written`` all. ``ordinal``: the how-manieth such go since then, from 1.
    ``idle``: as of :class:`Programmed`, at that time.
    """

    cells: np.ndarray
    written: np.ndarray
    time_ns: int
    ordinal: int
    idle: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SparseCounts:
    """Programming operations of single cells beyond those of their bank, as a list of goes: cells (int32, sorted), operations of each.

    Kept as they came, so that the states of a device over its life share them; merging them would copy all of them each time.
    """

    goes: tuple[tuple[np.ndarray, int], ...] = ()

    def plus(self, cells: np.ndarray, writes: int) -> SparseCounts:
        """Return the counts after ``writes`` more operations of each of ``cells`` (sorted, distinct)."""
        return SparseCounts((*self.goes, (np.asarray(cells, np.int32), writes)))

    def of(self, cells: np.ndarray) -> np.ndarray:
        """Return the count of each of a few ``cells`` (int64; 0 for cells never written alone)."""
        counts = np.zeros(len(cells), np.int64)
        for written, writes in self.goes:
            counts += writes * among(cells, written)
        return counts

    def merged(self) -> tuple[np.ndarray, np.ndarray]:
        """Return all cells ever written alone (int64, ascending) and the count of each (int64)."""
        if not self.goes:
            return _NO_CELLS, _NO_CELLS
        written = [_NO_CELLS, *(cells for cells, _ in self.goes)]
        cells, place = np.unique(np.concatenate(written), return_inverse=True)
        writes = np.repeat([w for _, w in self.goes], [len(c) for c, _ in self.goes])
        return cells, np.bincount(place, writes, len(cells)).astype(np.int64)

    @property
    def bound(self) -> int:
        """A number that no cell's count exceeds."""
        return sum(writes for _, writes in self.goes)

    @property
    def total(self) -> int:
        return sum(len(cells) * writes for cells, writes in self.goes)


@dataclass(frozen=True, slots=True)
class Programmed:
    """What a bank's programmings left so far.

    time_ns, epoch
        When the last programming of the whole bank ended, and its ordinal; a reload is one, too.
    operations
        Programming operations so far of every cell, reloads included; ``reloads`` of them came from reloads.
    extra
        Operations of single cells beyond these: wear, for life.
    patches
        Single cells rewritten since, each cell valid in at most one.
    resumed_ns
        Reloads before this time did not happen: the device was halted, and went on without reprogramming the whole bank.
    idle
        What each soft mechanism's clock has counted since ``time_ns`` while it did no harm, as the device was not in use.
    """

    time_ns: int
    epoch: int
    operations: int
    reloads: int = 0
    extra: SparseCounts = SparseCounts()
    patches: tuple[Patch, ...] = ()
    resumed_ns: int = 0
    idle: tuple[float, ...] = ()

    def worn(self, writes: int) -> Programmed:
        """Return the state after ``writes`` operations of every cell that leave nothing of use, such as a March test's."""
        return replace(self, operations=self.operations + writes)

    def rewritten(self, time_ns: int, writes: int = 1) -> Programmed:
        """Return the state after a programming of the whole bank with ``writes`` operations that ends at ``time_ns``."""
        return Programmed(time_ns, self.epoch + 1, self.operations + writes, self.reloads, self.extra)

    def patched(self, cells: np.ndarray, time_ns: int, writes: int = 1) -> Programmed:
        """Return the state after a programming of ``cells`` (sorted, distinct) alone that ends at ``time_ns``."""
        if not len(cells):
            return self
        older = [replace(p, cells=np.setdiff1d(p.cells, cells, assume_unique=True)) for p in self.patches]
        cells = np.asarray(cells, np.int64)
        patch = Patch(cells, cells, time_ns, len(self.patches) + 1, self.idle)
        return replace(
            self,
            extra=self.extra.plus(patch.cells, writes),
            patches=(*older, patch),
        )
