"""Analog drift of cells that hold several levels: dense, so that every weight moves, and the same in law for every cell.

A cell of age t deviates from its level by mean(t) + sd(t) * z, where z is a unit normal that belongs to the cell and its programming
(epoch): a later time needs no other z. A layer's deviation is then one number z per weight, combined from those of its cells once per
programming, and any later time costs one multiplication and addition. Ages are equivalent seconds since the programming.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from lifesim.crossbar.encoding import Encoding
from lifesim.streams import bits_at, stream_key

_CELLS_PER_PIECE = 1 << 16
_WORDS = 2.0**32


class Drift(Protocol):
    """How far cells have drifted, in units of the spacing between levels."""

    def mean_levels(self, age_s: float) -> float:
        """Return the mean deviation."""

    def sd_levels(self, age_s: float) -> float:
        """Return the standard deviation between cells."""


@dataclass(frozen=True, slots=True)
class ConductanceDrift:
    """Drift linear in ln(t): mean ``mean_us_per_ln`` * ln(t), standard deviation ``sd_us`` (at 1 s) + ``sd_us_per_ln`` * ln(t), in
    microsiemens; levels are ``spacing_us`` apart. Below 1 s, as at 1 s.
    """

    mean_us_per_ln: float
    sd_us: float
    sd_us_per_ln: float
    spacing_us: float

    def mean_levels(self, age_s: float) -> float:
        return self.mean_us_per_ln * math.log(max(age_s, 1.0)) / self.spacing_us

    def sd_levels(self, age_s: float) -> float:
        return max(0.0, self.sd_us + self.sd_us_per_ln * math.log(max(age_s, 1.0))) / self.spacing_us


@dataclass(frozen=True, slots=True)
class WeightDrift:
    """RRAMedy's Eq. 8: every weight moves by N(0, sd**2), whatever its cells; sd grows with ln(1 + t) and is ``theta`` at ``reached_s``."""

    theta: float
    reached_s: float

    def sd_weights(self, age_s: float) -> float:
        """Return the standard deviation between weights, in weights."""
        return self.theta * math.log1p(max(age_s, 0.0)) / math.log1p(self.reached_s)


