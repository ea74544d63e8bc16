"""Which hidden unit stands at which place of the crossbars: chosen so that faulty cells fall on weights that they harm least.

The outputs of a layer (the channels of a convolution) may be permuted if the inputs of the next are permuted with them: columns of one crossbar, rows
of the next. The network computes the same, as whatever lies between two layers treats all units alike. The network's own order is called *logical*,
that of the cells *physical*. Inputs and outputs of the network stay where they are.

Each hidden layer is an assignment problem (Kuhn 1955), which scipy solves (Crouse 2016): the cost of unit u at place p is by how much the nearest
codes of u's weights in p's cells would be off, squared and weighted. Layers are taken in turn, the others as they stand, so that the sum never grows.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.optimize import linear_sum_assignment

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap
from lifesim.network.model import Model
from lifesim.recovery.nearest import in_offset_binary, nearest_of, stuck_bits

# Compiled in: 5b55f8d9

if TYPE_CHECKING:  # running alone needs torch
    from lifesim.recovery.importance import Importance

_ROUNDS = 2  # over the layers: a third gains next to nothing


@dataclass(frozen=True, eq=False)
class Placement:
    """``units``: per crossbar layer the logical output at each physical one (int64 [fan_out], a permutation)."""

    units: tuple[np.ndarray, ...]

    @functools.cached_property
    def digest(self) -> bytes:
        """A 16-byte hash of the content."""
        return hashlib.blake2b(b"".join(units.tobytes() for units in self.units), digest_size=16).digest()

    def placed(self, model: Model) -> Model:
        """Return the model in physical order: a network of the same architecture that computes the same."""
        codes = (
            layer_codes[self._rows(layer, len(layer_codes))[:, None], self.units[layer]]
            for layer, layer_codes in enumerate(model.codes)
        )
        biases = (bias[units] for bias, units in zip(model.biases, self.units, strict=True))
        return Model(model.architecture, model.formats, tuple(codes), tuple(biases))

    def logical(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return arrays [fan_in, fan_out] of all layers, given in physical order, in logical order."""
        moved = tuple(np.empty_like(array) for array in arrays)
        for layer, (array, to) in enumerate(zip(arrays, moved, strict=True)):
            to[self._rows(layer, len(array))[:, None], self.units[layer]] = array
        return moved

    def logical_cells(
        self, layer: int, cells: np.ndarray, layer_cells: int, cells_per_weight: int
    ) -> np.ndarray:
        """Return for cells of a layer (of ``layer_cells``), counted in physical order, the number of each in logical order (int64)."""
        units = self.units[layer]
        weights, digits = np.divmod(np.asarray(cells, np.int64), cells_per_weight)
        inputs, outputs = np.divmod(weights, len(units))
        rows = self._rows(layer, layer_cells // (cells_per_weight * len(units)))
        return (rows[inputs] * len(units) + units[outputs]) * cells_per_weight + digits

    def logical_map(self, fault_map: FaultMap, layer_cells: Sequence[int]) -> FaultMap:
        """Return the stuck cells in logical order: those that the network would have to have to be harmed alike in its own order."""
        per_weight = fault_map.encoding.cells_per_weight
        cells = [
            self.logical_cells(layer, stuck, count, per_weight)
            for layer, (stuck, count) in enumerate(zip(fault_map.cells, layer_cells, strict=True))
        ]
        return FaultMap.of(cells, fault_map.values, fault_map.encoding)

    def _rows(self, layer: int, fan_in: int) -> np.ndarray:
        """Return the logical input at each physical row of a layer (int64 [fan_in]); all that belongs to a unit stays together."""
        if layer == 0:
            return np.arange(fan_in)
        units = self.units[layer - 1]
        of_each = fan_in // len(units)
        return (units[:, None] * of_each + np.arange(of_each)).reshape(-1)


@functools.lru_cache(maxsize=32)
def best_placement(model: Model, fault_map: FaultMap, importance: Importance) -> Placement:
    """Return where the units of ``model`` are harmed least by ``fault_map`` (physical): the same for whoever works it out.

    The measure is the sum over all weights of the squared distance to the nearest code that the cells can hold, times its ``importance``.
    """
    worth = [
        importance.of_layer(layer) * fixed_point.scale**2 for layer, fixed_point in enumerate(model.formats)
    ]
    units = [np.arange(codes.shape[1]) for codes in model.codes]
    stuck = [
        _stuck(cells, levels, fault_map.encoding) if len(cells) else None
        for cells, levels in zip(fault_map.cells, fault_map.values, strict=True)
    ]
    for _ in range(_ROUNDS):
        for layer in range(len(units) - 1):
            cost = np.zeros((len(units[layer]),) * 2)  # [place, unit]
            rows = Placement(tuple(units))._rows(layer, len(model.codes[layer]))
            if (bits := stuck[layer]) is not None:
                _add_outputs(cost, model.codes[layer], worth[layer], rows, bits)
            if (bits := stuck[layer + 1]) is not None:
                after = model.codes[layer + 1], worth[layer + 1]
                _add_inputs(cost, *after, units[layer + 1], bits)
            units[layer] = linear_sum_assignment(cost)[1].astype(np.int64)
    return Placement(tuple(units))


Stuck = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Weights (physical), their stuck bits, and what these show in offset binary."""


def _stuck(cells: np.ndarray, levels: np.ndarray, encoding: Encoding) -> Stuck:
    weights, stuck, shown = stuck_bits(cells, levels, encoding)
    return weights, stuck, in_offset_binary(stuck, shown, encoding)


def _add_outputs(
    cost: np.ndarray, codes: np.ndarray, worth: np.ndarray, rows: np.ndarray, stuck: Stuck
) -> None:
    """Add to the cost [place, unit] what each unit's own weights lose in each column; ``rows``: the logical input of each row."""
    inputs, places = np.divmod(stuck[0], len(cost))
    _add(cost, codes, worth, rows[inputs], places, *stuck[1:])


def _add_inputs(
    cost: np.ndarray,
    codes: np.ndarray,
    worth: np.ndarray,
    outputs: np.ndarray,
    stuck: Stuck,
) -> None:
    """Add what the next layer's weights of each unit lose in each place's rows; ``outputs``: the logical output of each column."""
    fan_in, fan_out = codes.shape
    of_each = fan_in // len(cost)
    inputs, columns = np.divmod(stuck[0], fan_out)
    places, within = np.divmod(inputs, of_each)
    by_unit = (np.ascontiguousarray(a.reshape(len(cost), of_each * fan_out).T) for a in (codes, worth))
    _add(cost, *by_unit, within * fan_out + outputs[columns], places, *stuck[1:])


@njit(nogil=True, cache=True)
def _add(
    cost: np.ndarray,
    targets: np.ndarray,
    worth: np.ndarray,
    lines: np.ndarray,
    places: np.ndarray,
    stuck: np.ndarray,
    held: np.ndarray,
) -> None:
    """Add the errors of all units' ``targets[line]`` (codes [lines, units]) at stuck weights, each of one line and place, squared times ``worth``."""
    for i in range(len(lines)):
        line, place, bits, shown = lines[i], places[i], np.int64(stuck[i]), np.int64(held[i])
        for unit in range(targets.shape[1]):
            target = np.int64(targets[line, unit])
            off = nearest_of(target, bits, shown) - target
            cost[place, unit] += off * off * worth[line, unit]
