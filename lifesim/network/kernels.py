"""Compiled kernels that carry a change of few weights through a network, layer by layer, and touch only what changes.

All activations of one piece of PIECE pictures lie in one float32 array, at offsets that a :class:`lifesim.network.program.Program` gives. Pictures
come last: a channel is [row, column, picture], so that a kernel's tap is one long run; a flat layer is [picture, feature], so that a row of the
weight matrix is one. Each crossbar layer keeps its result before bias and activation functions are gone, and is corrected by

    Y += W_old (X_new - X_old) + (W_new - W_old) X_new

for the weights and inputs that differ. What is equal after an activation function or a pooling stops there.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

PIECE = 16
_TAPS = 4  # of a convolution that are added in one pass over a run of its result
_RUN = 1024  # floats of a result that stay in the nearest cache while all taps are added
_BLOCK = 16  # rows of a dense layer's matrix that stay in the nearest cache while all pictures use them

CONV, DENSE = 0, 1
COPY, RELU, MAXPOOL, AVGPOOL = 0, 1, 2, 3

# Columns of Program.layers, one row a crossbar layer.
(KIND, SOURCE, CHANNELS, ROWS, COLUMNS, SOURCE_FLAGS, OUTPUTS, RESULT, RESULT_FLAGS, WEIGHTS, BIASES, KERNEL, OUT_ROWS, OUT_COLUMNS, STEP_FEATURE,
 STEP_PICTURE, FIRST_OP, END_OP) = range(18)  # fmt: skip
# Columns of Program.ops, one row an activation function or pooling. IN_*, TO_*: geometry; SPATIAL: channels, or flat; BY_FEATURE: what is flagged.
(
    OP,
    IN,
    IN_ROWS,
    IN_COLUMNS,
    IN_PAD,
    IN_FLAGS,
    TO,
    TO_ROWS,
    TO_COLUMNS,
    TO_PAD,
    TO_FLAGS,
    SIZE,
    STRIDE,
    SPATIAL,
    COUNT,
    BY_FEATURE,
) = range(16)

_options = dict(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_compiled = numba.njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)


@numba.njit(**_options)
def walk(
    layers: Any, ops: Any, weights: Any, act: Any, delta: Any, flags: Any, shifted: Any,
    bounds: Any, places: Any, values: Any, visited: Any, golden: Any, touched: Any, answer: int, classes: int, out: Any,
) -> None:  # fmt: skip
    """Go from state to state and stop at those ``visited`` (ascending); ``out`` [visited, PIECE, classes] gets their logits.

    ``weights`` and ``act`` are those of the state before. Of state s and layer l, the weights ``places[b[s, l]:b[s, l + 1]]`` take ``values``, where b is
    ``bounds``. With a ``golden`` (not empty), every state begins there instead; ``values`` are then lost.
    """
    independent = len(golden) > 0
    for stop in range(len(visited)):
        s = visited[stop]
        # What changes on the way to a state that is visited changes there.
        first = s if independent else (visited[stop - 1] + 1 if stop else 0)
        for number in range(len(layers)):
            layer = layers[number]
            if independent:
                _note(flags, touched, layer[SOURCE_FLAGS], layer[CHANNELS])
            _add_inputs(layer, weights, act, delta, flags, shifted)
            for passed in range(first, s + 1):
                for k in range(bounds[passed, number], bounds[passed, number + 1]):
                    place = places[k]
                    before = weights[place]
                    _add_weight(layer, place - layer[WEIGHTS], values[k] - before, act, flags)
                    weights[place] = values[k]
                    if independent:
                        values[k] = before
            if independent:
                _note(flags, touched, layer[RESULT_FLAGS], layer[OUTPUTS])
            _carry_on(layer, ops, act, delta, flags, touched)
        for p in range(PIECE):
            for c in range(classes):
                out[stop, p, c] = act[answer + p * classes + c]
        if independent:
            for k in range(bounds[s, 0], bounds[s, len(layers)]):
                weights[places[k]] = values[k]
            _restore(layers, ops, act, golden, touched)


@_compiled
def _note(flags: Any, touched: Any, first: int, count: int) -> None:
    for f in range(first, first + count):
        touched[f] |= flags[f]


@_compiled
def _restore(layers: Any, ops: Any, act: Any, golden: Any, touched: Any) -> None:
    """Set to ``golden`` what has been touched."""
    for number in range(len(layers)):
        layer = layers[number]
        n = layer[OUTPUTS]
        if layer[KIND] == CONV:
            run = layer[OUT_ROWS] * layer[OUT_COLUMNS] * PIECE
            _restore_runs(act, golden, touched, layer[RESULT], run, layer[RESULT_FLAGS], n)
        else:
            _restore_flat(act, golden, touched, layer[RESULT], layer[RESULT_FLAGS], n)
        for index in range(layer[FIRST_OP], layer[END_OP]):
            op = ops[index]
            n = op[COUNT]
            if op[SPATIAL]:
                run = (op[TO_ROWS] + 2 * op[TO_PAD]) * (op[TO_COLUMNS] + 2 * op[TO_PAD]) * PIECE
                if op[BY_FEATURE]:
                    run, n = PIECE, n * op[TO_ROWS] * op[TO_COLUMNS]
                _restore_runs(act, golden, touched, op[TO], run, op[TO_FLAGS], n)
            else:
                _restore_flat(act, golden, touched, op[TO], op[TO_FLAGS], n)


@_compiled
def _copy(to: Any, at: int, source: Any, first: int, count: int) -> None:
    y, x = to[at : at + count], source[first : first + count]
    for j in range(len(y)):
        y[j] = x[j]


@_compiled
def _restore_runs(act: Any, golden: Any, touched: Any, first: int, run: int, flag: int, count: int) -> None:
    for i in range(count):
        if touched[flag + i]:
            touched[flag + i] = 0
            at = first + i * run
            _copy(act, at, golden, at, run)


@_compiled
def _restore_flat(act: Any, golden: Any, touched: Any, first: int, flag: int, count: int) -> None:
    any_touched = False
    for f in range(flag, flag + count):
        any_touched |= touched[f] != 0
        touched[f] = 0
    if any_touched:
        _copy(act, first, golden, first, count * PIECE)


@_compiled
def _add_weight(layer: Any, place: int, change: float, act: Any, flags: Any) -> None:
    """Y += change X of one weight."""
    n = layer[OUTPUTS]
    source, o = place // n, place % n
    flags[layer[RESULT_FLAGS] + o] = 1
    if layer[KIND] == DENSE:
        x = layer[SOURCE] + source * layer[STEP_FEATURE]
        y = layer[RESULT] + o
        for p in range(PIECE):
            act[y + p * n] += change * act[x + p * layer[STEP_PICTURE]]
        return
    k, columns = layer[KERNEL], layer[COLUMNS]
    channel, tap = source // (k * k), source % (k * k)
    run = layer[OUT_COLUMNS] * PIECE
    x = layer[SOURCE] + ((channel * layer[ROWS] + tap // k) * columns + tap % k) * PIECE
    y = layer[RESULT] + o * layer[OUT_ROWS] * run
    for row in range(layer[OUT_ROWS]):
        _add_1(act[y + row * run : y + (row + 1) * run], change, act[x + row * columns * PIECE :])


@_compiled
def _add_inputs(layer: Any, weights: Any, act: Any, delta: Any, flags: Any, shifted: Any) -> None:
    """Y += W (X_new - X_old) over the sources that are flagged; takes their flags down."""
    first, last = layer[SOURCE_FLAGS], layer[SOURCE_FLAGS] + layer[CHANNELS]
    count = 0
    for f in range(first, last):
        count += flags[f]
    if count == 0:
        return
    sources = np.empty(count, np.int64)
    count = 0
    for f in range(first, last):
        if flags[f]:
            sources[count] = f - first
            count += 1
            flags[f] = 0
    n = layer[OUTPUTS]
    flags[layer[RESULT_FLAGS] : layer[RESULT_FLAGS] + n] = 1
    if layer[KIND] == DENSE:
        _add_rows(layer, sources, weights, act, delta)
    else:
        _convolve(layer, sources, weights, act, delta, shifted)


@_compiled
def _add_rows(layer: Any, sources: Any, weights: Any, act: Any, delta: Any) -> None:
    n = layer[OUTPUTS]
    rows = np.empty(_BLOCK + 4, np.int64)
    factors = np.empty(_BLOCK + 4, np.float32)
    for begin in range(0, len(sources), _BLOCK):
        end = min(begin + _BLOCK, len(sources))
        for p in range(PIECE):
            found = 0
            for k in range(begin, end):
                d = delta[layer[SOURCE] + sources[k] * layer[STEP_FEATURE] + p * layer[STEP_PICTURE]]
                if d != 0.0:
                    rows[found] = layer[WEIGHTS] + sources[k] * n
                    factors[found] = d
                    found += 1
            at = layer[RESULT] + p * n
            for k in range(found, found + 3):  # filled up to a multiple of four
                rows[k] = layer[WEIGHTS]
                factors[k] = 0.0
            for k in range(0, found, 4):
                _add_4(
                    act[at : at + n],
                    factors[k], factors[k + 1], factors[k + 2], factors[k + 3],
                    weights[rows[k] :], weights[rows[k + 1] :], weights[rows[k + 2] :], weights[rows[k + 3] :],
                )  # fmt: skip


@_compiled
def _convolve(layer: Any, sources: Any, weights: Any, act: Any, delta: Any, shifted: Any) -> None:
    """One channel after the other, each laid out once for every column of the kernel, so that a tap is one run over whole rows of the result."""
    n, k, rows, columns = layer[OUTPUTS], layer[KERNEL], layer[ROWS], layer[COLUMNS]
    width = layer[OUT_COLUMNS] * PIECE
    plane = rows * width
    result = layer[OUT_ROWS] * width
    taps = -(-k * k // _TAPS) * _TAPS
    factors, others = np.zeros(taps, np.float32), np.zeros(taps, np.float32)
    at = np.zeros(taps, np.int64)
    for tap in range(k * k):
        at[tap] = tap % k * plane + tap // k * width
    for source in sources:
        first = layer[SOURCE] + source * rows * columns * PIECE
        for shift in range(k):
            for row in range(rows):
                _copy(
                    shifted,
                    shift * plane + row * width,
                    delta,
                    first + (row * columns + shift) * PIECE,
                    width,
                )
        matrix = layer[WEIGHTS] + source * k * k * n
        for o in range(0, n, 2):
            last = o + 1 == n
            for tap in range(k * k):
                factors[tap] = weights[matrix + tap * n + o]
                others[tap] = 0.0 if last else weights[matrix + tap * n + o + 1]
            y = layer[RESULT] + o * result
            u = y if last else y + result
            for begin in range(0, result, _RUN):
                run = min(_RUN, result - begin)
                for t in range(0, taps, _TAPS):
                    _add_4_to_2(
                        act[y + begin : y + begin + run], act[u + begin : u + begin + run],
                        factors[t], factors[t + 1], factors[t + 2], factors[t + 3],
                        others[t], others[t + 1], others[t + 2], others[t + 3],
                        shifted[at[t] + begin :], shifted[at[t + 1] + begin :],
                        shifted[at[t + 2] + begin :], shifted[at[t + 3] + begin :],
                    )  # fmt: skip


@_compiled
def _add_1(y: Any, a: float, x: Any) -> None:
    for j in range(len(y)):
        y[j] += a * x[j]


@_compiled
def _add_4(y: Any, a: float, b: float, c: float, d: float, x: Any, u: Any, v: Any, w: Any) -> None:
    for j in range(len(y)):
        y[j] += a * x[j] + b * u[j] + (c * v[j] + d * w[j])


@_compiled
def _add_4_to_2(
    y: Any, z: Any, a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float,
    x: Any, u: Any, v: Any, w: Any,
) -> None:  # fmt: skip
    for j in range(len(y)):
        p, q, r, s = x[j], u[j], v[j], w[j]
        y[j] += a * p + b * q + (c * r + d * s)
        z[j] += e * p + f * q + (g * r + h * s)


@_compiled
def _carry_on(layer: Any, ops: Any, act: Any, delta: Any, flags: Any, touched: Any) -> None:
    """Redo the activation functions and poolings behind a layer where their inputs are flagged."""
    for number in range(layer[FIRST_OP], layer[END_OP]):
        op = ops[number]
        if op[SPATIAL]:
            for channel in range(op[COUNT]):
                if flags[op[IN_FLAGS] + channel]:
                    flags[op[IN_FLAGS] + channel] = 0
                    _redo_channel(op, channel, act, delta, flags)
        else:
            _redo_flat(op, act, delta, flags)
        if len(touched) > 0:
            count = op[COUNT] * op[TO_ROWS] * op[TO_COLUMNS] if op[BY_FEATURE] else op[COUNT]
            _note(flags, touched, op[TO_FLAGS], count)


@_compiled
def _redo_flat(op: Any, act: Any, delta: Any, flags: Any) -> None:
    n = op[COUNT]
    for i in range(n):
        if flags[op[IN_FLAGS] + i]:
            flags[op[IN_FLAGS] + i] = 0
            changed = 0
            for p in range(PIECE):
                new = act[op[IN] + p * n + i]
                if op[OP] == RELU:
                    new = max(new, np.float32(0.0))
                to = op[TO] + p * n + i
                difference = new - act[to]
                delta[to] = difference
                act[to] = new
                if difference != 0.0:
                    changed = 1
            flags[op[TO_FLAGS] + i] = changed


@_compiled
def _redo_channel(op: Any, channel: int, act: Any, delta: Any, flags: Any) -> None:
    in_width = op[IN_COLUMNS] + 2 * op[IN_PAD]
    in_height = op[IN_ROWS] + 2 * op[IN_PAD]
    to_width = op[TO_COLUMNS] + 2 * op[TO_PAD]
    to_height = op[TO_ROWS] + 2 * op[TO_PAD]
    size, stride, kind = op[SIZE], op[STRIDE], op[OP]
    best = np.empty(PIECE, np.float32)
    changed = False
    for row in range(op[TO_ROWS]):
        rows = min(size, op[IN_ROWS] - row * stride)
        for column in range(op[TO_COLUMNS]):
            columns = min(size, op[IN_COLUMNS] - column * stride)
            at = (
                op[IN]
                + (
                    (channel * in_height + row * stride + op[IN_PAD]) * in_width
                    + column * stride
                    + op[IN_PAD]
                )
                * PIECE
            )
            for p in range(PIECE):
                best[p] = act[at + p]
            if kind == RELU:
                for p in range(PIECE):
                    best[p] = max(best[p], np.float32(0.0))
            elif kind == MAXPOOL:
                for r in range(rows):
                    for c in range(columns):
                        window = at + (r * in_width + c) * PIECE
                        for p in range(PIECE):
                            best[p] = max(best[p], act[window + p])
            elif kind == AVGPOOL:
                for p in range(PIECE):
                    best[p] = 0.0
                for r in range(rows):
                    for c in range(columns):
                        window = at + (r * in_width + c) * PIECE
                        for p in range(PIECE):
                            best[p] += act[window + p]
                share = np.float32(1.0) / np.float32(rows * columns)
                for p in range(PIECE):
                    best[p] *= share
            to = op[TO] + ((channel * to_height + row + op[TO_PAD]) * to_width + column + op[TO_PAD]) * PIECE
            most = np.float32(0.0)
            for p in range(PIECE):
                difference = best[p] - act[to + p]
                delta[to + p] = difference
                act[to + p] = best[p]
                most = max(most, abs(difference))
            if most != 0.0:  # NaN, too
                changed = True
                if op[BY_FEATURE]:
                    flags[op[TO_FLAGS] + (channel * op[TO_ROWS] + row) * op[TO_COLUMNS] + column] = 1
    if changed and not op[BY_FEATURE]:
        flags[op[TO_FLAGS] + channel] = 1
