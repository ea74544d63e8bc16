"""The fates of a population of cells: which cell fails at which exposure, drawn once, asked in any order.

For n cells with independent limits, the k-th smallest unit-exponential number is ``sum(e_j / (n - j) for j < k)`` with independent
unit exponentials e_j (Renyi 1953), and which cell it belongs to is a uniform permutation. Both come from keyed streams, so a
population stores nothing but what has been asked for, and looking more or less often changes nothing.
"""

from __future__ import annotations

import math
import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence

import numba
import numpy as np

from lifesim.physics.distributions import LifeDistribution
from lifesim.physics.permutation import permute
from lifesim.streams import first_uniform, halves, hash_at, stream_key, uniform_of, uniforms

# Compiled in: 58d5062d

_LEAST_BLOCK = 4
_CLOSE = 1 - 1e-9  # a wide margin for what may differ in the last bits
# Limits are rounded to single precision (6e-8): wide margins for that, in exposures, and in hazards, which may rise steeply with them.
_ROUNDED_EXPOSURE, _ROUNDED_HAZARD = 1 - 1e-6, 1 + 1e-3
_LEAST_SPACING = 2.0**-53  # uniform numbers end at 1 - 2^-53


class Failures:
    """The first cells of a population to fail, as far as they are known: limits, ascending, and cells.

    All of it is one string of bytes, eight for each cell and eight that say where the enumeration stands, as there may be many populations in which
    little fails. Limits are rounded to single precision as they are drawn, before anything is compared with them.
    """

    __slots__ = ("packed",)

    def __init__(self, packed: bytes):
        self.packed = packed

    @classmethod
    def of(cls, hazard: float, limits: bytes, cells: bytes) -> Failures:
        """Return the failures with these limits (float32) and cells (int32), the last of which has a cumulative ``hazard``; inf: there are no more."""
        return cls(_DOUBLE.pack(hazard) + limits + cells)

    def __len__(self) -> int:
        return (len(self.packed) - 8) // 8

    @property
    def hazard(self) -> float:
        return _DOUBLE.unpack_from(self.packed)[0]

    def reach(self, exposure: float) -> bool:
        """Return whether all that fails by ``exposure`` is known."""
        known = len(self)
        if not known:
            return self.hazard == math.inf
        return exposure < _SINGLE.unpack_from(self.packed, 4 + 4 * known)[0] or self.hazard == math.inf

    def count_by(self, exposure: float) -> int:
        """Return how many cells have a limit of at most ``exposure``, which is reached."""
        known = len(self)
        return bisect_right(memoryview(self.packed)[8 : 8 + 4 * known].cast("f"), exposure) if known else 0

    def counts_by(self, exposures: np.ndarray) -> np.ndarray:
        """Return :meth:`count_by` of many exposures, all of which are reached (int64)."""
        return np.searchsorted(self.limits(len(self)), exposures, side="right")

    def failed_by(self, exposure: float) -> np.ndarray:
        """Return the cells whose limit is at most ``exposure``, in the order in which they fail (int32)."""
        return self.first(self.count_by(exposure))

    def first(self, count: int) -> np.ndarray:
        """Return the first ``count`` cells to fail (int32)."""
        return np.frombuffer(self.packed, np.int32, count, 8 + 4 * len(self)) if count else _NO_CELLS

    def limits_by(self, exposure: float) -> np.ndarray:
        """Return the limits of the cells of :meth:`failed_by`, ascending: for cells whose exposures differ, up to the largest of them."""
        return self.limits(self.count_by(exposure))

    def limits(self, count: int) -> np.ndarray:
        """Return the limits of the first ``count`` cells to fail, ascending (float64: what they are compared with is not to be rounded)."""
        return np.frombuffer(self.packed, np.float32, count, 8).astype(np.float64)

    def followed_by(self, hazard: float, limits: np.ndarray, cells: np.ndarray) -> Failures:
        """Return these failures and some more, up to a cumulative ``hazard``: their limits (float32) and cells."""
        split = 8 + 4 * len(self)
        return Failures.of(
            hazard,
            self.packed[8:split] + limits.tobytes(),
            self.packed[split:] + cells.astype(np.int32).tobytes(),
        )


