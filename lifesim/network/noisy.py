"""Noisy reads of copies of a network that differ from it in few weights, at the full rate of a processor's arithmetic.

Agrees with :class:`lifesim.network.evaluate.Evaluator`, the plain path, but for the order of sums: whoever compares with a threshold decides
on the plain path what lies within :func:`lifesim.network.walk.slack` of it. What the first layer makes of the pictures is kept, and corrected where
weights differ; behind it all inputs are noisy, and everything is multiplied.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.network import kernels as k
from lifesim.network.changes import Changes
from lifesim.network.dense import in_tiles, joined, packed_places, pictures_last, tabulate
from lifesim.network.evaluate import NoiseKind, cell_squares, conversion_spread
from lifesim.network.model import Model
from lifesim.network.noisy_kernels import Desk, Results, Tables, multiply_first, read
from lifesim.network.product import OUTPUTS
from lifesim.network.program import Program, aligned_zeros, compile_program
from lifesim.normals import row_keys

_GOLDEN_BYTES = 32 << 20
_READERS_KEPT = 4


class NoisyReader:
    """Reads copies of ``model`` with noise of a ``kind``. Not for several threads at once; see :func:`noisy_reader_of`.

    Raises ValueError where the network does not end in one number a class.
    """

    def __init__(self, model: Model, encoding: Encoding, kind: NoiseKind):
        program = compile_program(model.architecture)
        if program is None:
            raise ValueError(f"{model.architecture.name} does not end in one number a class")
        self.model = model
        self._encoding, self._kind = encoding, kind
        self._answer = program.answer
        self._tables = self._tabulate(program)
        self._packed = packed_places(self._tables.net)
        self._desk = _desk_for(program)
        self._golden: OrderedDict[bytes, tuple[np.ndarray, Results]] = OrderedDict()

    def logits(self, changes: Changes, pictures: np.ndarray, sigma: float, keys: Sequence[int]) -> np.ndarray:
        """Return float32 logits [states, m, classes]; NaN where anything in the state's read of a piece of pictures is not finite.

        Parameters
        ----------
        changes : of states, each against the model
        pictures : uint8 [m, channels, height, width]
        sigma, keys : as of :class:`lifesim.network.evaluate.Noise` with the normals ``unit_normals(key, m, E)`` of each state's key
        """
        if not changes.independent:
            raise ValueError("a noisy read begins at the model: changes must be independent")
        states, m = len(changes.bounds), len(pictures)
        out = np.empty((states, m, self.model.architecture.classes), np.float32)
        pieces = -(-m // k.PIECE)
        rows = row_keys(keys, pieces * k.PIECE).reshape(states, pieces, k.PIECE, 2)
        values, variances = changes.values.copy(), self._variances(changes)
        for piece in range(pieces):
            part = slice(piece * k.PIECE, min((piece + 1) * k.PIECE, m))
            logits = np.empty((states, k.PIECE, out.shape[2]), np.float32)
            read(
                self._tables, self._desk, self._start(pictures[part]),
                changes.bounds, changes.places, self._packed[changes.places], values, variances,
                rows[:, piece].transpose(0, 2, 1).copy(), np.float32(sigma), self._answer, logits,
            )  # fmt: skip
            out[:, part] = logits[:, : part.stop - part.start]
        return out

    def _start(self, pictures: np.ndarray) -> Results:
        """Lay out pictures, and return what the first layer makes of them: worked out once as long as there is room."""
        key, new = pictures.tobytes(), None
        if key not in self._golden:
            size = len(self._desk.first.mean)
            new = Results(aligned_zeros(size), aligned_zeros(size))
            self._golden[key] = pictures_last(self.model.architecture, pictures), new
            while len(self._golden) > 1 and len(self._golden) * 2 * 4 * size > _GOLDEN_BYTES:
                self._golden.popitem(last=False)
        self._golden.move_to_end(key)
        x, golden = self._golden[key]
        source = self._tables.net.layers[0, k.SOURCE]
        self._desk.act[source : source + len(x)] = x
        with np.errstate(over="ignore"):
            np.multiply(x, x, out=self._desk.squares[source : source + len(x)])
        if new:
            multiply_first(self._tables, self._desk.act, self._desk.squares, new)
        return golden

    def _tabulate(self, program: Program) -> Tables:
        model = self.model
        squares = [
            in_tiles(self._squares(c, w, f.scale))
            for c, w, f in zip(model.codes, model.weights(), model.formats, strict=True)
        ]
        spreads = [
            (f.scale * conversion_spread(self._encoding, len(c))) ** 2 if self._kind == "cell_adc" else 0.0
            for c, f in zip(model.codes, model.formats, strict=True)
        ]
        return Tables(tabulate(model, program), joined(squares), np.array(spreads, np.float32))

    def _variances(self, changes: Changes) -> np.ndarray:
        """Return the variances of the weights that differ, in units of sigma^2."""
        scales = np.array([f.scale for f in self.model.formats], np.float64)
        ends = np.cumsum([c.size for c in self.model.codes])
        layer = np.searchsorted(ends, changes.places, side="right")
        return self._squares(changes.codes, changes.values, scales[layer])

    def _squares(self, codes: np.ndarray, weights: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
        if self._kind == "weight":
            return weights * weights
        if self._kind == "cell_adc":
            return np.zeros_like(weights)
        return (cell_squares(self._encoding)[codes.view(np.uint16)] * np.square(scale)).astype(np.float32)


class _Kept(threading.local):
    def __init__(self) -> None:
        self.readers: OrderedDict[tuple[bytes, Encoding, NoiseKind], NoisyReader] = OrderedDict()


_kept = _Kept()


def noisy_reader_of(model: Model, encoding: Encoding, kind: NoiseKind) -> NoisyReader | None:
    """Return the reader of a model in this thread, one of the last few kept; None where the network cannot be read so."""
    if compile_program(model.architecture) is None:
        return None
    readers, key = _kept.readers, (model.digest, encoding, kind)
    if key not in readers:
        readers[key] = NoisyReader(model, encoding, kind)
    readers.move_to_end(key)
    while len(readers) > _READERS_KEPT:
        readers.popitem(last=False)
    return readers[key]


def _desk_for(program: Program) -> Desk:
    positions = program.layers[:, k.OUT_ROWS] * program.layers[:, k.OUT_COLUMNS]
    fan_out = program.layers[:, k.OUTPUTS]
    tile = OUTPUTS * k.PIECE * int(positions.max())
    first = math.ceil(fan_out[0] / OUTPUTS) * OUTPUTS * k.PIECE * int(positions[0])
    at_once = max(int(positions.max()), int(fan_out[positions == 1].max(initial=0)))
    return Desk(
        aligned_zeros(program.size),
        aligned_zeros(program.size),
        Results(aligned_zeros(tile), aligned_zeros(tile)),
        Results(aligned_zeros(first), aligned_zeros(first)),
        np.zeros(fan_out[0], np.uint8),
        aligned_zeros((at_once + 2) * k.PIECE),
    )
