"""Weights that can still move make up for those that cannot: optimal brain surgery on a crossbar with stuck cells.

Nearest codes leave errors e in a few weights of an output. As the layer's inputs go together, other weights of that output can undo most of what
these do to it: they take the steps that minimise E[(d . x)^2], d being e where a weight is stuck. That is the step of Optimal Brain Surgeon (Hassibi &
Stork 1993) for weights that are forced to a value, layer by layer as in Optimal Brain Compression and GPTQ (Frantar & Alistarh 2022, Frantar et al.
2023). It takes neither labels nor training, nor anything from the cloud but :class:`Correlations`, which come with the network.

With H = D + A A^T the free weights' steps are -D^-1 A z, where (1 + A_f^T D_f^-1 A_f) z = A_e^T e: as many unknowns as there are features, and not
as there are weights (Woodbury 1950).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from lifesim.crossbar.faults import FaultMap
from lifesim.recovery.nearest import in_offset_binary, nearest_codes, nearest_of, stuck_bits

# Compiled in: 5b55f8d9

_NEGLIGIBLE = 1e-4
"""Of an output's mean square: less of an error (1 % of the root mean square) is let be, and a weight that may end up so far off is free to move."""
_LOWEST, _HIGHEST = -(1 << 15), (1 << 15) - 1


class Layer(NamedTuple):
    """H of one layer, all float64: ``own`` [n], ``shared`` [n, features] and transposed, the diagonal of H, and 1 + A^T D^-1 A."""

    own: np.ndarray
    shared: np.ndarray
    across: np.ndarray
    squares: np.ndarray
    system: np.ndarray


@dataclass(frozen=True, eq=False)
class Correlations:
    """Per crossbar layer E[x x^T] of its inputs x as diag(``own``) + ``shared`` @ ``shared``.T (float16 [fan_in] and [fan_in, features]), in any unit.

    ``own`` must be positive.
    """

    own: tuple[np.ndarray, ...]
    shared: tuple[np.ndarray, ...]

    @property
    def nbytes(self) -> int:
        """What a device keeps."""
        return sum(array.nbytes for array in (*self.own, *self.shared))


@functools.lru_cache(maxsize=8)
def _layers(correlations: Correlations) -> tuple[Layer, ...]:
    found = []
    for own, shared in zip(correlations.own, correlations.shared, strict=True):
        own, shared = own.astype(np.float64), np.ascontiguousarray(shared, np.float64)
        squares = own + (shared**2).sum(axis=1)
        found.append(Layer(own, shared, shared.T.copy(), squares, _system(own, shared)))
    return tuple(found)


def compensated(
    codes: Sequence[np.ndarray], fault_map: FaultMap, correlations: Correlations
) -> tuple[np.ndarray, ...]:
    """Return the codes to program (int16, shapes of ``codes``): the nearest that stuck cells allow, others moved so that outputs stay as they were.

    Weights with a stuck cell that is worth little move as well, to the nearest code of where they should. An output whose expected squared error,
    rounding included, would not be smaller keeps the nearest codes alone.
    """
    fitted = nearest_codes(codes, fault_map)
    encoding = fault_map.encoding
    for targets, held, cells, levels, layer in zip(
        codes, fitted, fault_map.cells, fault_map.values, _layers(correlations), strict=True
    ):
        if not len(cells):
            continue
        weights, stuck, shown = stuck_bits(cells, levels, encoding)
        rows, columns = np.divmod(weights, targets.shape[1])
        order = np.argsort(columns, kind="stable")
        outputs, first = np.unique(columns[order], return_index=True)
        _compensate(
            targets, held, rows[order], stuck[order], in_offset_binary(stuck, shown, encoding)[order],
            outputs, np.append(first, len(order)), *layer,
        )  # fmt: skip
    return fitted


@njit(nogil=True, cache=True)
def _system(own: np.ndarray, shared: np.ndarray) -> np.ndarray:
    system = np.eye(shared.shape[1])
    for i in range(len(own)):
        _add_outer(system, shared[i], 1 / own[i])
    return system


@njit(nogil=True, cache=True)
def _add_outer(matrix: np.ndarray, vector: np.ndarray, factor: float) -> None:
    """Add the outer product of a vector with itself to the lower triangle."""
    for a in range(len(vector)):
        scaled = vector[a] * factor
        for b in range(a + 1):
            matrix[a, b] += scaled * vector[b]