def none_can_fail(n: int, hazard: float) -> bool:
    """Return whether a cumulative hazard of the distribution is below the least spacing that a stream can draw for ``n`` cells."""
    return hazard * n < _LEAST_SPACING / 2


def none_fails(keys: Sequence[int], n: int, hazard: float) -> list[bool]:
    """Return of which populations of ``n`` cells, of these streams, it is certain that none has failed by a cumulative hazard of the distribution."""
    # The first spacing, of which one in the size of the last bits is not certain.
    bound = math.exp(-hazard * _ROUNDED_HAZARD * n) * _CLOSE
    return [first_uniform(_spacing_key(key)) < bound for key in keys]


def counts_by_hazard(key: int, n: int, hazards: np.ndarray) -> np.ndarray:
    """Return how many of ``n`` cells of a stream have failed by each cumulative hazard of their distribution (ascending): int64.

    The counts of :class:`CellFates`, but for hazards as near to a cell's as its limit is rounded; without asking which cells these are, and without
    keeping anything.
    """
    counts = np.empty(len(hazards), np.int64)
    if len(hazards):
        _count(*halves(_spacing_key(key)), n, np.ascontiguousarray(hazards, np.float64), counts)
    return counts


@numba.njit(nogil=True, cache=True)
def _count(low: np.uint64, high: np.uint64, n: int, hazards: np.ndarray, counts: np.ndarray) -> None:
    failed, sum_of = 0, 0.0
    if n:
        sum_of = -math.log(uniform_of(hash_at(low, high, np.uint64(0)))) / n
    for i in range(len(hazards)):
        while failed < n and sum_of <= hazards[i]:
            failed += 1
            if failed < n:
                sum_of -= math.log(uniform_of(hash_at(low, high, np.uint64(failed)))) / (n - failed)
        counts[i] = failed


def _spacing_key(key: int) -> int:
    return stream_key(key, "spacing")


_DOUBLE, _SINGLE = struct.Struct("d"), struct.Struct("f")
_NO_CELLS = np.empty(0, np.int32)
_NONE_KNOWN = Failures.of(0.0, b"", b"")
_NONE_EVER = Failures.of(math.inf, b"", b"")


