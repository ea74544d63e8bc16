"""A simulated array of cells, one by one: what a diagnosis is run on where it must be shown what the diagnosis finds.

A fault mechanism is one small class with the three members of :class:`Fault` (:mod:`lifesim.crossbar.defects`); an address decoder that
accesses other cells than it should is a :class:`Decoder`. The array knows none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from lifesim.crossbar.defects import StuckAt


class Fault(Protocol):
    """How a defect bends the operations on certain cells. A cell's faults act in the order in which the array was given them."""

    @property
    def cells(self) -> tuple[int, ...]:
        """The cells whose operations the fault bends."""

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        """Alter ``array.contents`` after ``cell``, which held ``before``, has been written; coupling reaches other cells."""

    def read(self, array: CellArray, cell: int, level: int) -> int:
        """Return what a read of ``cell`` shows, where without this fault it would show ``level``."""


class Decoder(Protocol):
    """Which cells an address accesses."""

    def accessed(self, address: int) -> tuple[int, ...]:
        """Return the cells that an operation on ``address`` acts on."""

    def shown(self, levels: Sequence[int]) -> int:
        """Return what a read shows that accesses no cell, or several with these levels."""


class CellArray:
    """Cells with faults. Without a decoder fault, address ``i`` is cell ``i``.

    contents
        The level that each cell holds now, uint8 of shape [cells], from 0 (HRS) to ``top_level`` (LRS; 1, or 3 in two-bit cells).
    writes
        Write pulses each cell has had, int64 of shape [cells]: its wear.
    """

    def __init__(
        self,
        contents: Sequence[int] | np.ndarray,
        faults: Iterable[Fault] = (),
        decoder: Decoder | None = None,
        top_level: int = 1,
    ) -> None:
        self.contents = np.array(contents, dtype=np.uint8)
        self.writes = np.zeros(len(self.contents), dtype=np.int64)
        self.top_level = top_level
        self._decoder = decoder
        self._faults: dict[int, list[Fault]] = {}
        if self.contents.max(initial=0) > top_level:
            raise ValueError(f"contents {self.contents.max()} in cells with levels 0 to {top_level}")
        for fault in faults:
            for cell in fault.cells:
                if not 0 <= cell < len(self.contents):
                    raise IndexError(f"{fault} lies outside an array of {len(self.contents)} cells")
                self._faults.setdefault(cell, []).append(fault)

    @classmethod
    def with_stuck_cells(
        cls, contents: Sequence[int] | np.ndarray, stuck: Mapping[int, int], top_level: int = 1
    ) -> CellArray:
        """Return an array whose only faults are stuck cells, given as {cell: level}."""
        return cls(contents, [StuckAt(cell, level) for cell, level in stuck.items()], top_level=top_level)

    def __len__(self) -> int:
        return len(self.contents)

    def write(self, address: int, level: int) -> None:
        """Write ``level``. Raises ValueError for a level that the cells do not have."""
        if not 0 <= level <= self.top_level:
            raise ValueError(f"level {level} in cells with levels 0 to {self.top_level}")
        if self._decoder is None:
            self._write_cell(address, level)
        else:
            for cell in self._decoder.accessed(address):
                self._write_cell(cell, level)

    def read(self, address: int) -> int:
        if self._decoder is None:
            return self._read_cell(address)
        levels = [self._read_cell(cell) for cell in self._decoder.accessed(address)]
        return levels[0] if len(levels) == 1 else self._decoder.shown(levels)

    def _write_cell(self, cell: int, level: int) -> None:
        before = int(self.contents[cell])
        self.contents[cell] = level
        self.writes[cell] += 1
        for fault in self._faults.get(cell, ()):
            fault.after_write(self, cell, before)

    def _read_cell(self, cell: int) -> int:
        level = int(self.contents[cell])
        for fault in self._faults.get(cell, ()):
            level = fault.read(self, cell, level)
        return level
