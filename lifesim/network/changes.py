"""Which weights differ from a model, and how: states of its cells as sparse changes.

As a device ages, faults are mostly added. So states of a layer are taken together as long as their parts only grow, and each cell is looked at
once; where anything else has happened the layer is worked out anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import Ageing, Overlay, Written
from lifesim.network.changes_kernels import (
    COLUMNS,
    COUNT,
    FIRST,
    FIRST_LEVEL,
    LEVEL,
    OF_EACH,
    Copy,
    Found,
    States,
    go_through,
)
from lifesim.network.model import Model

_MOST_PARTS = 2**16 - 2  # that two bytes count
_MOST_CELLS = 2**31  # of a layer: that four bytes count


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
        return next(self.copies([state], codes))

    def copies(self, states: Iterable[int], codes: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield :meth:`codes_of` of states (ascending)."""
        flat = np.concatenate([c.reshape(-1) for c in codes])
        ends = np.cumsum([c.size for c in codes]).tolist()
        done = 0
        for state in states:
            begin, end = self.bounds[state, 0] if self.independent else done, self.bounds[state, -1]
            copy = flat.copy() if self.independent else flat
            copy[self.places[begin:end]] = self.codes[
                begin:end
            ]  # of a place that changes more than once, the last
            done = end
            yield tuple(
                copy[last - c.size : last].reshape(c.shape).copy()
                for last, c in zip(ends, codes, strict=True)
            )


class Transitions:
    """Turns overlays into changes, for copies of one model."""

    def __init__(self, model: Model, encoding: Encoding):
        sizes = [c.size for c in model.codes]
        per_weight = encoding.cells_per_weight
        if max(sizes) * per_weight > _MOST_CELLS:
            raise ValueError(f"{max(sizes)} weights in one layer")
        self._encoding = encoding
        self._first_cells = (np.cumsum([0, *sizes[:-1]]) * per_weight).tolist()
        base = encoding.patterns(np.concatenate([c.reshape(-1) for c in model.codes])).copy()
        self._copy = Copy(
            base,
            base.copy(),
            np.zeros(len(base), np.uint8),
            np.zeros(len(base) * per_weight, np.uint16),
            np.array([f.scale for f in model.formats], np.float32),
            encoding.bits_per_cell,
            int(encoding.patterns(np.zeros(1, np.int16))[0]),
        )

    def between(self, states: Iterable[Overlay | Ageing], independent: bool) -> Changes:
        """Return the changes from state to state, or from the model to each; an ageing is as many states as it has times."""
        chapters: list[States] = []
        for aged, of_a_kind in groupby(states, key=lambda state: isinstance(state, Ageing)):
            same = list(of_a_kind)
            chapters += map(self._aged, same) if aged else [self._laid_out(same, independent)]
        laid_out = _joined(chapters or [self._laid_out([], independent)])
        kinds = int((laid_out.table[:, :, 1] - laid_out.table[:, :, 0]).max(initial=0))
        if kinds > _MOST_PARTS and not independent:
            raise ValueError(f"{kinds} kinds of faults in one layer")
        room = int(laid_out.parts[:, COUNT].sum()) if independent else 3 * len(laid_out.cells)
        bounds = np.empty((len(laid_out.table) + 1, len(self._first_cells) + 1), np.int64)
        found = Found(*(np.empty(room + 1, dtype) for dtype in (np.int64, np.int16, np.float32)))
        found = go_through(self._copy, laid_out, independent, found, bounds)
        count = bounds[-1, 0]  # what follows leads back to the model
        return Changes(bounds[:-1], *(array[:count] for array in found), independent)

    def _aged(self, ageing: Ageing) -> States:
        """Return the states of an ageing as the kernels take them."""
        cells, n_times = _Cells(), len(ageing)
        n_parts = [len(written) for written, _ in ageing.layers]
        parts = np.empty((n_times * sum(n_parts), COLUMNS), np.int64)
        table = np.zeros((n_times, len(self._first_cells), 3), np.int64)
        table[:-1, :, 2] = 1
        begin = 0
        for layer, (written, counts) in enumerate(ageing.layers):
            n, first_cell = n_parts[layer], self._first_cells[layer]
            if not n:
                continue
            of_layer = parts[begin : begin + n_times * n].reshape(n_times, n, COLUMNS)
            of_layer[:] = [
                cells.add(part, most, first_cell)
                for part, most in zip(written, counts.max(axis=0).tolist(), strict=True)
            ]
            of_layer[:, :, COUNT] = counts
            table[:, layer, 0] = np.arange(begin, begin + n_times * n, n)
            table[:, layer, 1] = table[:, layer, 0] + n
            table[:-1, layer, 2] = (counts[1:] >= counts[:-1]).all(axis=1)
            begin += n_times * n
        return cells.states(parts, table)

    def _laid_out(self, states: Sequence[Overlay], independent: bool) -> States:
        """Return states as the kernels take them; those of a layer of which each only adds cells to the one before share the cells of the last."""
        cells = _Cells()
        parts: list[tuple[int, ...]] = []
        table: list[tuple[int, int, bool]] = []
        n_layers = len(self._first_cells)
        later: Overlay | None = None
        for state in reversed(states):
            for layer, (written, first_cell) in enumerate(zip(state, self._first_cells, strict=True)):
                begin = len(parts)
                if later is not None and _grows(written, later[layer]):
                    last_begin, last_end, _ = table[-n_layers]
                    for part, of_last in zip(written, parts[last_begin:last_end], strict=True):
                        parts.append((of_last[FIRST], len(part.cells), *of_last[LEVEL:]))
                    table.append((begin, len(parts), True))
                    continue
                parts += [
                    cells.add(part, len(part.cells), first_cell)
                    for part in written
                    if len(part.cells) or not independent
                ]
                table.append((begin, len(parts), False))
            later = None if independent else state
        return cells.states(
            np.array(parts, np.int64).reshape(-1, COLUMNS),
            np.array(table, np.int64).reshape(len(states), n_layers, 3)[::-1].copy(),
        )


