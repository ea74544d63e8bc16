"""Compiled kernels that multiply a network through, layer by layer at the full rate of the processor's arithmetic, whatever differs in its weights.

As in :mod:`lifesim.network.kernels`, all activations of one piece of pictures lie in one float32 array at the offsets of a
:class:`lifesim.network.program.Program`. But pictures always come last: a feature is a channel of one position. A layer is worked off in tiles of
OUTPUTS channels, each with all that follows while it is in the nearest cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from lifesim.network import kernels as k
from lifesim.network.kernels import AVGPOOL, MAXPOOL, PIECE, RELU
from lifesim.network.product import HALF, OUTPUTS, multiply, multiply_half

# Compiled in: bad00277

_options = dict(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_compiled = numba.njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)
_BLOCK = 16
_FIRST, _SECOND = np.int64(0), np.int64(1)  # literals would have functions compiled twice
_INFINITY = 0x7F800000  # the bits from which on a float32 is not finite
# A weight of the first layer that is corrected takes as long as so many that are multiplied, at each position and besides (measured).
_CORRECTED, _BESIDES = 8, 24
_WORTHWHILE = 0.8  # of the second layer's multiplications: what a correction may take, besides laying it out
_COPIED = 16  # weights are copied in the time in which one is sought out (measured)


class Net(NamedTuple):
    """A network for the kernels: what changes from copy to copy is put back at once.

    ``weights`` float32: of each layer from ``first_weights`` on [tile, tap, OUTPUTS], with zeros in the last tile. ``taps`` int64, of each layer
    from ``first_taps`` on: how far the inputs of a position lie from its first.
    """

    layers: np.ndarray
    ops: np.ndarray
    taps: np.ndarray
    first_taps: np.ndarray
    weights: np.ndarray
    first_weights: np.ndarray
    biases: np.ndarray


class Golden(NamedTuple):
    """What some pictures come to in the network itself: results of the ``first`` layer, and of the ``second`` if that is a convolution, with what it reads
    (``source``); results are [channel, position, picture], without biases. What is not known is empty.
    """

    first: np.ndarray
    source: np.ndarray
    second: np.ndarray


class Room(NamedTuple):
    """Room to work: activations, results of a tile, those of the first layer where weights differ.

    uint8 per channel of the first layer: whether its weights ``differ``, and whether what follows from it is ``stale``. For the second layer, where it is
    corrected: by how much its inputs differ (``delta``), the weights and ``taps`` that read these, and its results but for them.
    """

    act: np.ndarray
    tile: np.ndarray
    first: np.ndarray
    differ: np.ndarray
    stale: np.ndarray
    delta: np.ndarray
    taps: np.ndarray
    weights: np.ndarray
    second: np.ndarray


@numba.njit(**_options)
def multiply_first(net: Net, act: Any, results: Any) -> None:
    """Fill in what the first layer makes of the pictures: [channel, position, picture] without biases, as many channels as are in tiles."""
    layer = net.layers[0]
    size = layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS] * PIECE
    for tile in range(0, layer[k.OUTPUTS], OUTPUTS):
        products(net, _FIRST, tile, net.weights, act, results[tile * size :])


@numba.njit(**_options)
def multiply_golden(net: Net, room: Room, golden: Golden) -> None:
    """Fill in ``golden``, of the pictures that are shown."""
    multiply_first(net, room.act, golden.first)
    if not len(golden.second):
        return
    room.differ[:], room.stale[:] = 0, 1
    _multiply_layer(net, room, golden, _FIRST, False)
    layer = net.layers[_SECOND]
    copy(golden.source, room.act[layer[k.SOURCE] :])
    size = layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS] * PIECE
    for tile in range(0, layer[k.OUTPUTS], OUTPUTS):
        products(net, _SECOND, tile, net.weights, room.act, golden.second[tile * size :])


@numba.njit(**_options)
def multiply_states(
    net: Net, room: Room, golden: Golden, clean: Any, packed: Any, bounds: Any, places: Any, values: Any, visited: Any, independent: bool, answer: int,
    out: Any,
) -> None:  # fmt: skip
    """Go from state to state and stop at those ``visited`` (ascending); ``out`` [visited, PIECE, classes] gets their logits, NaN where anything
    on the way was not finite.

    Of state s and layer l, the weights ``places[b[s, l]:b[s, l + 1]]`` take ``values``, where b is ``bounds``; if ``independent``, they differ from
    the network itself, else from the state before. ``clean``: the network's own weights, to which those of ``net`` return; each weight lies at its
    number of ``packed``. ``golden``: of the network itself; what is empty is not made use of.
    """
    layer = net.layers[0]
    positions = layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS]
    room.differ[:], room.stale[:] = 0, 1
    finite = False
    for stop in range(len(visited)):
        s = visited[stop]
        first = s if independent else (visited[stop - 1] + 1 if stop else 0)
        count = 0
        for passed in range(first, s + 1):
            count += bounds[passed, 1] - bounds[passed, 0]
        few = (
            len(golden.first) > 0
            and count * (_CORRECTED * positions + _BESIDES) < net.first_taps[1] * layer[k.OUTPUTS] * positions
        )
        for passed in range(first, s + 1):
            begin, end = bounds[passed, 0], bounds[passed, len(net.layers)]
            if few:
                behind = bounds[passed, 1]
                _correct_first(net, room, golden.first, packed, places[begin:behind], values[begin:behind])
            _put(net.weights, packed, places[begin:end], values[begin:end])
        if not few:
            multiply_first(net, room.act, room.first)
            room.differ[:], room.stale[:] = 1, 1
        if len(golden.second) > 0 and not independent:
            _find_unchanged(net, room, clean)
        behind = 0  # changes behind the first layer
        for passed in range(first, s + 1):
            behind += bounds[passed, len(net.layers)] - bounds[passed, 1]
        if stop and finite and not (independent or behind or room.stale.any()):
            out[stop] = out[stop - 1]  # these pictures do not show any of what has changed
            continue
        finite = True
        for number in range(len(net.layers)):
            corrected = number == _SECOND and _begin_correction(net, room, golden, clean)
            finite &= _multiply_layer(net, room, golden, number, corrected)
        for p in range(PIECE):
            for c in range(out.shape[2]):
                out[stop, p, c] = room.act[answer + c * PIECE + p] if finite else np.nan
        if independent:
            _take_back(net.weights, clean, packed, places[bounds[s, 0] : bounds[s, len(net.layers)]])
            for channel in range(len(room.differ)):
                room.stale[channel] |= room.differ[channel]
                room.differ[channel] = 0
    if not independent and len(visited):
        _take_back(net.weights, clean, packed, places[: bounds[visited[-1], len(net.layers)]])


@numba.njit(**_options)
def pack(tiles: Any, matrix: Any) -> None:
    """Fill in the weights of a layer, which begin ``tiles``, from float32 [fan_in, fan_out]."""
    fan_in, fan_out = matrix.shape
    for block in range(0, fan_in, _BLOCK):  # of rows, for the caches
        for tile in range(0, fan_out, OUTPUTS):
            width = fan_out - tile
            for tap in range(block, min(block + _BLOCK, fan_in)):
                at = tile * fan_in + tap * OUTPUTS
                if width >= OUTPUTS:
                    for i in range(OUTPUTS):
                        tiles[at + i] = matrix[tap, tile + i]
                else:
                    for i in range(width):
                        tiles[at + i] = matrix[tap, tile + i]


@_compiled
def exchange(weights: Any, packed: Any, values: Any, begin: int, end: int) -> None:
    """Swap weights with those given: doing it twice is doing nothing."""
    for i in range(begin, end):
        at = packed[i]
        weights[at], values[i] = values[i], weights[at]


# Places are unsigned: Numba would ask of others whether they count from the end.
@_compiled
def _put(weights: Any, packed: Any, places: Any, values: Any) -> None:
    for i in range(len(places)):
        weights[packed[np.uint64(places[i])]] = values[i]


@_compiled
def _take_back(weights: Any, clean: Any, packed: Any, places: Any) -> None:
    if len(places) * _COPIED > len(weights):
        copy(weights, clean)
        return
    for i in range(len(places)):
        at = packed[np.uint64(places[i])]
        weights[at] = clean[at]


@_compiled
def _correct_first(net: Net, room: Room, golden: Any, packed: Any, places: Any, values: Any) -> None:
    """Correct the first layer's channels for weights that are about to change."""
    layer = net.layers[0]
    n, width = layer[k.OUTPUTS], layer[k.OUT_COLUMNS] * PIECE
    size = layer[k.OUT_ROWS] * width
    for i in range(len(places)):
        tap, channel = divmod(places[i], n)
        if layer[k.KIND] == k.DENSE and _is_blank(room.act[layer[k.SOURCE] + net.taps[tap] :]):
            continue
        first = channel * size
        room.stale[channel] = 1
        if not room.differ[channel]:
            room.differ[channel] = 1
            copy(room.first[first : first + size], golden[first:])
        for row in range(layer[k.OUT_ROWS]):
            x = layer[k.SOURCE] + net.taps[tap] + row * layer[k.COLUMNS] * PIECE
            y = first + row * width
            add(
                room.first[y : y + width], values[i] - net.weights[packed[np.uint64(places[i])]], room.act[x:]
            )


