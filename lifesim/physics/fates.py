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

from lifesim.physics.distributions import LifeDistribution, Weibull
from lifesim.physics.permutation import permute
from lifesim.streams import first_uniform, stream_key, uniforms

_FIRST_BLOCK = 4
_GROWTH = 16  # a block adds a sixteenth: few cells are known before they fail, each for 12 bytes
_CLOSE = 1 - 1e-9  # a wide margin for what may differ in the last bits

_NO_LIMITS = array("d")
_NO_CELLS = array("i")


class CellFates:
    """The limits of ``n`` cells, enumerated lazily from the smallest up.

    Parameters: ``key`` names the stream; ``n`` the number of cells; ``distribution`` their limits; ``place`` maps ``range(n)`` to
    cell indices where the population is only a part of a bank (default: the indices themselves).
    """

    __slots__ = ("n", "distribution", "_place", "_key", "_hazard", "_limits", "_cells")

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
        self._hazard = 0.0  # cumulative hazard of the last limit enumerated
        # Plain arrays: a search takes a fraction of the time that numpy takes, and no header is kept beside them.
        self._limits = _NO_LIMITS
        self._cells = _NO_CELLS

    def failed_by(self, exposure: float) -> np.ndarray:
        """Return the cells whose limit is at most ``exposure``, in the order in which they fail (int32)."""
        return self.first(self.count_by(exposure))

    def first(self, count: int) -> np.ndarray:
        """Return the first ``count`` cells to fail, of those that :meth:`count_by` has counted (int32)."""
        return np.frombuffer(self._cells, np.int32, count) if count else np.empty(0, np.int32)

    def count_by(self, exposure: float) -> int:
        """Return how many cells have a limit of at most ``exposure``."""
        limits = self._limits
        while len(limits) < self.n and (not limits or limits[-1] <= exposure):
            limits = self._enumerate_more()
        return bisect_right(limits, exposure)

    def limit_of_rank(self, rank: int) -> float:
        """Return the limit of the cell that fails as number ``rank`` (from 0); infinity beyond the last cell."""
        while len(self._limits) <= rank and len(self._limits) < self.n:
            self._enumerate_more()
        return self._limits[rank] if rank < self.n else math.inf

    def limits_by(self, exposure: float) -> np.ndarray:
        """Return the limits of the cells of :meth:`failed_by`, ascending: for cells whose exposures differ, up to the largest of them."""
        count = self.count_by(exposure)
        return np.frombuffer(self._limits, np.float64, count) if count else np.empty(0)

    @property
    def safe_exposure(self) -> float:
        """An exposure below which no cell fails, close to the smallest limit: known without enumerating any."""
        if not self.n:
            return math.inf
        first = -math.log(first_uniform(stream_key(self._key, "spacing"))) / self.n
        return _CLOSE * self.distribution.limit_at(first)

    def _enumerate_more(self) -> array[float]:
        done = len(self._limits)
        ranks = np.arange(done, min(self.n, done + max(_FIRST_BLOCK, done // _GROWTH)))
        spacings = -np.log(uniforms(stream_key(self._key, "spacing"), ranks)) / (self.n - ranks)
        # The running sum starts from the last value and adds one spacing after the other, so block sizes cannot show.
        spacings[0] += self._hazard
        hazards = np.cumsum(spacings)
        self._hazard = float(hazards[-1])
        cells = permute(stream_key(self._key, "cell"), self.n, ranks)
        placed = self._place(cells) if self._place else cells
        # New arrays, as large as they must be: views of the old ones may be about.
        self._cells = self._cells + array("i", placed.astype(np.int32).tobytes())
        self._limits = self._limits + array("d", self.distribution.limit(hazards).tobytes())
        return self._limits


_NO_FATES = CellFates(0, 0, Weibull(1.0, 1.0))


class Populations:
    """The fates of several populations of cells, by number, most of which never see a failure: until then, each is one double."""

    __slots__ = ("_safe", "_seen")

    def __init__(self, numbers: int):
        self._safe = array("d", bytes(8 * numbers))  # exposures; 0 for what nobody has asked about
        self._seen: dict[tuple[int, int], CellFates] | None = None

    def fates(self, number: int, exposure: float, make: Callable[[], CellFates], part: int = 0) -> CellFates:
        """Return fates that tell what fails up to ``exposure``: of population ``number``, as ``make`` makes them, or of none where nothing does.

        ``part``: 0 for the whole population; there may be other parts.
        """
        if not part and exposure < self._safe[number]:
            return _NO_FATES
        fates = self._seen.get((number, part)) if self._seen else None
        if fates is None:
            fates = make()
            if not part:
                self._safe[number] = fates.safe_exposure
                if exposure < self._safe[number]:
                    return _NO_FATES
            if self._seen is None:
                self._seen = {}
            self._seen[number, part] = fates
        return fates

    def forget(self, numbers: range) -> None:
        """From now on these numbers are of other populations."""
        for number in numbers:
            self._safe[number] = 0.0
        if self._seen:
            self._seen = {of: fates for of, fates in self._seen.items() if of[0] not in numbers} or None
