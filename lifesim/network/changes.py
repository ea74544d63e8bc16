"""Which weights differ from a model, and how: states of its cells as sparse changes.

As a device ages, faults are mostly added. So states of a layer are taken together as long as their parts only grow, and each cell is looked at
once; where anything else has happened the layer is worked out anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from lifesim.crossbar.encoding import BITS_PER_WEIGHT, Encoding
from lifesim.crossbar.overlay import UP, Overlay, Written
from lifesim.network.model import Model

_MOST_PARTS = 2**16 - 2  # that two bytes count


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Of each state s and layer l, the weights ``places[b[s, l]:b[s, l + 1]]`` that change to ``values`` (float32), where b is ``bounds``.

    ``places`` int64: weights are counted through all layers. ``codes`` int16: the same values. ``independent``: against the model, else
    against the state before (the first: against the model).
    """

    bounds: np.ndarray
    places: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    independent: bool

    def codes_of(self, state: int, codes: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the codes (int16 per layer) of one state of a model with ``codes``."""
        first = state if self.independent else 0
        begin, end = self.bounds[first, 0], self.bounds[state, -1]
        flat = np.concatenate([c.reshape(-1) for c in codes])
        flat[self.places[begin:end]] = self.codes[
            begin:end
        ]  # of a place that changes more than once, the last
        parts = np.split(flat, np.cumsum([c.size for c in codes[:-1]]))
        return tuple(part.reshape(c.shape) for part, c in zip(parts, codes, strict=True))


class Transitions:
    """Turns overlays into changes, for copies of one model."""

    def __init__(self, model: Model, encoding: Encoding):
        sizes = [c.size for c in model.codes]
        self._encoding = encoding
        self._first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._scales = np.repeat([f.scale for f in model.formats], sizes).astype(np.float32)
        self._base = encoding.patterns(np.concatenate([c.reshape(-1) for c in model.codes])).copy()
        self._current = self._base.copy()
        self._before = self._base.copy()
        self._stamp = np.zeros(len(self._base), np.int32)
        self._stamps = 0
        # The part, from 1, that stands on top of each cell.
        self._on_top = np.zeros(len(self._base) * encoding.cells_per_weight, np.uint16)

    def between(self, states: Iterable[Overlay], independent: bool) -> Changes:
        """Return the changes from state to state, or from the model to each."""
        overlays = list(states)
        layers = [
            self._of_layer(layer, [overlay[layer] for overlay in overlays], independent)
            for layer in range(len(self._first) - 1)
        ]
        counts = np.stack([count for *_, count in layers], axis=1)
        ends = np.cumsum(counts).reshape(counts.shape)
        bounds = np.concatenate([ends - counts, ends[:, -1:]], axis=1)
        places = np.empty(int(counts.sum()), np.int64)
        patterns = np.empty(len(places), np.uint16)
        for layer, (found, shown, count) in enumerate(layers):
            # From one layer after the other to one state after the other.
            to = np.repeat(bounds[:, layer] - (np.cumsum(count) - count), count) + np.arange(len(found))
            places[to], patterns[to] = found, shown
        codes = self._encoding.codes(patterns)
        # Exact, as in FixedPoint.dequantise: a code has 16 bits, a scale is a power of two.
        values = codes * self._scales[places]
        return Changes(bounds, places, codes, values, independent)

    def _of_layer(
        self, layer: int, states: Sequence[Sequence[Written]], independent: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the weights that change and what then stands in their cells, state after state, and how many are of each state."""
        places, patterns = [_NO_CELLS], [_NO_PATTERNS]
        counts = np.zeros(len(states), np.int64)
        standing, begin = _NO_CELLS, 0
        while begin < len(states):
            end = begin + 1
            while not independent and end < len(states) and _grows(states[end - 1], states[end]):
                end += 1
            found, shown, count = self._grow(layer, states[begin:end], standing)
            places.append(found)
            patterns.append(shown)
            counts[begin : begin + len(count)] = count
            begin += len(count)
            standing = _cells_of(states[begin - 1])
            if independent:
                self._clear(layer, standing)
                standing = _NO_CELLS
        self._clear(layer, standing)
        return np.concatenate(places), np.concatenate(patterns), counts

    def _grow(
        self, layer: int, states: Sequence[Sequence[Written]], standing: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Clear what is ``standing``, and go through states of which each only adds cells to the one before; or through the first of them."""
        last = states[-1]
        if len(last) > _MOST_PARTS:
            raise ValueError(f"{len(last)} kinds of faults in one layer")
        cells, levels = _cells_of(last), np.concatenate([_NO_LEVELS, *(part.levels_from(0) for part in last)])
        lengths = np.array([[len(part.cells) for part in parts] for parts in states], np.int64)
        lengths = lengths.reshape(len(states), len(last))
        first_cells = np.cumsum(lengths[-1]) - lengths[-1]
        moves = np.array([False, *(_moves(part) for part in last)])
        places, patterns = (
            np.empty(len(cells) + len(standing), np.int64),
            np.empty(len(cells) + len(standing), np.uint16),
        )
        ends = np.zeros(len(states), np.int64)
        encoding = self._encoding
        done = _go_through(
            self._base, self._current, self._before, self._stamp, self._stamps, self._on_top, self._first[layer],
            standing, cells, levels, first_cells, lengths, moves, encoding.bits_per_cell, encoding.top_level,
            places, patterns, ends,
        )  # fmt: skip
        self._stamps += len(states)
        count = int(ends[done - 1])
        return places[:count], patterns[:count], np.diff(ends[:done], prepend=0)

    def _clear(self, layer: int, cells: np.ndarray) -> None:
        """Take everything off ``cells``."""
        per_weight, first = self._encoding.cells_per_weight, int(self._first[layer])
        weights = cells // per_weight + first
        self._current[weights] = self._base[weights]
        self._on_top[cells + first * per_weight] = 0


def _grows(old: Sequence[Written], new: Sequence[Written]) -> bool:
    """Whether each part of ``new`` is that of ``old``, or that with cells added."""
    if new is old:
        return True
    return len(old) == len(new) and all(_begins(a, b) for a, b in zip(old, new, strict=True))


def _begins(old: Written, new: Written) -> bool:
    n = len(old.cells)
    if old.first_cell != new.first_cell or n > len(new.cells):
        return False
    arrays = [isinstance(levels, np.ndarray) for levels in (old.levels, new.levels)]
    if all(arrays):
        same_levels = np.array_equal(old.levels, new.levels[:n])
    else:
        same_levels = not any(arrays) and old.levels == new.levels
    if not same_levels:
        return False
    # Mostly both are the beginnings of one array.
    same_array = old.cells.base is not None and old.cells.base is new.cells.base
    if (
        same_array
        and old.cells.ctypes.data == new.cells.ctypes.data
        and old.cells.strides == new.cells.strides
    ):
        return True
    return np.array_equal(old.cells, new.cells[:n])


def _moves(part: Written) -> bool:
    """Whether a part moves what is beneath it."""
    if isinstance(part.levels, np.ndarray):
        return bool((part.levels >= UP).any())
    return isinstance(part.levels, int) and part.levels >= UP


def _cells_of(parts: Sequence[Written]) -> np.ndarray:
    return np.concatenate([_NO_CELLS, *(part.cells.astype(np.int64) + part.first_cell for part in parts)])


@numba.njit(nogil=True, cache=True)
def _go_through(
    base: Any, current: Any, before: Any, stamp: Any, stamps: int, on_top: Any, first: int,
    standing: Any, cells: Any, levels: Any, first_cells: Any, lengths: Any, moves: Any, bits: int, top: int,
    places: Any, patterns: Any, ends: Any,
) -> int:  # fmt: skip
    """Clear what is ``standing``, then go through the states; of state s and part i, ``lengths[s, i]`` cells from ``first_cells[i]`` on are written.

    The weights that change and what their cells then show go to ``places`` and ``patterns``, those of state s until ``ends[s]``. Returns how many
    states have been gone through: not all if in one a cell should have been written before another part moved it.
    """
    # Divisions by shifts: they are done for every cell.
    to_weight = 4 if bits == 1 else 3
    digit = BITS_PER_WEIGHT // bits - 1
    to_bits = bits - 1
    found = 0
    for s in range(len(lengths)):
        now = stamps + s + 1
        begun = found
        if s == 0:
            for i in range(len(standing)):
                weight = first + (standing[i] >> to_weight)
                on_top[(first << to_weight) + standing[i]] = 0
                if stamp[weight] != now:
                    stamp[weight] = now
                    before[weight] = current[weight]
                    current[weight] = base[weight]
                    places[found] = weight
                    found += 1
        conflict = False
        for part in range(lengths.shape[1]):
            for i in range(
                first_cells[part] + (lengths[s - 1, part] if s else 0), first_cells[part] + lengths[s, part]
            ):
                cell = (first << to_weight) + cells[i]
                if on_top[cell] > part + 1:
                    conflict |= moves[on_top[cell]]
                    continue
                on_top[cell] = part + 1
                weight = cell >> to_weight
                if stamp[weight] != now:
                    stamp[weight] = now
                    before[weight] = current[weight]
                    places[found] = weight
                    found += 1
                shift = (cells[i] & digit) << to_bits
                pattern = np.int64(current[weight])
                level = np.int64(levels[i])
                if level > top:
                    held = (pattern >> shift) & top
                    level = min(held + 1, top) if level == UP else max(held - 1, 0)
                current[weight] = np.uint16((pattern & ~(top << shift)) | (level << shift))
        if conflict:
            for i in range(begun, found):
                current[places[i]] = before[places[i]]
            for part in range(lengths.shape[1]):
                for i in range(
                    first_cells[part] + lengths[s - 1, part], first_cells[part] + lengths[s, part]
                ):
                    on_top[(first << to_weight) + cells[i]] = 0
            return s
        # Of those that were written, the ones that show it.
        kept = begun
        for i in range(begun, found):
            weight = places[i]
            if current[weight] != before[weight]:
                places[kept], patterns[kept] = weight, current[weight]
                kept += 1
        found = kept
        ends[s] = found
    return len(lengths)


_NO_CELLS = np.empty(0, np.int64)
_NO_PATTERNS = np.empty(0, np.uint16)
_NO_LEVELS = np.empty(0, np.uint8)