@_compiled
def _find_unchanged(net: Net, room: Room, clean: Any) -> None:
    """Of the first layer's channels whose weights have differed, find those whose do not any more."""
    n, taps = net.layers[0, k.OUTPUTS], net.first_taps[1]
    for channel in range(n):
        if room.differ[channel]:
            first = channel // OUTPUTS * OUTPUTS * taps + channel % OUTPUTS
            differs = 0
            for tap in range(taps):
                at = first + tap * OUTPUTS
                differs |= net.weights[at] != clean[at]
            if not differs:
                room.differ[channel], room.stale[channel] = 0, 1


@_compiled
def _begin_correction(net: Net, room: Room, golden: Golden, clean: Any) -> bool:
    """See whether the second layer is sooner corrected than multiplied, as few of its inputs differ from those of the network itself, and few of its
    weights: W X = W_0 X_0 + (W - W_0) X_0 + W (X - X_0). If so, work out the first two terms and lay out the third.
    """
    if not len(golden.second):
        return False
    layer = net.layers[_SECOND]
    begin, end = net.first_weights[_SECOND], net.first_weights[_SECOND + 1]
    inputs, taps = layer[k.CHANNELS], net.taps[net.first_taps[_SECOND] : net.first_taps[_SECOND + 1]]
    differ = weights = 0
    for channel in range(inputs):
        differ += room.differ[channel]
    for at in range(begin, end):
        weights += net.weights[at] != clean[at]
    if (differ * (end - begin) + weights * inputs * _CORRECTED) > _WORTHWHILE * (end - begin) * inputs:
        return False
    columns, width = layer[k.COLUMNS], layer[k.OUT_COLUMNS] * PIECE
    size = layer[k.OUT_ROWS] * width
    copy(room.second, golden.second)
    of_tile = OUTPUTS * len(taps)
    for at in range(begin, end):
        change = net.weights[at] - clean[at]
        if change != 0.0:
            tile, within = divmod(at - begin, of_tile)
            tap, output = divmod(within, OUTPUTS)
            y = (tile * OUTPUTS + output) * size
            for row in range(layer[k.OUT_ROWS]):
                run = room.second[y + row * width : y + (row + 1) * width]
                add(run, change, golden.source[taps[tap] + row * columns * PIECE :])
    plane, reach = layer[k.ROWS] * columns * PIECE, layer[k.KERNEL] * layer[k.KERNEL]
    found = 0
    for channel in range(inputs):
        if room.differ[channel]:
            new, old = room.act[layer[k.SOURCE] + channel * plane :], golden.source[channel * plane :]
            _subtract(room.delta[found * plane : (found + 1) * plane], new, old)
            for tap in range(reach):
                room.taps[found * reach + tap] = found * plane + taps[tap]
            found += 1
    return True


