"""Compiled kernels that read copies of a network with noise: of each result its mean, its variance, a normal, and on to the next layer.

Built on :mod:`lifesim.network.dense_kernels`: of each result its variance is worked out beside its mean, tile by tile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from lifesim.network import kernels as k
from lifesim.network.dense_kernels import Net, add, apply, copy, exchange, products
from lifesim.network.kernels import CONV, PIECE
from lifesim.network.product import OUTPUTS
from lifesim.normals import hash_bits, normal_pair

# Compiled in: 3c59283a

_options = dict(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_compiled = numba.njit(**_options, no_cpython_wrapper=True, no_cfunc_wrapper=True)
_u64 = np.uint64
_FIRST = np.int64(0)  # a literal would have functions compiled twice
_INFINITY = 0x7F800000  # the bits from which on a float32 is not finite


class Tables(NamedTuple):
    """A network for the kernels: what changes from copy to copy is put back at once.

    ``variances`` float32: of the weights, laid out as they are, in units of sigma^2. ``spreads`` float32 per layer: the variance of a result in units
    of sigma^2 and of the largest square of its inputs, where all weights share it; else 0.
    """

    net: Net
    variances: np.ndarray
    spreads: np.ndarray


class Results(NamedTuple):
    """Results of a layer without bias and noise, and their variances in units of sigma^2 (float32 [channel, position, picture])."""

    mean: np.ndarray
    variance: np.ndarray


class Desk(NamedTuple):
    """Room to work: activations and their squares, results of a tile, those of the first layer where weights differ, normals."""

    act: np.ndarray
    squares: np.ndarray
    tile: Results
    first: Results
    corrected: np.ndarray
    normals: np.ndarray


@numba.njit(**_options)
def multiply_first(tables: Tables, act: Any, squares: Any, results: Results) -> None:
    """Fill in what the first layer makes of the pictures."""
    layer = tables.net.layers[0]
    size = layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS] * PIECE
    if tables.spreads[0] > 0:
        _spread(tables, _FIRST, squares, results.variance)
    for tile in range(0, layer[k.OUTPUTS], OUTPUTS):
        products(tables.net, _FIRST, tile, tables.net.weights, act, results.mean[tile * size :])
        if tables.spreads[0] == 0:
            products(tables.net, _FIRST, tile, tables.variances, squares, results.variance[tile * size :])


@numba.njit(**_options)
def read(
    tables: Tables, desk: Desk, golden: Results, bounds: Any, places: Any, packed: Any, values: Any, variances: Any, keys: Any, sigma: Any, answer: int, out: Any
) -> None:  # fmt: skip
    """Read one state after the other; ``out`` [states, PIECE, classes] gets their logits, NaN where anything on the way was not finite.

    Of state s and layer l, the weights ``places[b[s, l]:b[s, l + 1]]``, which lie at ``packed``, have ``values`` and ``variances``, where b is ``bounds``. ``golden``:
    the first layer's results of the network itself. ``keys`` uint64 [states, PIECE, 2]: of the normals.
    """
    for s in range(len(bounds)):
        first, behind, end = bounds[s, 0], bounds[s, 1], bounds[s, len(tables.net.layers)]
        _correct_first(tables, desk, golden, places[:behind], first, packed, values, variances)
        _exchange(tables, packed, values, variances, behind, end)
        element, finite = np.int64(0), True
        for number in range(len(tables.net.layers)):
            layer = tables.net.layers[number]
            finite &= _read_layer(tables, desk, golden, number, keys[s], element, sigma)
            element += layer[k.OUTPUTS] * layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS]
        for p in range(PIECE):
            for c in range(out.shape[2]):
                out[s, p, c] = desk.act[answer + c * PIECE + p] if finite else np.nan
        _exchange(tables, packed, values, variances, behind, end)


@_compiled
def _exchange(tables: Tables, packed: Any, values: Any, variances: Any, begin: int, end: int) -> None:
    """Swap weights with those given: doing it twice is doing nothing."""
    exchange(tables.net.weights, packed, values, begin, end)
    exchange(tables.variances, packed, variances, begin, end)


@_compiled
def _correct_first(
    tables: Tables,
    desk: Desk,
    golden: Results,
    places: Any,
    begin: int,
    packed: Any,
    values: Any,
    variances: Any,
) -> None:
    """Fill in the first layer's channels in which weights differ."""
    layer = tables.net.layers[0]
    n, width = layer[k.OUTPUTS], layer[k.OUT_COLUMNS] * PIECE
    size = layer[k.OUT_ROWS] * width
    desk.corrected[:] = 0
    for i in range(begin, len(places)):
        tap, channel = divmod(places[i], n)
        first = channel * size
        if not desk.corrected[channel]:
            desk.corrected[channel] = 1
            copy(desk.first.mean[first : first + size], golden.mean[first:])
            if tables.spreads[0] == 0:
                copy(desk.first.variance[first : first + size], golden.variance[first:])
        at = packed[i]
        for row in range(layer[k.OUT_ROWS]):
            x = layer[k.SOURCE] + tables.net.taps[tap] + row * layer[k.COLUMNS] * PIECE
            y = first + row * width
            add(desk.first.mean[y : y + width], values[i] - tables.net.weights[at], desk.act[x:])
            if tables.spreads[0] == 0:
                add(desk.first.variance[y : y + width], variances[i] - tables.variances[at], desk.squares[x:])


