"""Which bits of which weights a faulty cell holds fast.

SLC: weight ``i`` of a layer lies in cells ``16 i`` (least significant bit) to ``16 i + 15`` (sign). A cell in the low-resistance
state (LRS) reads 1, in the high-resistance state (HRS) 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CELLS_PER_WEIGHT = 16


@dataclass(frozen=True, slots=True)
class FaultMap:
    """The stuck cells of one device: per layer sorted cell indices (int64) and the bit that each shows (uint8)."""

    cells: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]

    @classmethod
    def empty(cls, layers: int) -> FaultMap:
        return cls((np.empty(0, np.int64),) * layers, (np.empty(0, np.uint8),) * layers)

    @classmethod
    def of(cls, cells: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> FaultMap:
        """Return the map of cells given in any order."""
        orders = [np.argsort(c, kind="stable") for c in cells]
        return cls(
            tuple(np.asarray(c, np.int64)[o] for c, o in zip(cells, orders, strict=True)),
            tuple(np.asarray(v, np.uint8)[o] for v, o in zip(values, orders, strict=True)),
        )

    @property
    def count(self) -> int:
        """Number of stuck cells in all layers."""
        return sum(len(c) for c in self.cells)

    def new_since(self, other: FaultMap) -> int:
        """Number of cells in this map that are not in ``other``."""
        return sum(
            len(np.setdiff1d(c, o, assume_unique=True)) for c, o in zip(self.cells, other.cells, strict=True)
        )

    def digest(self) -> bytes:
        """A 16-byte hash of the content."""
        digest = hashlib.blake2b(digest_size=16)
        for cells, values in zip(self.cells, self.values, strict=True):
            digest.update(len(cells).to_bytes(8, "little") + cells.tobytes() + values.tobytes())
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FaultMap) and self.digest() == other.digest()

    def __hash__(self) -> int:
        return hash(self.digest())


def write_bits(codes: np.ndarray, cells: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a copy of ``codes`` (int16, any shape) in which each of ``cells`` (no cell twice) holds its bit of ``values``."""
    forced = codes.copy()
    if len(cells):
        # One weight may have several such cells; ufunc.at applies them one after the other.
        flat = forced.reshape(-1).view(np.uint16)
        weights, bits = (
            cells // CELLS_PER_WEIGHT,
            np.uint16(1) << (cells % CELLS_PER_WEIGHT).astype(np.uint16),
        )
        ones = np.asarray(values, dtype=bool)
        np.bitwise_or.at(flat, weights[ones], bits[ones])
        np.bitwise_and.at(flat, weights[~ones], ~bits[~ones])
    return forced


def apply_map(codes: Sequence[np.ndarray], fault_map: FaultMap) -> tuple[np.ndarray, ...]:
    """Return the codes that a device with these stuck cells holds after ``codes`` have been programmed."""
    return tuple(
        write_bits(c, m, v) for c, m, v in zip(codes, fault_map.cells, fault_map.values, strict=True)
    )


def differing_cells(codes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the cells (int64, ascending) whose bit differs between two code arrays (int16, same shape)."""
    difference = (codes.reshape(-1) ^ others.reshape(-1)).view(np.uint16)
    weights = np.flatnonzero(difference)
    bits = np.unpackbits(difference[weights].astype("<u2").view(np.uint8), bitorder="little")
    return (
        np.flatnonzero(bits) % CELLS_PER_WEIGHT
        + np.repeat(weights, CELLS_PER_WEIGHT)[bits.astype(bool)] * CELLS_PER_WEIGHT
    )