@_compiled
def _correct_tile(net: Net, room: Room, tile: int) -> None:
    """Fill in a tile's products of the second layer, where it is corrected."""
    layer = net.layers[_SECOND]
    reach, size = layer[k.KERNEL] * layer[k.KERNEL], layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS] * PIECE
    inputs, run = layer[k.CHANNELS], reach * OUTPUTS
    first = net.first_weights[_SECOND] + tile * inputs * reach
    found = 0
    for channel in range(inputs):
        if room.differ[channel]:
            copy(room.weights[found * run : (found + 1) * run], net.weights[first + channel * run :])
            found += 1
    few = layer[k.OUTPUTS] - tile <= HALF
    _multiply_positions(layer, few, room.weights, 0, room.taps[: found * reach], room.delta, 0, room.tile)
    there = min(OUTPUTS, layer[k.OUTPUTS] - tile) * size
    add(room.tile[:there], np.float32(1.0), room.second[tile * size :])


@_compiled
def _multiply_layer(net: Net, room: Room, golden: Golden, number: int, corrected: bool) -> bool:
    """Multiply a layer, or end its correction, and do what follows where it is not done yet; return whether all results are finite."""
    layer = net.layers[number]
    n, size = layer[k.OUTPUTS], layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS] * PIECE
    finite = True
    for tile in range(0, n, OUTPUTS):
        if corrected:
            _correct_tile(net, room, tile)
        elif number > 0:
            products(net, number, tile, net.weights, room.act, room.tile)
        for channel in range(tile, min(tile + OUTPUTS, n)):
            if number > 0:
                results, at = room.tile, (channel - tile) * size
            elif room.stale[channel]:
                results, at = room.first if room.differ[channel] else golden.first, channel * size
            else:
                continue
            to = layer[k.RESULT] + channel * size
            y = room.act[to : to + size]
            all_finite = _add_bias(y, results[at:], net.biases[layer[k.BIASES] + channel])
            finite &= all_finite
            if number == 0:
                room.stale[channel] = not all_finite
            for index in range(layer[k.FIRST_OP], layer[k.END_OP]):
                apply(net.ops[index], channel, room.act)
    return finite


