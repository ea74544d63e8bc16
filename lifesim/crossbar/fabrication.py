"""What fabrication leaves broken, and what breaks a whole line later.

*Defects* that repair could not hide cluster: the expected number of a tile is gamma-distributed over the tiles, the number Poisson given
that, so the number is negative binomial (Stapper, IBM J. Res. Dev. 27(6), 1983). *Line failures* (an open or shorted word or bit line, a
dead driver) come as a Poisson process of the device and stick every cell of one line of one tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile

import numpy as np

from lifesim.crossbar.tiles import Tiling
from lifesim.physics.permutation import permute
from lifesim.streams import first_uniform, generator, stream_key, uniforms
from lifesim.timeunits import NS_PER_S, S_PER_YEAR

NS_PER_YEAR = S_PER_YEAR * NS_PER_S


@dataclass(frozen=True, slots=True)
class FabricationDefects:
    """Stuck cells per cell after repair (``rate``), the share of them at LRS, and how they cluster.

    A tile of n cells has a negative binomial number of them with mean m = rate * n and variance m + m**2 / ``clustering``. ``clustering``
    is Stapper's alpha: the smaller, the stronger; infinity means none, and the number is binomial. Their places in the tile are uniform.
    """

    rate: float
    stuck_at_1_share: float
    clustering: float = math.inf

    def draw(self, key: int, tiling: Tiling) -> tuple[np.ndarray, np.ndarray]:
        """Return the defective cells of a bank (int32, ascending) and whether each is stuck at LRS (bool, else HRS)."""
        tiles = np.arange(tiling.tiles)
        rows, columns = tiling.extents(tiles)
        counts = self._counts(stream_key(key, "number"), rows * columns)
        tile = np.repeat(tiles, counts)
        rank = np.arange(len(tile)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = np.empty(len(tile), np.int64)
        # Tiles differ in size at the borders only, so there are at most four sizes.
        sizes = rows[tile] * columns[tile]
        for size in np.unique(sizes):
            of_size = sizes == size
            place[of_size] = permute(stream_key(key, "place"), int(size), rank[of_size], tile[of_size])
        row, column = np.divmod(place, columns[tile])
        cells = np.sort(tiling.cells_at(tile, row, column)).astype(np.int32)
        return cells, uniforms(stream_key(key, "polarity"), cells) < self.stuck_at_1_share

    def _counts(self, key: int, sizes: np.ndarray) -> np.ndarray:
        rng = generator(key)
        if math.isinf(self.clustering):
            return rng.binomial(sizes, self.rate)
        expected = self.rate * sizes * rng.gamma(self.clustering, 1 / self.clustering, len(sizes))
        return np.minimum(rng.poisson(expected), sizes)


@dataclass(frozen=True, slots=True)
class LineFailures:
    """Failures of whole lines: how many per device and year, the share of word lines among them, and of those stuck at LRS (shorts)."""

    rate_per_year: float
    word_line_share: float
    stuck_at_1_share: float


@dataclass(frozen=True, slots=True)
class LineEvent:
    """One failure: when, in which bank, the line's cells (int32, ascending), and whether they are stuck at LRS (else HRS)."""

    time_ns: int
    bank: int
    cells: np.ndarray
    lrs: bool


def line_events(
    key: int, failures: LineFailures, tilings: Sequence[Tiling], until_ns: int
) -> list[LineEvent]:
    """Return the line failures of one device at or before ``until_ns``, in order."""
    if not failures.rate_per_year:
        return []
    return list(takewhile(lambda e: e.time_ns <= until_ns, lines_in_order(key, failures, tilings)))


def lines_in_order(key: int, failures: LineFailures, tilings: Sequence[Tiling]) -> Iterator[LineEvent]:
    """Yield the line failures of one device, in order and without end; the rate must not be 0.

    Each is drawn by its ordinal, so that a longer time only adds some. A failing line is uniform over the lines of its kind in all banks
    (``tilings``).
    """
    time_ns = 0
    for ordinal in count():
        years = -math.log(first_uniform(stream_key(key, "interval", ordinal))) / failures.rate_per_year
        time_ns += max(1, round(years * NS_PER_YEAR))
        yield _line_event(key, failures, tilings, ordinal, time_ns)


def _line_event(
    key: int, failures: LineFailures, tilings: Sequence[Tiling], ordinal: int, time_ns: int
) -> LineEvent:
    kind, line, polarity = uniforms(stream_key(key, "line", ordinal), np.arange(3))
    word = kind < failures.word_line_share
    numbers = np.cumsum([t.word_lines if word else t.bit_lines for t in tilings])
    line = int(line * numbers[-1])
    bank = int(np.searchsorted(numbers, line, side="right"))
    tiling, within = tilings[bank], np.array([line - (numbers[bank - 1] if bank else 0)])
    cells = tiling.on_word_lines(within) if word else tiling.on_bit_lines(within)
    return LineEvent(time_ns, bank, cells.astype(np.int32), bool(polarity < failures.stuck_at_1_share))
