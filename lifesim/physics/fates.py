"""The fates of a population of cells: which cell fails at which exposure, drawn once, asked in any order.

For n cells with independent limits, the k-th smallest unit-exponential number is ``sum(e_j / (n - j) for j < k)`` with independent
unit exponentials e_j (Renyi 1953), and which cell it belongs to is a uniform permutation. Both come from keyed streams, so a
population stores nothing but what has been asked for, and looking more or less often changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lifesim.physics.distributions import LifeDistribution
from lifesim.physics.permutation import permute
from lifesim.streams import first_uniform, stream_key, uniforms

_FIRST_BLOCK = 16


class CellFates:
    """The limits of ``n`` cells, enumerated lazily from the smallest up.

    Parameters: ``key`` names the stream; ``n`` the number of cells; ``distribution`` their limits; ``place`` maps ``range(n)`` to
    cell indices where the population is only a part of a bank (default: the indices themselves).
    """

    __slots__ = ("n", "distribution", "_place", "_spacing_key", "_cell_key", "_hazard", "_limits", "_cells")

    def __init__(
        self,
        key: int,
        n: int,
        distribution: LifeDistribution,
        place: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self.n = n
        self.distribution = distribution
        self._place = place
        self._spacing_key = stream_key(key, "spacing")
        self._cell_key = stream_key(key, "cell")
        self._hazard = 0.0  # cumulative hazard of the last limit enumerated
        self._limits = np.empty(0)
        self._cells = np.empty(0, np.int32)

    def failed_by(self, exposure: float) -> np.ndarray:
        """Return the cells whose limit is at most ``exposure``, in the order in which they fail (int32)."""
        count = self.count_by(exposure)  # may enumerate, so it comes before the array that it replaces
        return self._cells[:count]

    def count_by(self, exposure: float) -> int:
        """Return how many cells have a limit of at most ``exposure``."""
        if self._none_by(exposure):
            return 0
        while len(self._limits) < self.n and (not len(self._limits) or self._limits[-1] <= exposure):
            self._enumerate_more()
        return int(np.searchsorted(self._limits, exposure, side="right"))

    def limit_of_rank(self, rank: int) -> float:
        """Return the limit of the cell that fails as number ``rank`` (from 0); infinity beyond the last cell."""
        while len(self._limits) <= rank and len(self._limits) < self.n:
            self._enumerate_more()
        return float(self._limits[rank]) if rank < self.n else float("inf")

    def limits_by(self, exposure: float) -> np.ndarray:
        """Return the limits of the cells of :meth:`failed_by`, ascending: for cells whose exposures differ, up to the largest of them."""
        count = self.count_by(exposure)
        return self._limits[:count]

    def _none_by(self, exposure: float) -> bool:
        """Whether it takes no enumeration to say that no cell has failed: most epochs between reloads end before their first failure."""
        if len(self._limits) or not self.n:
            return False
        first = -math.log(first_uniform(self._spacing_key)) / self.n
        # A wide margin leaves what is close, and may differ in the last bit, to the enumeration.
        return float(self.distribution.hazard(exposure)) < 0.999 * first

    def _enumerate_more(self) -> None:
        done = len(self._limits)
        ranks = np.arange(done, min(self.n, max(_FIRST_BLOCK, 2 * done)))
        spacings = -np.log(uniforms(self._spacing_key, ranks)) / (self.n - ranks)
        # The running sum starts from the last value and adds one spacing after the other, so block sizes cannot show.
        spacings[0] += self._hazard
        hazards = np.cumsum(spacings)
        self._hazard = float(hazards[-1])
        self._limits = np.concatenate([self._limits, self.distribution.limit(hazards)])
        cells = permute(self._cell_key, self.n, ranks)
        self._cells = np.concatenate(
            [self._cells, (self._place(cells) if self._place else cells).astype(np.int32)]
        )