class _Cells:
    """Gathers the cells of parts, and their levels where each has one of its own."""

    def __init__(self) -> None:
        self._cells, self._levels = [np.empty(0, np.int32)], [np.empty(0, np.uint8)]
        self._n_cells = self._n_levels = 0

    def add(self, part: Written, count: int, first_cell: int) -> tuple[int, ...]:
        """Add the first ``count`` cells of a part of the layer that begins at ``first_cell``; return their row of ``States.parts``."""
        first, level, first_level = self._n_cells, part.levels, self._n_levels
        if not isinstance(level, int):
            level = OF_EACH
            self._levels.append(part.levels_from(0)[:count])
            self._n_levels += count
        self._cells.append(part.cells[:count])
        self._n_cells += count
        return first, count, level, first_level, first_cell + part.first_cell, 0

    def states(self, parts: np.ndarray, table: np.ndarray) -> States:
        """Return states of these cells."""
        return States(
            np.concatenate(self._cells, dtype=np.int32),
            np.concatenate(self._levels, dtype=np.uint8, casting="unsafe"),
            parts,
            table,
        )


def _joined(chapters: Sequence[States]) -> States:
    """Return chapters one after the other as one."""
    if len(chapters) == 1:
        return chapters[0]
    n_cells = n_levels = n_parts = 0
    for states in chapters:
        states.parts[:, FIRST] += n_cells
        states.parts[:, FIRST_LEVEL] += n_levels
        states.table[:, :, :2] += n_parts
        n_cells, n_levels, n_parts = (
            n_cells + len(states.cells), n_levels + len(states.levels), n_parts + len(states.parts)
        )  # fmt: skip
    return States(*(np.concatenate(of_all) for of_all in zip(*chapters, strict=True)))


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
