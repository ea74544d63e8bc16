"""What the operations on the crossbars cost: time, energy, wear. The only cost model.

The count is the one behind RRAMedy's Table III: crossbars work one after the other and are full, so time is proportional to the
number of multiply-accumulates (inference) or of cells (March, programming, read-back). Fractions are exact; a latency is
rounded up to whole nanoseconds once, at the end. A read's energy includes the conversion of every column.

``layers`` below is any sequence of objects with ``fan_in``, ``fan_out`` and ``positions``, such as
``Architecture.crossbar_layers``: the whole network, or only the layers that an operation touches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple, Protocol

from lifesim.crossbar.march import MarchTest
from lifesim.scenario.presets import load_preset


class Layer(Protocol):
    """The size of a crossbar layer; ``positions`` is the number of matrix-vector products per inference."""

    @property
    def fan_in(self) -> int: ...
    @property
    def fan_out(self) -> int: ...
    @property
    def positions(self) -> int: ...


@dataclass(frozen=True, slots=True)
class OperationCosts:
    """The unit costs of a crossbar technology; the fields are the parameters of a preset of kind ``cost``.

    A crossbar read takes ``crossbar_read_ns`` and ``crossbar_read_j`` whether one row is driven (a memory read of that row's
    cells) or all of them (one input bit of a matrix-vector product), plus ``adc_j`` for each column: both are converted by the same ADC
    (ISAAC has one for each crossbar). Writes go one cell at a time.
    """

    cells_per_weight: int
    crossbar_rows: int
    crossbar_columns: int
    input_bits: int
    crossbar_read_ns: int
    cell_write_ns: int
    write_pulse_j: float
    crossbar_read_j: float
    adc_j: float
    verify_pulses: float

    @classmethod
    def preset(cls, name: str) -> OperationCosts:
        """Return the preset ``name`` of kind ``cost``. Raises UserError for an unknown name."""
        return cls(**load_preset("cost", name).values)

    def of_cells(self, bits_per_cell: int, verify_pulses: float) -> OperationCosts:
        """Return the costs on cells that hold so many bits and take so many pulses to write."""
        cells_per_weight = self.cells_per_weight // bits_per_cell  # the preset's cells hold one bit
        return replace(self, cells_per_weight=cells_per_weight, verify_pulses=verify_pulses)

    @property
    def read_j(self) -> float:
        """Energy of one crossbar read: the crossbar's own and one conversion of every column."""
        return self.crossbar_read_j + self.crossbar_columns * self.adc_j

    @property
    def row_share(self) -> Fraction:
        """Crossbar reads per cell when whole rows are read."""
        return Fraction(1, self.crossbar_columns)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one operation: nanoseconds, joules, and programming operations that each touched cell ages by."""

    latency_ns: int
    energy_j: float
    writes_per_cell: int

    def times(self, count: int) -> Cost:
        """Return the cost of doing it ``count`` times."""
        return Cost(count * self.latency_ns, count * self.energy_j, count * self.writes_per_cell)


class Writing(NamedTuple):
    """How many write pulses a programming takes in all, and how long."""

    pulses: int
    latency_ns: int


def cell_count(costs: OperationCosts, layers: Iterable[Layer]) -> int:
    """Return the number of cells that the layers occupy."""
    return costs.cells_per_weight * sum(layer.fan_in * layer.fan_out for layer in layers)


def inference_cost(costs: OperationCosts, layers: Iterable[Layer], pictures: int) -> Cost:
    """Return the cost of running ``pictures`` through the layers; a test with adversarial examples is nothing else.

    Crossbar reads = pictures * MACs * input bits / weights per crossbar, where MACs = sum of fan_in * fan_out * positions;
    energy = reads * read_j.
    """
    macs = sum(layer.fan_in * layer.fan_out * layer.positions for layer in layers)
    weights_per_crossbar = Fraction(costs.crossbar_rows * costs.crossbar_columns, costs.cells_per_weight)
    return _cost(
        costs, pictures * macs * costs.input_bits / weights_per_crossbar, pulses=0, writes_per_cell=0
    )


def march_cost(costs: OperationCosts, layers: Iterable[Layer], test: MarchTest) -> Cost:
    """Return the cost of one March test of all cells: each write is a single pulse, each read a share of its row's read.

    energy = cells * (writes * write_pulse_j + reads / columns * read_j). The weights are destroyed: a programming follows.
    """
    cells = cell_count(costs, layers)
    reads = cells * test.reads_per_cell * costs.row_share
    return _cost(costs, reads, cells * test.writes_per_cell, test.writes_per_cell)


def retest_cost(costs: OperationCosts, test: MarchTest) -> Cost:
    """Return the cost of a March test of a single cell: as its row is read for it alone, each read is a crossbar read."""
    reads, writes = test.reads_per_cell, test.writes_per_cell
    return _cost(costs, Fraction(reads), writes, writes)


def rewrite_cost(costs: OperationCosts) -> Cost:
    """Return the cost of writing a single cell with write-verify: ``verify_pulses`` pulses, each followed by a crossbar read.

    The last of these reads says whether the cell now holds what it should.
    """
    return cell_pulses_cost(costs, Fraction(costs.verify_pulses))


def programming_cost(costs: OperationCosts, layers: Iterable[Layer]) -> Cost:
    """Return the cost of writing all cells of the layers with write-verify: a refresh (all layers) or a reload (some).

    Each cell takes ``verify_pulses`` pulses on average, each followed by a verifying read that it shares with its row; energy =
    cells * verify_pulses * (write_pulse_j + read_j / columns). The cell ages by one programming operation.
    """
    return pulses_cost(costs, cell_count(costs, layers) * Fraction(costs.verify_pulses))


def pulses_cost(costs: OperationCosts, pulses: Fraction | int) -> Cost:
    """Return the cost of a programming that takes so many write pulses in all, each followed by its share of the row's verifying read."""
    pulses = Fraction(pulses)
    return _cost(costs, pulses * costs.row_share, pulses, writes_per_cell=1)


def cell_pulses_cost(costs: OperationCosts, pulses: Fraction | int) -> Cost:
    """Return the cost of writing single cells with so many pulses in all, each followed by a crossbar read for that cell alone."""
    pulses = Fraction(pulses)
    return _cost(costs, pulses, pulses, writes_per_cell=1)


def readback_cost(costs: OperationCosts, layers: Iterable[Layer]) -> Cost:
    """Return the cost of reading every cell once, row by row, which leaves the weights in place.

    energy = cells / columns * read_j.
    """
    return _cost(costs, cell_count(costs, layers) * costs.row_share, pulses=0, writes_per_cell=0)


def check_cost(costs: OperationCosts, layers: Iterable[Layer]) -> Cost:
    """Return the cost of reading each crossbar once with all rows driven, which gives the sum of each column's cells.

    energy = cells / (rows * columns) * read_j.
    """
    reads = cell_count(costs, layers) * costs.row_share / costs.crossbar_rows
    return _cost(costs, reads, pulses=0, writes_per_cell=0)


def _cost(costs: OperationCosts, reads: Fraction, pulses: Fraction | int, writes_per_cell: int) -> Cost:
    latency_ns = math.ceil(reads * costs.crossbar_read_ns + pulses * costs.cell_write_ns)
    return Cost(
        latency_ns,
        float(reads) * costs.read_j + float(pulses) * costs.write_pulse_j,
        writes_per_cell,
    )
