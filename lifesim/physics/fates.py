"""The fates of a population of cells: which cell fails at which exposure, drawn once, asked in any order.

For n cells with independent limits, the k-th smallest unit-exponential number is ``sum(e_j / (n - j) for j < k)`` with independent
unit exponentials e_j (Renyi 1953), and which cell it belongs to is a uniform permutation. Both come from keyed streams, so a
population stores nothing but what has been asked for, and looking more or less often changes nothing.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from lifesim.physics.distributions import LifeDistribution
from lifesim.physics.permutation import permute
from lifesim.streams import first_uniform, stream_key, uniforms

_FIRST_BLOCK = 16
_GROWTH = 16  # a block adds a sixteenth: few cells are known before they fail, each for 12 bytes
_CLOSE = 0.999  # a hazard so much below the first limit's has no cell failed, whatever the last bits are

_NO_LIMITS = array("d")
_NO_CELLS = np.empty(0, np.int32)


class CellFates:
    """The limits of ``n`` cells, enumerated lazily from the smallest up.

    Parameters: ``key`` names the stream; ``n`` the number of cells; ``distribution`` their limits; ``place`` maps ``range(n)`` to
    cell indices where the population is only a part of a bank (default: the indices themselves).
    """

    __slots__ = ("n", "distribution", "_place", "_key", "_first_hazard", "_hazard", "_limits", "_cells")

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
        self._key = key
        self._first_hazard: float | None = None  # cumulative hazard of the smallest limit, to the last bits
        self._hazard = 0.0  # of the last limit enumerated
        # Limits as a plain array of doubles, out of which a search takes a fraction of the time that numpy takes.
        self._limits = _NO_LIMITS
        self._cells = _NO_CELLS

    def failed_by(self, exposure: float) -> np.ndarray:
        """Return the cells whose limit is at most ``exposure``, in the order in which they fail (int32)."""
        count = self.count_by(exposure)  # may enumerate, so it comes before the array that it replaces
        return self._cells[:count]

    def first(self, count: int) -> np.ndarray:
        """Return the first ``count`` cells to fail, of those that :meth:`count_by` has counted (int32)."""
        return self._cells[:count]

    def count_by(self, exposure: float) -> int:
        """Return how many cells have a limit of at most ``exposure``."""
        if not self._limits and self._none_by(exposure):
            return 0
        while len(self._limits) < self.n and (not self._limits or self._limits[-1] <= exposure):
            self._enumerate_more()
        return bisect_right(self._limits, exposure)

    def limit_of_rank(self, rank: int) -> float:
        """Return the limit of the cell that fails as number ``rank`` (from 0); infinity beyond the last cell."""
        while len(self._limits) <= rank and len(self._limits) < self.n:
            self._enumerate_more()
        return self._limits[rank] if rank < self.n else math.inf

    def limits_by(self, exposure: float) -> np.ndarray:
        """Return the limits of the cells of :meth:`failed_by`, ascending: for cells whose exposures differ, up to the largest of them."""
        count = self.count_by(exposure)
        return np.frombuffer(self._limits, count=count) if count else np.empty(0)

    def _none_by(self, exposure: float) -> bool:
        """Whether it takes no enumeration to say that no cell has failed: most epochs between reloads end before their first failure."""
        if not self.n:
            return True
        if self._first_hazard is None:
            self._first_hazard = -math.log(first_uniform(stream_key(self._key, "spacing"))) / self.n
        # A wide margin leaves what is close, and may differ in the last bit, to the enumeration.
        return self.distribution.hazard_at(exposure) < _CLOSE * self._first_hazard

    def _enumerate_more(self) -> None:
        done = len(self._limits)
        ranks = np.arange(done, min(self.n, done + max(_FIRST_BLOCK, done // _GROWTH)))
        spacings = -np.log(uniforms(stream_key(self._key, "spacing"), ranks)) / (self.n - ranks)
        # The running sum starts from the last value and adds one spacing after the other, so block sizes cannot show.
        spacings[0] += self._hazard
        hazards = np.cumsum(spacings)
        self._hazard = float(hazards[-1])
        # New arrays, as large as they must be: views of the old ones may be about.
        self._limits = self._limits + array("d", self.distribution.limit(hazards).tobytes())
        cells = permute(stream_key(self._key, "cell"), self.n, ranks)
        self._cells = np.concatenate(
            [self._cells, (self._place(cells) if self._place else cells).astype(np.int32)]
        )
