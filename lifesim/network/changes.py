"""Which weights differ from a model, and how: states of its cells as sparse changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from lifesim.crossbar.encoding import BITS_PER_WEIGHT, UP, Encoding, Overlay
from lifesim.network.model import Model


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


class Transitions:
    """Turns overlays into changes, for copies of one model."""

    def __init__(self, model: Model, encoding: Encoding):
        flat = np.concatenate([c.reshape(-1) for c in model.codes])
        self._encoding = encoding
        self._sizes = np.array([c.size for c in model.codes], np.int64)
        self._first = np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.int64)
        self._scales = np.array([f.scale for f in model.formats], np.float64)
        self._base = encoding.patterns(flat).copy()
        self._current = self._base.copy()
        self._next = self._base.copy()
        self._stamp = np.zeros(len(flat), np.int32)
        self._stamps = 0

    def between(self, states: Sequence[Overlay], independent: bool) -> Changes:
        """Return the changes from state to state, or from the model to each."""
        layers = len(self._sizes)
        lengths = [len(cells) for state in states for cells, _ in state]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        cells = np.concatenate([_NO_CELLS, *(cells for state in states for cells, _ in state)])
        levels = np.concatenate([_NO_LEVELS, *(levels for state in states for _, levels in state)])
        bounds = np.zeros((len(states), layers + 1), np.int64)
        room = len(cells) if independent else 2 * len(cells)
        places, patterns = np.empty(room, np.int64), np.empty(room, np.uint16)
        self._stamps = _changes(
            self._base, self._current, self._next, self._stamp, self._stamps, self._first, cells, levels, ends,
            self._encoding.bits_per_cell, self._encoding.top_level, independent, bounds, places, patterns,
        )  # fmt: skip
        count = int(bounds[-1, -1]) if len(states) else 0
        places, codes = places[:count], self._encoding.codes(patterns[:count])
        layer = np.searchsorted(self._first, places, side="right") - 1
        values = (codes * self._scales[layer]).astype(np.float32)  # exact, as in FixedPoint.dequantise
        return Changes(bounds, places, codes, values, independent)


@numba.njit(nogil=True, cache=True)
def _changes(
    base: Any, current: Any, following: Any, stamp: Any, stamps: int, first: Any, cells: Any, levels: Any, ends: Any,
    bits: int, top: int, independent: bool, bounds: Any, places: Any, patterns: Any,
) -> int:  # fmt: skip
    """Fill in the changes; ``current`` is ``base`` before and afterwards. Returns the number of stamps used up."""
    n_states, n_layers = bounds.shape[0], bounds.shape[1] - 1
    # Divisions by shifts: they are done for every cell.
    to_weight = 4 if bits == 1 else 3
    digit = BITS_PER_WEIGHT // bits - 1
    to_bits = bits - 1
    most = 0
    for i in range(len(ends) - 1):
        most = max(most, ends[i + 1] - ends[i])
    now = np.empty(max(most, 1), np.int64)
    before = np.empty((n_layers, max(most, 1)), np.int64)
    n_before = np.zeros(n_layers, np.int64)
    found = 0
    for s in range(n_states):
        for layer in range(n_layers):
            bounds[s, layer] = found
            stamps += 1
            n_now = 0
            for i in range(ends[s * n_layers + layer], ends[s * n_layers + layer + 1]):
                weight = first[layer] + (cells[i] >> to_weight)
                if stamp[weight] != stamps:
                    stamp[weight] = stamps
                    following[weight] = base[weight]
                    now[n_now] = weight
                    n_now += 1
                shift = (cells[i] & digit) << to_bits
                level = np.int64(levels[i])
                if level > top:
                    held = (np.int64(following[weight]) >> shift) & top
                    level = min(held + 1, top) if level == UP else max(held - 1, 0)
                pattern = np.int64(following[weight])
                following[weight] = np.uint16((pattern & ~(top << shift)) | (level << shift))
            for i in range(n_now):
                weight = now[i]
                if following[weight] != current[weight]:
                    places[found], patterns[found] = weight, following[weight]
                    found += 1
                    if not independent:
                        current[weight] = following[weight]
            if not independent:
                for i in range(n_before[layer]):
                    weight = before[layer, i]
                    if stamp[weight] != stamps and current[weight] != base[weight]:
                        places[found], patterns[found] = weight, base[weight]
                        found += 1
                        current[weight] = base[weight]
                before[layer, :n_now] = now[:n_now]
                n_before[layer] = n_now
        bounds[s, n_layers] = found
    for layer in range(n_layers):
        for i in range(n_before[layer]):
            current[before[layer, i]] = base[before[layer, i]]
    return stamps


_NO_CELLS = np.empty(0, np.int64)
_NO_LEVELS = np.empty(0, np.uint8)
