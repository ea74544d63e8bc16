"""Which weights differ from a model, and how: states of its cells as sparse changes.

As a device ages, faults are mostly added. So a state is compared with the one before part by part, and only cells that have been added are
looked at; a layer in which anything else has happened is worked out anew.
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

_FIRST_ROOM = 1 << 12
_MOST_PARTS = 254  # that a byte counts


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
        self._on_top = np.zeros(len(self._base) * encoding.cells_per_weight, np.uint8)

    def between(self, states: Iterable[Overlay], independent: bool) -> Changes:
        """Return the changes from state to state, or from the model to each."""
        layers = len(self._first) - 1
        nothing: tuple[Sequence[Written], ...] = ((),) * layers
        before, bounds, found = nothing, [], _Found()
        for state in states:
            bound = [found.count]
            for layer, (old, new) in enumerate(zip(before, state, strict=True)):
                if new is not old:
                    self._go_on(layer, old, new, found)
                bound.append(found.count)
            bounds.append(bound)
            if independent:
                self._go_back(state)
            else:
                before = state
        self._go_back(before)
        places = found.places[: found.count].copy()
        codes = self._encoding.codes(found.patterns[: found.count].copy())
        # Exact, as in FixedPoint.dequantise: a code has 16 bits, a scale is a power of two.
        values = codes * self._scales[places]
        return Changes(np.array(bounds, np.int64).reshape(-1, layers + 1), places, codes, values, independent)

    def _go_on(self, layer: int, old: Sequence[Written], new: Sequence[Written], found: _Found) -> None:
        """Go from one state of a layer to the next, and add what changes."""
        known = [_known(a, b) for a, b in zip(old, new, strict=False)]
        if len(old) == len(new) and None not in known:
            begun = found.count
            self._stamps += 1
            if self._write(layer, new, known, found, _NO_CELLS):
                return
            # Something has got under what stands: undone as far as it went, by working the layer out anew.
            found.count = begun
        self._stamps += 1
        undone = _cells_of(old) if len(old) else _NO_CELLS
        if not self._write(layer, new, [0] * len(new), found, undone):
            raise AssertionError("parts are written in their order")

    def _write(
        self, layer: int, parts: Sequence[Written], known: Sequence[int], found: _Found, undone: np.ndarray
    ) -> bool:
        added = [
            (number, part, n)
            for number, (part, n) in enumerate(zip(parts, known, strict=True), 1)
            if n < len(part.cells)
        ]
        if not added and not len(undone):
            return True
        if len(parts) > _MOST_PARTS:
            raise ValueError(f"{len(parts)} kinds of faults in one layer")
        cells = [part.cells[n:].astype(np.int64) + part.first_cell for _, part, n in added]
        ends = np.cumsum([len(c) for c in cells], dtype=np.int64)
        numbers = np.array([number for number, *_ in added], np.int64)
        moves = np.array([False, *(_moves(part) for part in parts)])
        every_cell = np.concatenate([_NO_CELLS, *cells])
        levels = np.concatenate([_NO_LEVELS, *(part.levels_from(n) for _, part, n in added)])
        found.make_room(len(every_cell) + len(undone))
        encoding = self._encoding
        count = _change(
            self._base, self._current, self._before, self._stamp, self._stamps, self._on_top, self._first[layer],
            undone, every_cell, levels, ends, numbers, moves, encoding.bits_per_cell, encoding.top_level,
            found.places, found.patterns, found.count,
        )  # fmt: skip
        if count < 0:
            return False
        found.count = count
        return True

    def _go_back(self, state: Overlay) -> None:
        """Go back to the model."""
        for layer, parts in enumerate(state):
            self._restore(layer, _cells_of(parts))

    def _restore(self, layer: int, cells: np.ndarray) -> None:
        per_weight = self._encoding.cells_per_weight
        first = int(self._first[layer])
        weights = cells // per_weight + first
        self._current[weights] = self._base[weights]
        self._on_top[cells + first * per_weight] = 0


class _Found:
    """Changes gathered so far, in arrays that grow."""

    __slots__ = ("places", "patterns", "count")

    def __init__(self) -> None:
        self.places, self.patterns = np.empty(_FIRST_ROOM, np.int64), np.empty(_FIRST_ROOM, np.uint16)
        self.count = 0

    def make_room(self, more: int) -> None:
        if self.count + more > len(self.places):
            room = max(2 * len(self.places), self.count + more)
            places, patterns = np.empty(room, np.int64), np.empty(room, np.uint16)
            places[: self.count], patterns[: self.count] = (
                self.places[: self.count],
                self.patterns[: self.count],
            )
            self.places, self.patterns = places, patterns


def _known(old: Written, new: Written) -> int | None:
    """Return how many cells of a part were there before; None if it is not the part of before with more cells."""
    n = len(old.cells)
    if old.first_cell != new.first_cell or n > len(new.cells):
        return None
    arrays = [isinstance(levels, np.ndarray) for levels in (old.levels, new.levels)]
    if all(arrays):
        same_levels = np.array_equal(old.levels, new.levels[:n])
    else:
        same_levels = not any(arrays) and old.levels == new.levels
    return n if same_levels and np.array_equal(old.cells, new.cells[:n]) else None


def _moves(part: Written) -> bool:
    """Whether a part moves what is beneath it."""
    if isinstance(part.levels, np.ndarray):
        return bool((part.levels >= UP).any())
    return isinstance(part.levels, int) and part.levels >= UP


def _cells_of(parts: Sequence[Written]) -> np.ndarray:
    return np.concatenate([_NO_CELLS, *(part.cells.astype(np.int64) + part.first_cell for part in parts)])


@numba.njit(nogil=True, cache=True)
def _change(
    base: Any, current: Any, before: Any, stamp: Any, now: int, on_top: Any, first: int,
    undone: Any, cells: Any, levels: Any, ends: Any, numbers: Any, moves: Any, bits: int, top: int,
    places: Any, patterns: Any, found: int,
) -> int:  # fmt: skip
    """Undo all that stands on ``undone`` and write over ``cells``; return how many weights have changed until now, those before ``found`` included.

    ``cells`` to ``ends[i]`` are of part ``numbers[i]``; which parts move what is beneath them, ``moves`` says by number. Returns -1, with ``current``
    as it was, where a cell should have been written before one that moved it.
    """
    # Divisions by shifts: they are done for every cell.
    to_weight = 4 if bits == 1 else 3
    digit = BITS_PER_WEIGHT // bits - 1
    to_bits = bits - 1
    begun = found
    for i in range(len(undone)):
        weight = first + (undone[i] >> to_weight)
        on_top[(first << to_weight) + undone[i]] = 0
        if stamp[weight] != now:
            stamp[weight] = now
            before[weight] = current[weight]
            current[weight] = base[weight]
            places[found] = weight
            found += 1
    conflict = False
    begin = 0
    for part in range(len(ends)):
        number = numbers[part]
        for i in range(begin, ends[part]):
            cell = (first << to_weight) + cells[i]
            if on_top[cell] > number:
                conflict |= moves[on_top[cell]]
                continue
            on_top[cell] = number
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
        begin = ends[part]
    if conflict:
        for i in range(begun, found):
            current[places[i]] = before[places[i]]
        for i in range(len(cells)):
            on_top[(first << to_weight) + cells[i]] = 0
        return -1
    # Of those that were written, the ones that show it.
    kept = begun
    for i in range(begun, found):
        weight = places[i]
        if current[weight] != before[weight]:
            places[kept], patterns[kept] = weight, current[weight]
            kept += 1
    return kept


_NO_CELLS = np.empty(0, np.int64)
_NO_LEVELS = np.empty(0, np.uint8)
