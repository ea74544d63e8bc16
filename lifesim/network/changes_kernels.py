"""Compiled kernels that go from state to state of a model's cells, and find the weights that change."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from lifesim.crossbar.overlay import UP

# Columns of States.parts: which of the cells, at which level; the cell from which they are counted; whether they move what is beneath them.
FIRST, COUNT, LEVEL, FIRST_LEVEL, FIRST_CELL, MOVES, COLUMNS = range(7)
OF_EACH = -1
"""Instead of a level: each cell has one of its own, from FIRST_LEVEL on."""
# Columns of States.table.
_BEGIN, _END, _GROWS = range(3)

_options = dict(nogil=True, cache=True)
_compiled = numba.njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)


class Copy(NamedTuple):
    """A copy of a model, all layers one after the other; between two calls it is the model itself.

    uint16: the bits of the model (``base``) and of the copy (``current``), and which part, from 1, stands ``on_top`` of each cell; uint8: whether a
    weight has been ``touched`` by the state. Of each layer its ``scales`` (float32). ``flip``: the bits in which a code differs from what stands
    in the cells.
    """

    base: np.ndarray
    current: np.ndarray
    touched: np.ndarray
    on_top: np.ndarray
    scales: np.ndarray
    bits_per_cell: int
    flip: int


class States(NamedTuple):
    """What stands over the cells, state after state.

    Layer l of state s has the rows of ``parts`` (int64, columns: above) from ``table[s, l, 0]`` to ``table[s, l, 1]``; if ``table[s, l, 2]``, the
    state that follows has the same, or with cells added. ``cells`` int32 and ``levels`` uint8 of all parts.
    """

    cells: np.ndarray
    levels: np.ndarray
    parts: np.ndarray
    table: np.ndarray


class Found(NamedTuple):
    """Weights (int64, through all layers), their int16 codes and float32 values. While a layer is worked on, codes are the bits that were before."""

    places: np.ndarray
    codes: np.ndarray
    values: np.ndarray


@numba.njit(**_options)
def go_through(copy: Copy, states: States, independent: bool, found: Found, bounds: Any) -> Found:
    """Go from state to state and in the end back to the model; or, if ``independent``, from the model to each.

    ``bounds`` int64 [states + 1, layers + 1] gets the ends of what is found in each layer, the last for the way back. ``found``: room for it, which
    if independent must do for all cells, and one; returns it, or more.
    """
    n, layers = len(states.table), len(copy.scales)
    nothing = np.zeros(3, np.int64)
    count = np.int64(0)  # a literal would have functions compiled twice
    for s in range(n + 1):
        for layer in range(layers):
            bounds[s, layer] = begin = count
            now = states.table[s, layer] if s < n else nothing
            if independent:
                count = _alone(copy, states, now, independent, found, count)
            else:
                before = states.table[s - 1, layer] if s else nothing
                found = _at_least(found, count + _cells_in(states, now) + _cells_in(states, before) + 1)
                grows = before[_GROWS] != 0
                if not grows:
                    count = _lift(copy, states, before, found, count)
                count, conflict = _write(
                    copy, states, now, before if grows else nothing, independent, found, count
                )
                if conflict:
                    count = _lift(copy, states, now, found, count)
                    count, _ = _write(copy, states, now, nothing, independent, found, count)
                count = _keep(copy, independent, found, begin, count)
            _value(copy, copy.scales[layer], found.codes[begin:count], found.values[begin:count])
        bounds[s, layers] = count
    return found


@_compiled
def _alone(copy: Any, states: Any, span: Any, independent: bool, found: Any, begin: int) -> int:
    """Find what a layer changes in the model."""
    if span[_END] - span[_BEGIN] == 1:
        count = _sweep(copy, states, span[_BEGIN], found, begin)
        if count >= begin:
            return count
    count, _ = _write(copy, states, span, span, independent, found, begin)
    return _keep(copy, independent, found, begin, count)


@_compiled
def _sweep(copy: Any, states: Any, row: int, found: Any, count: int) -> int:
    """Find what the only part of a layer changes in the model, if its cells come weight by weight; returns -1 if not.

    Nothing has to be noted, and nothing waits for what is in memory: several times as fast. No branch depends on the cells, and places are
    unsigned: Numba would ask of others whether they count from the end.
    """
    base, places, codes = copy.base, found.places, found.codes
    to_weight, digit, to_bits, top = _digits(copy)
    part = states.parts[row]
    cells = states.cells[part[FIRST] : part[FIRST] + part[COUNT]]
    first_cell, level_of_all, of_each = part[FIRST_CELL], part[LEVEL], part[LEVEL] == OF_EACH
    levels = states.levels[part[FIRST_LEVEL] : part[FIRST_LEVEL] + (part[COUNT] if of_each else 0)]
    last, pattern, differs = np.int64(-1), np.int64(0), np.int64(0)
    for i in range(len(cells)):
        cell = first_cell + cells[i]
        weight = cell >> to_weight
        if weight < last:
            return -1
        another = weight != last
        count += another & differs
        old = np.int64(base[np.uint64(weight)])
        pattern = old if another else pattern
        shift = (cell & digit) << to_bits
        level = np.int64(levels[i]) if of_each else level_of_all
        if level > top:
            level = _moved(pattern >> shift & top, level, top)
        pattern = pattern & ~(top << shift) | level << shift
        differs = np.int64(pattern != old)
        at = np.uint64(count)
        places[at], codes[at] = weight, np.int16(pattern)
        last = weight
    return count + differs


@_compiled
def _lift(copy: Any, states: Any, span: Any, found: Any, count: int) -> int:
    """Take all cells off a layer that stand over it; weights that have not been touched before are found."""
    base, current, touched, on_top, places, codes = (
        copy.base, copy.current, copy.touched, copy.on_top, found.places, found.codes
    )  # fmt: skip
    to_weight, _, _, _ = _digits(copy)
    for row in range(span[_BEGIN], span[_END]):
        part = states.parts[row]
        for i in range(part[FIRST], part[FIRST] + part[COUNT]):
            cell = part[FIRST_CELL] + states.cells[i]
            weight = cell >> to_weight
            on_top[cell] = 0
            places[count], codes[count] = weight, np.int16(current[weight])
            count += 1 - touched[weight]
            touched[weight] = 1
            current[weight] = base[weight]
    return count


@_compiled
def _write(
    copy: Any, states: Any, span: Any, written: Any, independent: bool, found: Any, count: int
) -> tuple[int, bool]:
    """Write a layer's parts but for what of them is ``written``; weights that have not been touched before are found.

    If not ``independent``, which part stands on top of a cell is noted. Returns also whether anything came to stand beneath a part that moves it: then
    what is written is wrong.
    """
    current, touched, on_top, places, codes = (
        copy.current, copy.touched, copy.on_top, found.places, found.codes
    )  # fmt: skip
    cells, levels, parts = states.cells, states.levels, states.parts
    to_weight, digit, to_bits, top = _digits(copy)
    conflict = False
    stacked = not independent and span[_END] - span[_BEGIN] > 1
    for number in range(span[_END] - span[_BEGIN]):
        part = parts[span[_BEGIN] + number]
        begin = np.int64(0)
        if not independent and written[_END] > written[_BEGIN]:
            of_last = parts[written[_BEGIN] + number]
            begin, part[MOVES] = of_last[COUNT], of_last[MOVES]
        first, first_cell, level_of_all, first_level = (
            part[FIRST],
            part[FIRST_CELL],
            part[LEVEL],
            part[FIRST_LEVEL],
        )
        for i in range(begin, part[COUNT]):
            cell = first_cell + cells[first + i]
            if stacked:
                above = np.int64(on_top[cell])
                if above > number + 1:
                    conflict |= parts[written[_BEGIN] + above - 1, MOVES] != 0
                    continue
                on_top[cell] = number + 1
            weight = cell >> to_weight
            pattern = np.int64(current[weight])
            places[count], codes[count] = weight, np.int16(pattern)
            count += 1 - touched[weight]
            touched[weight] = 1
            shift = (cell & digit) << to_bits
            level = np.int64(levels[first_level + i]) if level_of_all == OF_EACH else level_of_all
            if level > top:
                part[MOVES] = 1
                level = _moved(pattern >> shift & top, level, top)
            current[weight] = np.uint16(pattern & ~(top << shift) | level << shift)
    return count, conflict


@_compiled
def _keep(copy: Any, independent: bool, found: Any, begin: int, end: int) -> int:
    """Keep of the weights found those that have changed, with the bits that are theirs now; if ``independent``, undo the changes. Returns the end."""
    current, touched, places, codes = copy.current, copy.touched, found.places, found.codes
    count = begin
    for i in range(begin, end):
        weight, old = places[i], np.uint16(codes[i])
        new = current[weight]
        touched[weight] = 0
        if independent:
            current[weight] = old
        places[count], codes[count] = weight, np.int16(new)
        count += new != old
    return count


@_compiled
def _value(copy: Any, scale: float, codes: Any, values: Any) -> None:
    """Turn bits into codes, and into values: exact as in FixedPoint.dequantise, as a code has 16 bits and a scale is a power of two."""
    flip = np.uint16(copy.flip)
    for i in range(len(codes)):
        codes[i] = np.int16(np.uint16(codes[i]) ^ flip)
        values[i] = np.float32(codes[i]) * scale


@_compiled
def _digits(copy: Any) -> tuple[int, int, int, int]:
    """Return how a cell is taken apart, without divisions: shift to its weight, mask of its digit, shift from digit to bits; and its top level."""
    bits = copy.bits_per_cell
    to_weight = 4 if bits == 1 else 3
    return to_weight, (1 << to_weight) - 1, bits - 1, (1 << bits) - 1


@_compiled
def _moved(held: int, to: int, top: int) -> int:
    return min(held + 1, top) if to == UP else max(held - 1, 0)


@_compiled
def _cells_in(states: Any, span: Any) -> int:
    count = 0
    for row in range(span[_BEGIN], span[_END]):
        count += states.parts[row, COUNT]
    return count


@_compiled
def _at_least(found: Any, size: int) -> Any:
    """Return room for so many: what was given, or twice as much that begins with it."""
    before = len(found.places)
    if before >= size:
        return found
    places, codes, values = (
        np.empty(2 * size, np.int64),
        np.empty(2 * size, np.int16),
        np.empty(2 * size, np.float32),
    )
    places[:before], codes[:before], values[:before] = found.places, found.codes, found.values
    return Found(places, codes, values)
