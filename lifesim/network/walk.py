"""States of a network that differ in few weights, evaluated one after the other by touching only what changes, or all anew where that is faster.

Agrees with :class:`lifesim.network.evaluate.Evaluator`, the plain path, but for the order of sums: whoever compares with a threshold decides
on the plain path what lies within :func:`slack` of it.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import Ageing, Overlay
from lifesim.network import kernels
from lifesim.network.changes import Changes, Transitions
from lifesim.network.costs import walking_is_faster
from lifesim.network.dense import Multiplier, pictures_last
from lifesim.network.model import Model
from lifesim.network.program import aligned_zeros, compile_program

TOLERANCE = 1e-4
_RELATIVE = 2.5e-5
_GOLDEN_BYTES = 128 << 20
_WALKERS_KEPT = 4


class Walker:
    """Evaluates states of copies of ``model``, noise-free. Not for several threads at once; see :func:`walker_of`.

    Raises ValueError where the network does not end in one number a class.
    """

    def __init__(self, model: Model, encoding: Encoding):
        program = compile_program(model.architecture)
        if program is None:
            raise ValueError(f"{model.architecture.name} does not end in one number a class")
        self.model, self.encoding = model, encoding
        self._program = program
        self._transitions = Transitions(model, encoding)
        self._base = np.concatenate([w.reshape(-1) for w in model.weights()])
        self._weights = self._base.copy()
        self._act, self._delta = aligned_zeros(program.size), aligned_zeros(program.size)
        self._shifted = aligned_zeros(program.shifted)
        self._flags = np.zeros(program.flags, np.uint8)
        self._touched = np.zeros(program.flags, np.uint8)
        self._golden: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def changes(self, states: Iterable[Overlay | Ageing], *, independent: bool = False) -> Changes:
        """Return by which weights each state differs from the one before (the first: from the model), or all from the model."""
        return self._transitions.between(states, independent)

    def logits(self, changes: Changes, pictures: np.ndarray, visited: np.ndarray | None = None) -> np.ndarray:
        """Return float32 logits [states, m, classes] for pictures uint8 [m, channels, height, width]; of all states, or of some (ascending)."""
        if visited is None:
            visited = np.arange(len(changes.bounds))
        pieces = [pictures[i : i + kernels.PIECE] for i in range(0, len(pictures), kernels.PIECE)]
        starts = len(pieces) * self._program.size * 4 > _GOLDEN_BYTES
        if not walking_is_faster(self._program, changes, visited, starts=starts):
            return self._multiplier.logits(changes, pictures, visited)
        out = np.empty((len(visited), len(pictures), self.model.architecture.classes), np.float32)
        for number, piece in enumerate(pieces):
            part = slice(number * kernels.PIECE, number * kernels.PIECE + len(piece))
            out[:, part] = self._piece(changes, piece, visited)[:, : len(piece)]
        return out

    def logits_of_copies(self, copies: Sequence[Sequence[np.ndarray]], pictures: np.ndarray) -> np.ndarray:
        """Return float32 logits [copies, m, classes] of copies in which all weights may differ: per layer float32 weights or int16 codes."""
        return self._multiplier.logits_of_copies(copies, pictures)

    @functools.cached_property
    def _multiplier(self) -> Multiplier:
        return Multiplier(self.model, self._program)

    def _piece(self, changes: Changes, pictures: np.ndarray, visited: np.ndarray) -> np.ndarray:
        golden = self._golden_of(pictures)
        self._act[:] = golden
        bounds, places, values = changes.bounds, changes.places, changes.values
        if changes.independent:
            return self._walk(bounds, places, values.copy(), visited, self._act, golden)
        out = self._walk(bounds, places, values, visited, self._act, None)
        self._weights[places] = self._base[places]
        return out

    def _golden_of(self, pictures: np.ndarray) -> np.ndarray:
        """Return the activations of the model itself, worked out once as long as there is room."""
        key = pictures.tobytes()
        if key not in self._golden:
            self._golden[key] = self._start(pictures)
            while len(self._golden) > 1 and len(self._golden) * self._program.size * 4 > _GOLDEN_BYTES:
                self._golden.popitem(last=False)
        return self._golden[key]

    def _start(self, pictures: np.ndarray) -> np.ndarray:
        program = self._program
        act = aligned_zeros(program.size)
        x = pictures_last(self.model.architecture, pictures)
        source = program.layers[0, kernels.SOURCE]
        act[source : source + x.size] = x
        # From nothing to the pictures and the biases is a change like any other.
        self._delta[source : source + x.size] = act[source : source + x.size]
        self._flags[: program.layers[0, kernels.CHANNELS]] = (
            1  # the first layer's sources have the first flags
        )
        for layer, biases in zip(program.layers, self.model.biases, strict=True):
            at, positions = layer[kernels.RESULT], layer[kernels.OUT_ROWS] * layer[kernels.OUT_COLUMNS]
            size = len(biases) * positions * kernels.PIECE
            self._flags[layer[kernels.RESULT_FLAGS] : layer[kernels.RESULT_FLAGS] + len(biases)] = 1
            act[at : at + size] = (
                np.repeat(biases, positions * kernels.PIECE)
                if layer[kernels.KIND] == kernels.CONV
                else np.tile(biases, kernels.PIECE)
            )
        no_change = np.zeros((1, len(program.layers) + 1), np.int64)
        self._walk(no_change, _NO_PLACES, _NOTHING, np.zeros(1, np.int64), act, None)
        self._flags[:] = 0
        return act

    def _walk(
        self,
        bounds: np.ndarray,
        places: np.ndarray,
        values: np.ndarray,
        visited: np.ndarray,
        act: np.ndarray,
        golden: np.ndarray | None,
    ) -> np.ndarray:
        program, classes = self._program, self.model.architecture.classes
        out = np.empty((len(visited), kernels.PIECE, classes), np.float32)
        kernels.walk(
            program.layers, program.ops, self._weights, act, self._delta, self._flags, self._shifted,
            bounds, places, values, visited,
            _NOTHING if golden is None else golden,
            _NO_FLAGS if golden is None else self._touched,
            program.answer, classes, out,
        )  # fmt: skip
        return out


def slack(logits: np.ndarray) -> float:
    """Return by how much confidences may differ from those of the plain path: 1e-4, or more where logits are far above 4. Logits by twice that.

    Errors are of the size of the last bits of the largest numbers on the way; the tests' worst cases stay below a quarter of it.
    """
    largest = float(np.abs(logits).max(initial=0.0))
    return max(TOLERANCE, _RELATIVE * largest) if np.isfinite(largest) else float("inf")


class _Kept(threading.local):
    def __init__(self) -> None:
        self.walkers: OrderedDict[tuple[bytes, Encoding], Walker] = OrderedDict()


_kept = _Kept()


def walker_of(model: Model, encoding: Encoding) -> Walker | None:
    """Return the walker of a model in this thread, one of the last few kept; None where the network cannot be walked."""
    if compile_program(model.architecture) is None:
        return None
    walkers, key = _kept.walkers, (model.digest, encoding)
    if key not in walkers:
        walkers[key] = Walker(model, encoding)
    walkers.move_to_end(key)
    while len(walkers) > _WALKERS_KEPT:
        walkers.popitem(last=False)
    return walkers[key]


_NOTHING = np.empty(0, np.float32)
_NO_PLACES = np.empty(0, np.int64)
_NO_FLAGS = np.empty(0, np.uint8)
