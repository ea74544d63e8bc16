"""Diagnosis: find the cells that are broken for good, by a March test or by rewriting what differs from the backup.

Either is run here operation by operation on a simulated array. The fleet does not: it takes the cells that a diagnosis is shown (by tests)
to find, and the number of operations that it is shown to need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lifesim.crossbar.cellarray import CellArray
from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap
from lifesim.crossbar.march import MarchTest, Order


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How a device looks for broken cells: with ``test`` (already on the levels that it is to exercise), or without one ``read_only``.

    ``retries``: cells that fail are tried again so many times; one that works once is let off.
    """

    test: MarchTest
    retries: int = 0
    read_only: bool = False

    def run(self, array: CellArray, backup: np.ndarray) -> MarchResult | ReadOnlyResult:
        """Diagnose ``array``, which should hold ``backup`` (levels [cells])."""
        if self.read_only:
            return run_read_only(array, backup, self.retries)
        return run_march(self.test, array, self.retries)


@dataclass(frozen=True, slots=True)
class MarchResult:
    """What a March test found: failing ``cells`` (int64, sorted) and the wrong level that each showed first (uint8), operations done.

    Cells are named by their addresses. ``again``: cells tested again, counted once for each retry; part of ``reads`` and ``writes``.
    """

    cells: np.ndarray
    values: np.ndarray
    reads: int
    writes: int
    again: int = 0


@dataclass(frozen=True, slots=True)
class ReadOnlyResult:
    """What a read-only diagnosis found: ``cells`` (int64, sorted) that differ from the backup for good and the level of each (uint8).

    ``rewritten``: cells (int64, sorted) that differed at first; those not in ``cells`` are cured. ``again``: rewrites, each followed by a read.
    """

    cells: np.ndarray
    values: np.ndarray
    rewritten: np.ndarray
    reads: int
    writes: int
    again: int


def run_march(test: MarchTest, array: CellArray, retries: int = 0) -> MarchResult:
    """Run every operation of ``test`` on ``array``, which is altered; "any" order is ascending.

    Then test the failing cells, and no others, again, ``retries`` times or until none is left; those that fail every time are returned. That
    lets off cells that failed by a write that did not take once. It lets off also a cell that is upset only when another is written: what a test
    promises about coupling and address decoder faults, it promises without retries.
    """
    wrong = _failing(test, array, range(len(array)))
    visits = [len(array)]
    for _ in range(retries):
        visits.append(len(wrong))
        wrong = _failing(test, array, sorted(wrong))
    return MarchResult(
        *_cells_and_values(wrong),
        reads=sum(visits) * test.reads_per_cell,
        writes=sum(visits) * test.writes_per_cell,
        again=sum(visits[1:]),
    )


def false_report_probability(test: MarchTest, write_failure: float) -> float:
    """Return the probability that a March test reports a healthy cell, each write of which fails with probability ``write_failure``.

    A failed write leaves the cell in the high-resistance state (level 0), so that of writes of level 0 does no harm and that of any other shows
    at the next read of the cell, if there is one before its next write: p = 1 - (1 - write_failure)^(such writes). With retries it is
    p^(retries + 1), as the outcome does not depend on what the cell held before.
    """
    operations = [op for element in test.elements for op in element.operations]
    seen = sum(op.is_write and op.level > 0 and not then.is_write for op, then in pairwise(operations))
    return -math.expm1(seen * math.log1p(-write_failure))


def run_read_only(array: CellArray, backup: np.ndarray, retries: int = 0) -> ReadOnlyResult:
    """Read all cells, rewrite those that differ from ``backup`` (levels [cells]), read these again; what still differs is broken for good.

    Those are rewritten and read up to ``retries`` times more. All other cells keep what they hold and are not worn. It finds the stuck
    cells whose level is not the backup's; one that happens to be stuck where it should be stays unknown, and does no harm until the backup changes.
    """
    reads, again = len(array), 0
    wrong = {cell: level for cell in range(len(array)) if (level := array.read(cell)) != backup[cell]}
    rewritten = np.array(sorted(wrong), np.int64)
    for _ in range(1 + retries):
        again += len(wrong)
        for cell in wrong:
            array.write(cell, int(backup[cell]))
        wrong = {cell: level for cell in wrong if (level := array.read(cell)) != backup[cell]}
    return ReadOnlyResult(*_cells_and_values(wrong), rewritten, reads + again, writes=again, again=again)


def fault_map_from(results: Sequence[MarchResult | ReadOnlyResult], encoding: Encoding = SLC) -> FaultMap:
    """Return the fault map of a device whose layers gave these results, one per layer; ``encoding``: how weights lie in its cells.

    A failing cell is mapped as stuck at the wrong level that it showed: all that the device knows. For stuck-at and transition
    faults this is the level that the cell will keep showing.
    """
    cells, values = (tuple(getattr(r, name) for r in results) for name in ("cells", "values"))
    return FaultMap(cells, values, encoding)


def _failing(test: MarchTest, array: CellArray, cells: Sequence[int]) -> dict[int, int]:
    """Run the test on ``cells`` (ascending); return the wrong level that each failing one showed first."""
    wrong: dict[int, int] = {}
    for element in test.elements:
        for cell in reversed(cells) if element.order is Order.DOWN else cells:
            for is_write, level in element.operations:
                if is_write:
                    array.write(cell, level)
                elif (seen := array.read(cell)) != level:
                    wrong.setdefault(cell, seen)
    return wrong


def _cells_and_values(wrong: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    cells = sorted(wrong)
    return np.array(cells, np.int64), np.array([wrong[cell] for cell in cells], np.uint8)
