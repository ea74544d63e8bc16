"""Copies of a network multiplied through at the full rate of a processor's arithmetic, however many of their weights differ from it.

Agrees with :class:`lifesim.network.evaluate.Evaluator`, the plain path, but for the order of sums: whoever compares with a threshold decides
on the plain path what lies within :func:`lifesim.network.walk.slack` of it. What the first layer makes of the pictures is kept, and corrected where
few weights differ; and so is what a convolution behind it makes of that, where few of its inputs and weights do.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from lifesim.network import kernels as k
from lifesim.network.architecture import Architecture, Conv
from lifesim.network.changes import Changes
from lifesim.network.dense_kernels import Golden, Net, Room, multiply_golden, multiply_states, pack
from lifesim.network.forward import to_input
from lifesim.network.model import Model
from lifesim.network.product import OUTPUTS
from lifesim.network.program import Program, aligned_zeros

_GOLDEN_BYTES = 128 << 20


class Multiplier:
    """Evaluates copies of ``model`` whose network is a ``program``, noise-free. Not for several threads at once."""

    def __init__(self, model: Model, program: Program):
        self.model = model
        self._answer = program.answer
        self._net = tabulate(model, program)
        self._clean = self._net.weights.copy()
        self._packed = packed_places(self._net)
        self._room = _room_for(program)
        self._golden: OrderedDict[bytes, tuple[np.ndarray, Golden]] = OrderedDict()

    def logits(self, changes: Changes, pictures: np.ndarray, visited: np.ndarray) -> np.ndarray:
        """Return float32 logits [visited, m, classes]; NaN where anything in the state's read of a piece of pictures is not finite.

        ``changes``: of states; ``visited``: those asked for, ascending; ``pictures``: uint8 [m, channels, height, width].
        """
        out = np.empty((len(visited), len(pictures), self.model.architecture.classes), np.float32)
        for first in range(0, len(pictures), k.PIECE):
            piece = pictures[first : first + k.PIECE]
            golden = self._start(piece)
            logits = np.empty((len(visited), k.PIECE, out.shape[2]), np.float32)
            multiply_states(
                self._net, self._room, golden, self._clean, self._packed,
                changes.bounds, changes.places, changes.values, visited, changes.independent, self._answer, logits,
            )  # fmt: skip
            out[:, first : first + len(piece)] = logits[:, : len(piece)]
        return out

    def logits_of_copies(self, copies: Sequence[Sequence[np.ndarray]], pictures: np.ndarray) -> np.ndarray:
        """Return logits as :meth:`logits` does, of copies in which all weights may differ: per layer float32 weights or int16 codes [fan_in, fan_out]."""
        net = self._net._replace(weights=aligned_zeros(len(self._net.weights)))
        pieces = [self._laid_out(pictures[i : i + k.PIECE]) for i in range(0, len(pictures), k.PIECE)]
        out = np.empty((len(copies), len(pieces), k.PIECE, self.model.architecture.classes), np.float32)
        nothing = np.zeros((1, len(net.layers) + 1), np.int64)
        for copy, logits in zip(copies, out, strict=True):
            for weights, fmt, first in zip(copy, self.model.formats, net.first_weights, strict=False):
                codes = weights.dtype == np.int16
                pack(net.weights[first:], fmt.dequantise(weights) if codes else weights)
            for x, answers in zip(pieces, logits, strict=True):
                self._show(x)
                multiply_states(
                    net, self._room, _NO_GOLDEN, net.weights, self._packed,
                    nothing, _NO_PLACES, _NOTHING, _ONLY, True, self._answer, answers[None],
                )  # fmt: skip
        return out.reshape(len(copies), -1, out.shape[3])[:, : len(pictures)]

    def _start(self, pictures: np.ndarray) -> Golden:
        """Lay out pictures, and return what the network itself makes of them: worked out once as long as there is room."""
        key, new = pictures.tobytes(), None
        if key not in self._golden:
            new = Golden(*(aligned_zeros(n) for n in self._golden_sizes))
            self._golden[key] = self._laid_out(pictures), new
            while len(self._golden) > 1 and len(self._golden) * 4 * sum(self._golden_sizes) > _GOLDEN_BYTES:
                self._golden.popitem(last=False)
        self._golden.move_to_end(key)
        x, golden = self._golden[key]
        self._show(x)
        if new is not None:
            multiply_golden(self._net, self._room, golden)
        return golden

    @property
    def _golden_sizes(self) -> tuple[int, int, int]:
        return len(self._room.first), len(self._room.delta), len(self._room.second)

    def _laid_out(self, pictures: np.ndarray) -> np.ndarray:
        return pictures_last(self.model.architecture, pictures)

    def _show(self, x: np.ndarray) -> None:
        source = self._net.layers[0, k.SOURCE]
        self._room.act[source : source + len(x)] = x


def tabulate(model: Model, program: Program) -> Net:
    """Return a model as the kernels take it."""
    weights = [in_tiles(w) for w in model.weights()]
    taps = [_taps(layer) for layer in program.layers]
    return Net(
        program.layers,
        program.ops,
        np.concatenate(taps),
        _starts(taps),
        joined(weights),
        _starts(weights),
        np.concatenate(model.biases),
    )


def packed_places(net: Net) -> np.ndarray:
    """Return where each weight, counted through all layers, lies in a net's ``weights`` (uint32)."""
    parts = []
    for layer, first, taps in zip(net.layers, net.first_weights, np.diff(net.first_taps), strict=False):
        channel = np.arange(layer[k.OUTPUTS])
        of_channel = first + channel // OUTPUTS * (OUTPUTS * taps) + channel % OUTPUTS
        parts.append((np.arange(taps)[:, None] * OUTPUTS + of_channel).reshape(-1))
    return np.concatenate(parts).astype(np.uint32)