class CellFates:
    """The limits of ``n`` cells, enumerated lazily from the smallest up.

    Parameters: ``key`` names the stream; ``n`` the number of cells; ``distribution`` their limits; ``place`` maps ``range(n)`` to
    cell indices where the population is only a part of a bank (default: the indices themselves); ``known`` is what has been enumerated.
    """

    __slots__ = ("n", "distribution", "_place", "_key", "known")

    def __init__(
        self,
        key: int,
        n: int,
        distribution: LifeDistribution,
        place: Callable[[np.ndarray], np.ndarray] | None = None,
        known: Failures = _NONE_KNOWN,
    ):
        self.n = n
        self.distribution = distribution
        self._place = place
        self._key = key
        self.known = known

    def until(self, exposure: float) -> Failures:
        """Return failures that reach ``exposure``, with no more cells than that takes."""
        while not self.known.reach(exposure):
            expected = self.n * -math.expm1(-float(self.distribution.hazard(exposure)))
            missing = expected + 2.0 * math.sqrt(expected) - len(self.known)
            self._learn(max(_LEAST_BLOCK, math.ceil(missing)), exposure)
        return self.known

    def failed_by(self, exposure: float) -> np.ndarray:
        """Return the cells whose limit is at most ``exposure``, in the order in which they fail (int32)."""
        return self.until(exposure).failed_by(exposure)

    def count_by(self, exposure: float) -> int:
        """Return how many cells have a limit of at most ``exposure``."""
        return self.until(exposure).count_by(exposure)

    def limit_of_rank(self, rank: int) -> float:
        """Return the limit of the cell that fails as number ``rank`` (from 0); infinity beyond the last cell."""
        while len(self.known) <= rank and self.known.hazard < math.inf:
            self._learn(rank + 1 - len(self.known), math.inf)
        return float(self.known.limits(rank + 1)[rank]) if rank < len(self.known) else math.inf

    def limits_by(self, exposure: float) -> np.ndarray:
        """Return the limits of the cells of :meth:`failed_by`, ascending."""
        return self.until(exposure).limits_by(exposure)

    @property
    def safe_exposure(self) -> float:
        """An exposure below which no cell fails, close to the smallest limit: known without enumerating any."""
        if not self.n:
            return math.inf
        first = -math.log(first_uniform(_spacing_key(self._key))) / self.n
        return _ROUNDED_EXPOSURE * self.distribution.limit_at(first)

    def _learn(self, cells: int, exposure: float) -> None:
        """Enumerate so many more cells, and keep those up to the first that does not fail by ``exposure``."""
        if not self.n:
            self.known = _NONE_EVER
            return
        done = len(self.known)
        ranks = np.arange(done, min(self.n, done + cells))
        spacings = -np.log(uniforms(_spacing_key(self._key), ranks)) / (self.n - ranks)
        # The running sum starts from the last value and adds one spacing after the other, so block sizes cannot show.
        spacings[0] += self.known.hazard
        hazards = np.cumsum(spacings)
        with np.errstate(over="ignore"):  # what never fails
            limits = self.distribution.limit(hazards).astype(np.float32)
        kept = min(len(limits), int(np.searchsorted(limits.astype(np.float64), exposure, side="right")) + 1)
        placed = permute(stream_key(self._key, "cell"), self.n, ranks[:kept])
        if self._place:
            placed = self._place(placed)
        reached = float(hazards[kept - 1]) if done + kept < self.n else math.inf
        self.known = self.known.followed_by(reached, limits[:kept], placed)


class Populations:
    """The failures of several populations of cells, by number, in most of which nothing ever fails: until then, each is one double."""

    __slots__ = ("_safe", "_known", "_parts")

    def __init__(self, numbers: int):
        self._safe = array("d", bytes(8 * numbers))  # exposures; 0 for what nobody has asked about
        self._known: list[bytes | None] | None = None
        self._parts: dict[tuple[int, int], bytes] | None = None

    def failures(
        self, number: int, exposure: float, make: Callable[[Failures], CellFates], part: int = 0
    ) -> Failures:
        """Return failures of population ``number`` that reach ``exposure``. ``make`` gives its fates, of which so much is known.

        ``part``: 0 for the whole population; there may be other parts.
        """
        if not part and exposure < self._safe[number]:
            return _NONE_EVER
        packed = self._get(number, part)
        known = Failures(packed) if packed else _NONE_KNOWN
        if known.reach(exposure):
            return known
        fates = make(known)
        if not (part or packed):
            self._safe[number] = fates.safe_exposure
            if exposure < self._safe[number]:
                return _NONE_EVER
        known = fates.until(exposure)
        self._put(number, part, known.packed)
        return known

    def forget(self, numbers: range) -> None:
        """From now on these numbers are of other populations."""
        for number in numbers:
            self._safe[number] = 0.0
            if self._known is not None:
                self._known[number] = None
        if self._parts is not None:
            self._parts = {of: packed for of, packed in self._parts.items() if of[0] not in numbers} or None

    def _get(self, number: int, part: int) -> bytes | None:
        if part:
            return self._parts.get((number, part)) if self._parts is not None else None
        return self._known[number] if self._known is not None else None

    def _put(self, number: int, part: int, packed: bytes) -> None:
        if part:
            if self._parts is None:
                self._parts = {}
            self._parts[number, part] = packed
            return
        if self._known is None:
            self._known = [None] * len(self._safe)
        self._known[number] = packed
