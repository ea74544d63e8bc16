"""Sums of cells, watched: all rows of a crossbar are driven at once, and what flows is compared with what should.

A column's current is the sum of its cells' levels, which is what algorithm-based fault detection compares with a checksum (X-ABFT: Liu, Xia, Wang,
Chakrabarty, Algorithmic fault detection for RRAM-based matrix operations, ACM TODAES 25, 2020). A crossbar's power is the sum of all of them (Liu,
Chakrabarty, Online fault detection in ReRAM-based computing systems by monitoring dynamic power consumption, ITC 2020). Faults that cancel do not show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import differing_cells
from lifesim.crossbar.tiles import Tiling

Sums = Literal["column", "crossbar"]
Deviations = tuple[np.ndarray, ...]
"""By how many levels each sum of each layer differs from what it should be (float64)."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """Which sums are watched, the standard deviation of the normal noise of each reading of one, and how far it may be off; both in levels."""

    sums: Sums
    noise_levels: float
    tolerance_levels: float

    def deviations(
        self, codes: Sequence[np.ndarray], held: Sequence[np.ndarray], encoding: Encoding
    ) -> Deviations:
        """Return by how much the sums of ``held`` exceed those of ``codes`` (int16 [fan_in, fan_out] per layer)."""
        found = []
        for wanted, now, cells in zip(codes, held, differing_cells(codes, held, encoding), strict=True):
            tiling = Tiling(wanted.shape[0], wanted.shape[1] * encoding.cells_per_weight)
            column = self.sums == "column"
            of, number = (
                (tiling.bit_line_of(cells), tiling.bit_lines)
                if column
                else (tiling.place(cells)[0], tiling.tiles)
            )
            gained = encoding.levels_of(now, cells).astype(np.int64) - encoding.levels_of(wanted, cells)
            found.append(np.bincount(of, gained, number))
        return tuple(found)

    def trips(self, deviations: Deviations) -> bool:
        """Return whether a reading without noise would be out of tolerance."""
        return any(bool((np.abs(off) > self.tolerance_levels).any()) for off in deviations)

    def trip_probability(self, deviations: Deviations) -> float:
        """Return the probability that at least one sum is read out of tolerance, their noise being independent."""
        if not self.noise_levels:
            return float(self.trips(deviations))
        moved = np.concatenate([off[off != 0.0] for off in deviations])
        unmoved = sum(map(len, deviations)) - len(moved)
        passing = self._log_passing(moved).sum() + unmoved * self._log_passing(np.zeros(1))[0]
        return -math.expm1(passing)

    def _log_passing(self, off: np.ndarray) -> np.ndarray:
        """Return the logarithm of the probability that each sum is read within tolerance."""
        above, below = off - self.tolerance_levels, -off - self.tolerance_levels
        out = special.ndtr(above / self.noise_levels) + special.ndtr(below / self.noise_levels)
        with np.errstate(divide="ignore"):
            return np.log1p(-np.minimum(out, 1.0))
