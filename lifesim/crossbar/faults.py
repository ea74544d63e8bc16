"""The stuck cells of a device, and what they make of what is programmed."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.overlay import Overlay, Written
from lifesim.crossbar.programming import among
from lifesim.streams import generator


@dataclass(frozen=True, slots=True)
class FaultMap:
    """The stuck cells of one device: per layer sorted cell indices (int64) and the level that each shows (uint8; SLC: the bit)."""

    cells: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]
    encoding: Encoding = SLC

    @classmethod
    @functools.cache
    def empty(cls, layers: int, encoding: Encoding = SLC) -> FaultMap:
        """Return the map without a cell, one for all who ask."""
        return cls((np.empty(0, np.int64),) * layers, (np.empty(0, np.uint8),) * layers, encoding)

    @classmethod
    def of(
        cls, cells: Sequence[np.ndarray], values: Sequence[np.ndarray], encoding: Encoding = SLC
    ) -> FaultMap:
        """Return the map of cells given in any order."""
        orders = [np.argsort(c, kind="stable") for c in cells]
        return cls(
            tuple(np.asarray(c, np.int64)[o] for c, o in zip(cells, orders, strict=True)),
            tuple(np.asarray(v, np.uint8)[o] for v, o in zip(values, orders, strict=True)),
            encoding,
        )

    @property
    def count(self) -> int:
        """Number of stuck cells in all layers."""
        return sum(len(c) for c in self.cells)

    def new_since(self, other: FaultMap) -> int:
        """Number of cells in this map that are not in ``other``."""
        if self is other:
            return 0
        pairs = zip(self.cells, other.cells, strict=True)
        return sum(len(c) - int(np.count_nonzero(among(c, o))) for c, o in pairs if len(c))

    def without(self, other: FaultMap) -> FaultMap:
        """Return the cells of this map that are not in ``other``."""
        kept = [~np.isin(c, o, assume_unique=True) for c, o in zip(self.cells, other.cells, strict=True)]
        cells, values = (
            tuple(a[k] for a, k in zip(of, kept, strict=True)) for of in (self.cells, self.values)
        )
        return FaultMap(cells, values, self.encoding)

    def union(self, other: FaultMap) -> FaultMap:
        """Return the cells of both maps; where both have one, this map's level."""
        cells, values = [], []
        for own, own_values, more, more_values in zip(
            self.cells, self.values, other.cells, other.values, strict=True
        ):
            new = ~np.isin(more, own, assume_unique=True)
            cells.append(np.concatenate([own, more[new]]))
            values.append(np.concatenate([own_values, more_values[new]]))
        return FaultMap.of(cells, values, self.encoding)

    def overlay(self) -> Overlay:
        """Return what stands over what is programmed."""
        return tuple((Written(c, v),) for c, v in zip(self.cells, self.values, strict=True))

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


def differing_cells(
    codes: Sequence[np.ndarray], others: Sequence[np.ndarray], encoding: Encoding
) -> tuple[np.ndarray, ...]:
    """Return for each layer the cells (int64, ascending) whose level differs between two sets of codes."""
    return tuple(encoding.differing_cells(c, o) for c, o in zip(codes, others, strict=True))


def apply_map(codes: Sequence[np.ndarray], fault_map: FaultMap) -> tuple[np.ndarray, ...]:
    """Return the codes that a device with these stuck cells holds after ``codes`` have been programmed."""
    write = fault_map.encoding.write
    return tuple(write(c, m, v) for c, m, v in zip(codes, fault_map.cells, fault_map.values, strict=True))


def random_map(
    key: int, layer_cells: Sequence[int], rate: float, at_top: float, encoding: Encoding
) -> FaultMap:
    """Return a share ``rate`` of all cells, at least one, stuck at the top level with probability ``at_top``, else at 0."""
    rng, ends = generator(key), np.cumsum(layer_cells)
    count = max(1, round(rate * int(ends[-1])))
    cells = np.sort(rng.choice(int(ends[-1]), count, replace=False))
    levels = np.where(rng.random(count) < at_top, encoding.top_level, 0)
    cuts = np.searchsorted(cells, ends)[:-1]
    starts = [0, *ends[:-1].tolist()]
    of_layers = [part - start for part, start in zip(np.split(cells, cuts), starts, strict=True)]
    return FaultMap.of(of_layers, np.split(levels, cuts), encoding)
