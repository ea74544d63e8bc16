"""What stands over the cells that have been programmed: faults, as cells and the levels that they show instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

UP, DOWN = 4, 5
"""Written over a cell instead of a level: one level up or down, as far as there is one."""


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """Cells (no cell twice, counted from ``first_cell``) that show other levels than those programmed.

    ``levels``: 0 to the top level, UP or DOWN; of all of them, of each (uint8), or a function of cells that gives them.
    """

    cells: np.ndarray
    levels: int | np.ndarray | Callable[[np.ndarray], np.ndarray]
    first_cell: int = 0

    def __reduce__(self) -> tuple[type[Written], tuple[Any, ...]]:
        # To another process go levels, not what gives them.
        return Written, (
            self.cells,
            self.levels_from(0) if callable(self.levels) else self.levels,
            self.first_cell,
        )

    def levels_from(self, first: int) -> np.ndarray:
        """Return the level (uint8) of each cell from number ``first`` on."""
        if callable(self.levels):
            return self.levels(self.cells[first:])
        if isinstance(self.levels, int):
            return np.full(len(self.cells) - first, self.levels, np.uint8)
        return self.levels[first:]


Overlay = Sequence[Sequence[Written]]
"""What stands over the cells of each layer, later parts over earlier ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Ageing:
    """What stands over the cells of each layer at many times, where it is the beginnings of the same parts all the time.

    ``layers``: of each its parts, and how many cells of each part stand there at each time (int64 [times, parts]).
    """

    layers: Sequence[tuple[Sequence[Written], np.ndarray]]

    def __len__(self) -> int:
        return len(self.layers[0][1])