@njit(nogil=True, cache=True)
def _solve(matrix: np.ndarray, vector: np.ndarray) -> None:
    """Put the solution of ``matrix`` z = ``vector`` in the vector's place, by Cholesky's method; of the matrix the lower triangle, which is overwritten."""
    n = len(vector)
    for a in range(n):
        for b in range(a + 1):
            rest = matrix[a, b]
            for c in range(b):
                rest -= matrix[a, c] * matrix[b, c]
            matrix[a, b] = np.sqrt(rest) if a == b else rest / matrix[b, b]
        for b in range(a):
            vector[a] -= matrix[a, b] * vector[b]
        vector[a] /= matrix[a, a]
    for a in range(n - 1, -1, -1):
        for b in range(a + 1, n):
            vector[a] -= matrix[b, a] * vector[b]
        vector[a] /= matrix[a, a]


@njit(nogil=True, cache=True)
def _square(errors: np.ndarray, own: np.ndarray, shared: np.ndarray) -> float:
    """Return errors^T H errors."""
    along = np.zeros(shared.shape[1])
    total = 0.0
    for i in range(len(errors)):
        if errors[i]:
            total += own[i] * errors[i] ** 2
            for f in range(len(along)):
                along[f] += shared[i, f] * errors[i]
    for f in range(len(along)):
        total += along[f] ** 2
    return total


@njit(nogil=True, cache=True)
def _compensate(
    targets: np.ndarray,
    fitted: np.ndarray,
    rows: np.ndarray,
    stuck: np.ndarray,
    held: np.ndarray,
    outputs: np.ndarray,
    bounds: np.ndarray,
    own: np.ndarray,
    shared: np.ndarray,
    across: np.ndarray,
    squares: np.ndarray,
    system: np.ndarray,
) -> None:
    """Move the codes ``fitted`` [n, m], the nearest to ``targets``, output by output.

    ``rows``, ``stuck``, ``held``: weights with stuck cells, in order of outputs; those of ``outputs[i]`` are the ones from ``bounds[i]`` on.
    """
    n, features = shared.shape
    # 0: no stuck cell; 1: has some that are worth little; 2: cannot move.
    kind, bits_of, held_of = np.zeros(n, np.uint8), np.zeros(n, np.int64), np.zeros(n, np.int64)
    wanted, before, after, steps = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    codes = np.empty(n, np.int16)
    matrix, along = np.empty((features, features)), np.empty(features)
    for index in range(len(outputs)):
        output = outputs[index]
        mine = rows[bounds[index] : bounds[index + 1]]
        before[:] = 0.0
        off = False
        for row in mine:
            before[row] = np.float64(fitted[row, output]) - np.float64(targets[row, output])
            off |= before[row] != 0
        if not off:
            continue
        for row in range(n):
            wanted[row] = targets[row, output]
        least = _NEGLIGIBLE * _square(wanted, own, shared)
        as_it_is = _square(before, own, shared)
        if as_it_is <= least:
            continue
        matrix[:] = system
        along[:] = 0.0
        for i in range(len(mine)):
            row, bits = mine[i], np.int64(stuck[bounds[index] + i])
            bits_of[row], held_of[row] = bits, np.int64(held[bounds[index] + i])
            worth = np.float64(bits) / 2  # half of the widest gap between codes that it can hold
            kind[row] = 1 if worth * worth * squares[row] <= least else 2
            if kind[row] == 2:
                _add_outer(matrix, shared[row], -1 / own[row])
                for f in range(features):
                    along[f] += shared[row, f] * before[row]
        _solve(matrix, along)
        steps[:] = 0.0
        for f in range(features):
            for row in range(n):
                steps[row] -= along[f] * across[f, row]
        for row in range(n):
            if kind[row] == 2:
                codes[row] = fitted[row, output]
            else:
                wish = np.rint(wanted[row] + steps[row] / own[row])
                code = np.int64(min(max(wish, _LOWEST), _HIGHEST))
                codes[row] = nearest_of(code, bits_of[row], held_of[row]) if kind[row] else code
            after[row] = np.float64(codes[row]) - wanted[row]
        for row in mine:
            kind[row] = 0
        if _square(after, own, shared) < as_it_is:
            for row in range(n):
                fitted[row, output] = codes[row]