def _taps(layer: np.ndarray) -> np.ndarray:
    """Return how far the inputs of a position lie from its first, int64 [fan_in] in the order of the weights' rows."""
    if layer[k.KIND] == k.DENSE:
        return np.arange(layer[k.CHANNELS]) * k.PIECE
    side = np.arange(layer[k.KERNEL])
    rows = np.arange(layer[k.CHANNELS])[:, None] * layer[k.ROWS] + side
    return ((rows[:, :, None] * layer[k.COLUMNS] + side) * k.PIECE).reshape(-1)


def in_tiles(matrix: np.ndarray) -> np.ndarray:
    """Return [fan_in, fan_out] as [tile, fan_in, OUTPUTS], flat, with zeros in the last tile."""
    fan_in, fan_out = matrix.shape
    tiles = -(-fan_out // OUTPUTS)
    padded = np.zeros((fan_in, tiles * OUTPUTS), np.float32)
    padded[:, :fan_out] = matrix
    return padded.reshape(fan_in, tiles, OUTPUTS).transpose(1, 0, 2).reshape(-1)


def _starts(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.cumsum([0, *map(len, parts)])


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    joined = aligned_zeros(sum(map(len, parts)))
    np.concatenate(parts, out=joined)
    return joined


def _room_for(program: Program) -> Room:
    positions = program.layers[:, k.OUT_ROWS] * program.layers[:, k.OUT_COLUMNS]
    fan_out = int(program.layers[0, k.OUTPUTS])
    first = math.ceil(fan_out / OUTPUTS) * OUTPUTS * k.PIECE * int(positions[0])
    source = taps = second = 0
    if len(program.layers) > 1 and program.layers[1, k.KIND] == k.CONV:
        layer = program.layers[1]
        source = int(layer[k.CHANNELS] * layer[k.ROWS] * layer[k.COLUMNS]) * k.PIECE
        taps = int(layer[k.CHANNELS] * layer[k.KERNEL] ** 2)
        second = math.ceil(layer[k.OUTPUTS] / OUTPUTS) * OUTPUTS * k.PIECE * int(positions[1])
    return Room(
        aligned_zeros(program.size),
        aligned_zeros(OUTPUTS * k.PIECE * int(positions.max())),
        aligned_zeros(first),
        np.zeros(fan_out, np.uint8),
        np.zeros(fan_out, np.uint8),
        aligned_zeros(source),
        np.zeros(taps, np.int64),
        aligned_zeros(taps * OUTPUTS),
        aligned_zeros(second),
    )


def pictures_last(architecture: Architecture, pictures: np.ndarray) -> np.ndarray:
    """Return up to PIECE pictures as the first layer reads them: [channel, row, column, picture] with zeros around, flat."""
    x = np.zeros((k.PIECE, *architecture.input_shape), np.float32)
    x[: len(pictures)] = to_input(architecture, pictures).permute(0, 3, 1, 2).numpy()
    first = architecture.steps[0]
    pad = first.padding if isinstance(first, Conv) else 0
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    return x.reshape(k.PIECE, -1).T.reshape(-1)


_NOTHING = np.empty(0, np.float32)
_NO_GOLDEN = Golden(_NOTHING, _NOTHING, _NOTHING)
_NO_PLACES = np.empty(0, np.int64)
_ONLY = np.zeros(1, np.int64)