@_compiled
def _add_bias(y: Any, x: Any, bias: Any) -> bool:
    """Fill in results, and return whether they are all finite."""
    largest = 0
    for j in range(len(y)):
        result = np.float32(x[j] + bias)
        y[j] = result
        largest = max(largest, result.view(np.int32) & 0x7FFFFFFF)
    return largest < _INFINITY


@_compiled
def products(net: Net, number: int, tile: int, weights: Any, x: Any, out: Any) -> None:
    """Fill in the products of up to OUTPUTS channels from ``tile`` on: [channel, position, picture]."""
    layer = net.layers[number]
    taps = net.taps[net.first_taps[number] : net.first_taps[number + 1]]
    first = net.first_weights[number] + tile * len(taps)
    few = layer[k.OUTPUTS] - tile <= HALF
    _multiply_positions(layer, few, weights, first, taps, x, layer[k.SOURCE], out)


@_compiled
def _multiply_positions(
    layer: Any, few: bool, weights: Any, first: int, taps: Any, x: Any, source: int, out: Any
) -> None:
    rows, columns = layer[k.OUT_ROWS], layer[k.OUT_COLUMNS]
    apart = rows * columns * PIECE
    for row in range(rows):
        for column in range(columns):
            origin = source + (row * layer[k.COLUMNS] + column) * PIECE
            at = (row * columns + column) * PIECE
            if few:
                multiply_half(weights, first, x, origin, taps, len(taps), out, at, apart)
            else:
                multiply(weights, first, x, origin, taps, len(taps), out, at, apart)


@_compiled
def apply(op: Any, channel: int, act: Any) -> None:
    """Do an activation function or pooling of one channel."""
    in_width, to_width = op[k.IN_COLUMNS] + 2 * op[k.IN_PAD], op[k.TO_COLUMNS] + 2 * op[k.TO_PAD]
    in_height, to_height = op[k.IN_ROWS] + 2 * op[k.IN_PAD], op[k.TO_ROWS] + 2 * op[k.TO_PAD]
    size, stride, kind = op[k.SIZE], op[k.STRIDE], op[k.OP]
    for row in range(op[k.TO_ROWS]):
        rows = min(size, op[k.IN_ROWS] - row * stride)
        to = op[k.TO] + ((channel * to_height + row + op[k.TO_PAD]) * to_width + op[k.TO_PAD]) * PIECE
        at = (
            op[k.IN] + ((channel * in_height + row * stride + op[k.IN_PAD]) * in_width + op[k.IN_PAD]) * PIECE
        )
        if kind != MAXPOOL and kind != AVGPOOL:
            y = act[to : to + op[k.TO_COLUMNS] * PIECE]
            copy(y, act[at:])
            if kind == RELU:
                for j in range(len(y)):
                    y[j] = max(y[j], np.float32(0.0))
            continue
        for column in range(op[k.TO_COLUMNS]):
            columns = min(size, op[k.IN_COLUMNS] - column * stride)
            y, x = act[to + column * PIECE :], at + column * stride * PIECE
            if kind == MAXPOOL:
                _fill(y, act[x:])
                for r in range(rows):
                    for c in range(columns):
                        _raise(y, act[x + (r * in_width + c) * PIECE :])
            else:
                share = np.float32(1.0) / np.float32(rows * columns)
                for p in range(PIECE):
                    y[p] = 0.0
                for r in range(rows):
                    for c in range(columns):
                        _share(y, share, act[x + (r * in_width + c) * PIECE :])


# Of a whole piece: with indices from 0 on, which LLVM knows not to be negative, these are vectors.
@_compiled
def _fill(y: Any, x: Any) -> None:
    for p in range(PIECE):
        y[p] = x[p]


@_compiled
def _is_blank(x: Any) -> bool:
    shown = 0
    for p in range(PIECE):
        shown |= np.int64(x[p] != 0.0)
    return shown == 0


@_compiled
def _raise(y: Any, x: Any) -> None:
    for p in range(PIECE):
        y[p] = max(y[p], x[p])


@_compiled
def _share(y: Any, share: Any, x: Any) -> None:
    for p in range(PIECE):
        y[p] += share * x[p]


@_compiled
def copy(y: Any, x: Any) -> None:
    for j in range(len(y)):
        y[j] = x[j]


@_compiled
def _subtract(y: Any, x: Any, u: Any) -> None:
    for j in range(len(y)):
        y[j] = x[j] - u[j]


@_compiled
def add(y: Any, factor: Any, x: Any) -> None:
    for j in range(len(y)):
        y[j] += factor * x[j]