@_compiled
def _read_layer(
    tables: Tables, desk: Desk, golden: Results, number: int, keys: Any, element: int, sigma: Any
) -> bool:
    """Read a layer, whose first result takes normal ``element``, and do what follows; return whether all results are finite."""
    layer = tables.net.layers[number]
    n, positions = layer[k.OUTPUTS], layer[k.OUT_ROWS] * layer[k.OUT_COLUMNS]
    size = positions * PIECE
    spread = tables.spreads[number] > 0
    if spread and number > 0:
        _spread(tables, number, desk.squares, desk.tile.variance)
    finite = True
    drawn = 0  # channels whose normals have been drawn; those of the last `at_once` are still there
    at_once = 1 if layer[k.KIND] == CONV else n
    first_normal = 0
    for tile in range(0, n, OUTPUTS):
        if number > 0:
            products(tables.net, number, tile, tables.net.weights, desk.act, desk.tile.mean)
            if not spread:
                products(tables.net, number, tile, tables.variances, desk.squares, desk.tile.variance)
        for channel in range(tile, min(tile + OUTPUTS, n)):
            if channel == drawn:
                first_normal = _draw(keys, element + channel * positions, at_once * positions, desk.normals)
                drawn += at_once
            z = first_normal + (channel - drawn + at_once) * size
            if number > 0:
                results, at = desk.tile, (channel - tile) * size
            else:
                results, at = desk.first if desk.corrected[channel] else golden, channel * size
            to = layer[k.RESULT] + channel * size
            finite &= _add_noise(
                desk.act[to : to + size],
                results.mean[at:],
                (golden.variance if number == 0 else results.variance) if spread else results.variance[at:],
                desk.normals[z:],
                tables.net.biases[layer[k.BIASES] + channel],
                sigma,
            )
            for index in range(layer[k.FIRST_OP], layer[k.END_OP]):
                apply(tables.net.ops[index], channel, desk.act)
            _square(tables.net.ops[layer[k.END_OP] - 1], channel, desk.act, desk.squares)
    return finite


@_compiled
def _spread(tables: Tables, number: int, squares: Any, out: Any) -> None:
    """Fill in the variance that all results of a position share: [position, picture]."""
    layer = tables.net.layers[number]
    taps = tables.net.taps[tables.net.first_taps[number] : tables.net.first_taps[number + 1]]
    columns = layer[k.OUT_COLUMNS]
    for position in range(layer[k.OUT_ROWS] * columns):
        row, column = divmod(position, columns)
        origin = layer[k.SOURCE] + (row * layer[k.COLUMNS] + column) * PIECE
        at = position * PIECE
        for p in range(PIECE):
            out[at + p] = 0.0
        for tap in taps:
            for p in range(PIECE):
                out[at + p] = max(out[at + p], squares[origin + tap + p])
        for p in range(PIECE):
            out[at + p] *= tables.spreads[number]


@_compiled
def _draw(keys: Any, first: int, count: int, out: Any) -> int:
    """Draw the normals of places ``first`` to ``first + count`` of each row [place, picture]; return where they begin."""
    for pair in range(first // 2, (first + count + 1) // 2):
        at = (pair - first // 2) * 2 * PIECE
        x, y = out[at : at + PIECE], out[at + PIECE : at + 2 * PIECE]
        for p in range(PIECE):
            x[p], y[p] = normal_pair(hash_bits(keys[0, p], keys[1, p], _u64(pair)))
    return first % 2 * PIECE


@_compiled
def _add_noise(y: Any, mean: Any, variance: Any, z: Any, bias: Any, sigma: Any) -> bool:
    """Fill in results, and return whether they are all finite."""
    largest = 0
    for j in range(len(y)):
        # Corrections may leave a little less than nothing.
        spread = np.sqrt(np.float32(0.0) if variance[j] < 0 else variance[j])
        result = np.float32(mean[j] + sigma * spread * z[j] + bias)
        y[j] = result
        largest = max(largest, result.view(np.int32) & 0x7FFFFFFF)
    return largest < _INFINITY


@_compiled
def _square(op: Any, channel: int, act: Any, squares: Any) -> None:
    """Square what a layer passes on of a channel, zeros around it included."""
    size = (op[k.TO_ROWS] + 2 * op[k.TO_PAD]) * (op[k.TO_COLUMNS] + 2 * op[k.TO_PAD]) * PIECE
    first = op[k.TO] + channel * size
    x, y = act[first : first + size], squares[first : first + size]
    for j in range(len(y)):
        y[j] = x[j] * x[j]
