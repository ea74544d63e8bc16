"""How the 16 bits of a weight lie in cells: one or two bits a cell, two's complement or offset binary.

Weight ``i`` of a layer lies in cells ``i * cells_per_weight`` (least significant digit) to ``(i + 1) * cells_per_weight - 1``. A cell's
level counts from the high-resistance state (HRS, level 0) to the low-resistance state (LRS, the top level); its conductance, and so the
current of its column, is linear in the level.

Offset binary stores code + 32768 (ISAAC's bias, Shafiee et al., ISCA 2016) and subtracts the bias digitally. Two's complement in one-bit
cells gives the sign bit's column the weight -32768. In two-bit cells it has digits {0, 1, -2, -1} in the top cell, which no column current can
sum: RRAMedy's bit patterns ("paper_bits"), for reproduction only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.overlay import UP, Written

BITS_PER_WEIGHT = 16
BIAS = 1 << (BITS_PER_WEIGHT - 1)
"""What offset binary adds to a code."""
_SIGN_BIT = np.uint16(0x8000)


@dataclass(frozen=True, slots=True)
class Encoding:
    """``bits_per_cell`` 1 (SLC) or 2 (MLC); ``offset``: offset binary, else two's complement."""

    bits_per_cell: int = 1
    offset: bool = False

    def __post_init__(self) -> None:
        if self.bits_per_cell not in (1, 2):
            raise ValueError(f"cells hold 1 or 2 bits, not {self.bits_per_cell}")

    @property
    def cells_per_weight(self) -> int:
        return BITS_PER_WEIGHT // self.bits_per_cell

    @property
    def top_level(self) -> int:
        """The level of the low-resistance state."""
        return (1 << self.bits_per_cell) - 1

    def patterns(self, codes: np.ndarray) -> np.ndarray:
        """Return the bits that stand in the cells, uint16, for codes int16 of any shape."""
        patterns = np.ascontiguousarray(codes, np.int16).view(np.uint16)
        return patterns ^ _SIGN_BIT if self.offset else patterns

    def codes(self, patterns: np.ndarray) -> np.ndarray:
        """Return the codes (int16) that bit patterns (uint16) stand for: the inverse of :meth:`patterns`."""
        return (patterns ^ _SIGN_BIT if self.offset else patterns).view(np.int16)

    def levels(self, codes: np.ndarray) -> np.ndarray:
        """Return the level of every cell, uint8 [..., cells_per_weight], least significant digit first."""
        shifts = np.arange(self.cells_per_weight, dtype=np.uint16) * np.uint16(self.bits_per_cell)
        digits = self.patterns(codes)[..., None] >> shifts & np.uint16(self.top_level)
        return digits.astype(np.uint8)

    def levels_of(self, codes: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return the levels (uint8) of some cells of a layer; ``codes`` of any shape, ``cells`` flat cell indices."""
        weights, shifts = self._place(cells)
        return (self.patterns(codes).reshape(-1)[weights] >> shifts & np.uint16(self.top_level)).astype(
            np.uint8
        )

    def write(self, codes: np.ndarray, cells: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return a copy of ``codes`` (int16, any shape) in which each of ``cells`` (no cell twice) holds its level of ``levels``."""
        if not len(cells):
            return codes.copy()
        patterns = self.patterns(codes).copy()
        flat = patterns.reshape(-1)
        weights, shifts = self._place(cells)
        # One weight may have several such cells; ufunc.at applies them one after the other.
        np.bitwise_and.at(flat, weights, ~(np.uint16(self.top_level) << shifts))
        np.bitwise_or.at(flat, weights, np.asarray(levels, np.uint16) << shifts)
        return self.codes(patterns)

    def write_over(self, codes: np.ndarray, parts: Sequence[Written]) -> np.ndarray:
        """Return ``codes`` (int16, any shape) with all ``parts`` written over them, one after the other."""
        for part in parts:
            if not len(part.cells):
                continue
            cells, levels = part.cells.astype(np.int64) + part.first_cell, part.levels_from(0)
            relative = levels > self.top_level
            if relative.any():
                held = self.levels_of(codes, cells[relative]).astype(np.int64)
                levels = levels.copy()
                levels[relative] = np.clip(
                    held + np.where(levels[relative] == UP, 1, -1), 0, self.top_level
                ).astype(np.uint8)
            codes = self.write(codes, cells, levels)
        return codes

    def differing_cells(self, codes: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the cells (int64, ascending) whose level differs between two code arrays (int16, same shape)."""
        difference = (codes.reshape(-1) ^ others.reshape(-1)).view(np.uint16)
        weights = np.flatnonzero(difference)
        bits = np.unpackbits(difference[weights].astype("<u2").view(np.uint8), bitorder="little")
        cells = bits.reshape(len(weights), self.cells_per_weight, self.bits_per_cell).any(axis=2)
        row, digit = np.nonzero(cells)
        return weights[row] * self.cells_per_weight + digit

    def digit_values(self) -> np.ndarray:
        """Return what one level of each cell is worth, in codes: float64 [cells_per_weight].

        Two's complement in one-bit cells: the sign's is negative. In two-bit cells ("paper_bits") the top cell's is that of its higher bit's
        absence, +16384: the interpretation that an offset-free column sum would give.
        """
        values = 2.0 ** (self.bits_per_cell * np.arange(self.cells_per_weight))
        if self.bits_per_cell == 1 and not self.offset:
            values[-1] = -values[-1]
        return values

    def _place(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weight of each cell and by how many bits its digit is shifted (uint16)."""
        weights, digits = np.divmod(np.asarray(cells, np.int64), self.cells_per_weight)
        return weights, (digits * self.bits_per_cell).astype(np.uint16)


SLC = Encoding()
"""One-bit cells, two's complement: the paper's single-level cells."""