@dataclass(frozen=True, slots=True, eq=False)
class CellDeviations:
    """Deviations that come from cells: ``z`` (float32 [weights], in codes per level) the cells' unit normals times what a level of each is
    worth, ``worth`` (float32, [weights] or one number) what the mean drift of a level does to the weight.
    """

    drift: Drift
    z: np.ndarray
    worth: np.ndarray

    @classmethod
    def draw(
        cls,
        drift: Drift,
        key: int,
        epoch: int,
        encoding: Encoding,
        weights: int,
        stuck: np.ndarray,
        reference_column: bool,
    ) -> CellDeviations:
        """Return the deviations of a layer of so many weights since programming ``epoch``; ``stuck`` cells (any order) do not drift.

        A ``reference_column`` drifts as the cells do on average, and what it reads is subtracted: the mean remains of stuck cells only, with
        the opposite sign.
        """
        stuck = np.unique(np.asarray(stuck, np.int64))
        values = encoding.digit_values().astype(np.float32)
        combined = np.empty(weights, np.float32)
        for start, words in _pieces(key, epoch, weights * encoding.cells_per_weight):
            z = _normals(words)
            first, last = np.searchsorted(stuck, (start, start + len(z)))
            z[stuck[first:last] - start] = 0.0
            # Digit by digit, not as a product with a vector: a sum's last bits must not depend on the shape.
            total = np.zeros(len(z) // len(values), np.float32)
            for digit, value in enumerate(values):
                total += value * z[digit :: len(values)]
            combined[start // len(values) :][: len(total)] = total
        worth = np.float32(0.0 if reference_column else values.sum(dtype=np.float64))
        if len(stuck):
            weight, digit = np.divmod(stuck, len(values))
            worth = worth - np.bincount(weight, values[digit], weights).astype(np.float32)
        return cls(drift, combined, worth)

    def at(self, age_s: float) -> np.ndarray:
        mean, sd = np.float32(self.drift.mean_levels(age_s)), np.float32(self.drift.sd_levels(age_s))
        return sd * self.z + mean * self.worth


@dataclass(frozen=True, slots=True, eq=False)
class WeightDeviations:
    """Deviations by Eq. 8: ``z`` (float32 [weights]) unit normals; a code is worth ``scale``. Stuck cells make no difference to it."""

    drift: WeightDrift
    z: np.ndarray
    scale: float

    @classmethod
    def draw(cls, drift: WeightDrift, key: int, epoch: int, weights: int, scale: float) -> WeightDeviations:
        """Return the deviations of a layer of so many weights since programming ``epoch``."""
        return cls(drift, drift_z(key, epoch, weights), scale)

    def at(self, age_s: float) -> np.ndarray:
        return np.float32(self.drift.sd_weights(age_s) / self.scale) * self.z


def drift_z(key: int, epoch: int, n: int) -> np.ndarray:
    """Return the unit normals (float32) of cells (or weights) 0 to n - 1 of programming ``epoch``; ``key`` is that of the bank."""
    return np.concatenate([np.empty(0, np.float32), *(_normals(w) for _, w in _pieces(key, epoch, n))])


def misreads(
    drift: Drift,
    key: int,
    epoch: int,
    encoding: Encoding,
    codes: np.ndarray,
    age_s: float,
    stuck: np.ndarray,
    reference_column: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return which cells of a layer a digital read-back reads at another level than was written, and the levels that it reads.

    A cell reads the level that it is nearest to: it is misread if it is more than half a spacing away and there is a level on that side.
    ``codes``: what was written (int16, any shape). ``stuck`` cells (any order) read what they hold, so they are not among them. With a
    ``reference_column`` the mean drift is subtracted. Returns cells (int64, ascending) and levels (uint8).
    """
    mean = np.float32(0.0 if reference_column else drift.mean_levels(age_s))
    sd = np.float32(drift.sd_levels(age_s))
    low, high = _suspect_words(float(mean), float(sd))
    found = [np.empty(0, np.int64)]
    shifts = [np.empty(0, np.int64)]
    if low > 0 or high < _WORDS:
        for start, words in _pieces(key, epoch, codes.size * encoding.cells_per_weight):
            suspects = np.flatnonzero((words < low) | (words > high))
            deviation = mean + sd * _normals(words[suspects])
            shift = np.ceil(np.abs(deviation) - np.float32(0.5)) * np.sign(deviation)
            moved = shift != 0
            found.append(suspects[moved] + start)
            shifts.append(shift[moved].astype(np.int64))
    cells, shift = np.concatenate(found), np.concatenate(shifts)
    drifts = ~np.isin(cells, stuck)
    cells, shift = cells[drifts], shift[drifts]
    written = encoding.levels_of(codes, cells)
    read = np.clip(written + shift, 0, encoding.top_level).astype(np.uint8)
    differs = read != written
    return cells[differs], read[differs]


def _suspect_words(mean: float, sd: float) -> tuple[float, float]:
    """Return two random words: only below the first or above the second may a cell be more than half a spacing away.

    Saves all other cells their normal. The margin is far more than what rounding to float32 can move.
    """
    if sd == 0.0:
        return (_WORDS, _WORDS) if abs(mean) > 0.49 else (0.0, _WORDS)
    low, high = special.ndtr(np.array([(-0.5 - mean) / sd, (0.5 - mean) / sd])) * _WORDS
    margin = 4096.0
    return (low + margin if low > 1e-3 else 0.0), (high - margin if high < _WORDS - 1e-3 else _WORDS)


def _pieces(key: int, epoch: int, n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the 32-bit random words of cells 0 to n - 1 piece by piece: first cell, words. A cell's word depends on its number alone."""
    key = stream_key(key, "drift", epoch)
    for start in range(0, n, _CELLS_PER_PIECE):
        stop = min(n, start + _CELLS_PER_PIECE)
        words = bits_at(key, np.arange(start // 2, (stop + 1) // 2)).astype("<u8").view("<u4")
        yield start, words[: stop - start]


def _normals(words: np.ndarray) -> np.ndarray:
    """Return the unit normals (float32) of random words, by the inverse of the distribution."""
    return special.ndtri((words + 0.5) / _WORDS).astype(np.float32)
