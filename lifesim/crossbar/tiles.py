"""How a bank's matrix of cells is cut into crossbars (tiles), and which cells share a line of one.

A bank is a matrix [rows, columns] of cells in row-major order: cell = row * columns + column. For a layer, rows = fan_in and columns =
fan_out * cells_per_weight. It is cut into square tiles; those at its lower and right border may be partial. Word lines (rows of a tile)
and bit lines (columns of a tile) are numbered through the bank: word line = row * tile_columns + tile column, bit line = column *
tile_rows + tile row, so that every cell lies on exactly one of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TILE_SIDE = 128
"""Cells in a row and in a column of a crossbar (ISAAC, RRAMedy)."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """A bank of ``rows`` x ``columns`` cells in tiles of ``side`` x ``side``; tiles are numbered row by row."""

    rows: int
    columns: int
    side: int = TILE_SIDE

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.side) < 1:
            raise ValueError(f"no cells: {self.rows} x {self.columns} in tiles of {self.side}")

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    @property
    def tile_rows(self) -> int:
        return -(-self.rows // self.side)

    @property
    def tile_columns(self) -> int:
        return -(-self.columns // self.side)

    @property
    def tiles(self) -> int:
        return self.tile_rows * self.tile_columns

    @property
    def word_lines(self) -> int:
        return self.rows * self.tile_columns

    @property
    def bit_lines(self) -> int:
        return self.columns * self.tile_rows

    def extents(self, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many rows and how many columns each of ``tiles`` has (int64)."""
        tile_row, tile_column = np.divmod(np.asarray(tiles, np.int64), self.tile_columns)
        return (
            np.minimum(self.side, self.rows - tile_row * self.side),
            np.minimum(self.side, self.columns - tile_column * self.side),
        )

    def place(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each cell's tile, and its row and column within the tile (int64)."""
        row, column = np.divmod(np.asarray(cells, np.int64), self.columns)
        tile_row, row = np.divmod(row, self.side)
        tile_column, column = np.divmod(column, self.side)
        return tile_row * self.tile_columns + tile_column, row, column

    def cells_at(self, tiles: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the cells (int64) at the given rows and columns within their tiles: the inverse of :meth:`place`."""
        tile_row, tile_column = np.divmod(np.asarray(tiles, np.int64), self.tile_columns)
        return (tile_row * self.side + rows) * self.columns + tile_column * self.side + columns

    def word_line_of(self, cells: np.ndarray) -> np.ndarray:
        """Return the word line of each cell (int64); ascending cells have ascending word lines."""
        row, column = np.divmod(np.asarray(cells, np.int64), self.columns)
        return row * self.tile_columns + column // self.side

    def bit_line_of(self, cells: np.ndarray) -> np.ndarray:
        """Return the bit line of each cell (int64)."""
        row, column = np.divmod(np.asarray(cells, np.int64), self.columns)
        return column * self.tile_rows + row // self.side

    def on_word_lines(self, lines: np.ndarray) -> np.ndarray:
        """Return the cells (int64, in the order of the lines, left to right) of word lines."""
        row, tile_column = np.divmod(np.asarray(lines, np.int64).reshape(-1, 1), self.tile_columns)
        columns = tile_column * self.side + np.arange(self.side)
        return (row * self.columns + columns)[columns < self.columns]

    def on_bit_lines(self, lines: np.ndarray) -> np.ndarray:
        """Return the cells (int64, in the order of the lines, top to bottom) of bit lines."""
        column, tile_row = np.divmod(np.asarray(lines, np.int64).reshape(-1, 1), self.tile_rows)
        rows = tile_row * self.side + np.arange(self.side)
        return (rows * self.columns + column)[rows < self.rows]


class HalfSelects:
    """How often each cell of a passive crossbar has been half-selected since its own last write, counted in writes of other cells.

    First the whole bank is programmed, then each of ``patches`` (arrays of cells that were written one by one), always cell after cell in
    ascending order, which in every tile is row by row. Writing a cell half-selects the others on its word line and on its bit line; a
    write of several pulses does so once per pulse.
    """

    __slots__ = ("tiling", "_patches")

    def __init__(self, tiling: Tiling, patches: Iterable[np.ndarray] = ()):
        self.tiling = tiling
        self._patches: tuple[_Patch, ...] = tuple(_Patch(tiling, cells) for cells in patches)

    def of(self, cells: np.ndarray) -> np.ndarray:
        """Return the number of each of ``cells``, int64."""
        cells = np.asarray(cells, np.int64)
        counts = np.zeros(len(cells), np.int64)
        pending = np.ones(len(cells), bool)  # whether the cell's own last write is earlier still
        for patch in reversed(self._patches):
            written = pending & patch.writes(cells)
            pending &= ~written
            counts[written] += patch.later_on_lines(cells[written])
            counts[pending] += patch.on_lines(cells[pending])
        tiles, row, column = self.tiling.place(cells[pending])
        rows, columns = self.tiling.extents(tiles)
        counts[pending] += (columns - 1 - column) + (rows - 1 - row)
        return counts

    def most(self) -> int:
        """Return a number that no cell of the bank exceeds."""
        t = self.tiling
        most = min(t.side, t.rows) - 1 + min(t.side, t.columns) - 1
        if self._patches:
            most += int(sum(p.on_word_line for p in self._patches).max())
            most += int(sum(p.on_bit_line for p in self._patches).max())
        return most


class _Patch:
    """Cells written one by one, and how many of them lie on each line."""

    __slots__ = ("tiling", "cells", "on_word_line", "on_bit_line")

    def __init__(self, tiling: Tiling, cells: np.ndarray):
        self.tiling = tiling
        self.cells = np.unique(np.asarray(cells, np.int64))
        self.on_word_line = np.bincount(tiling.word_line_of(self.cells), minlength=tiling.word_lines)
        self.on_bit_line = np.bincount(tiling.bit_line_of(self.cells), minlength=tiling.bit_lines)

    def writes(self, cells: np.ndarray) -> np.ndarray:
        """Return whether each of ``cells`` is written."""
        return np.isin(cells, self.cells)

    def on_lines(self, cells: np.ndarray) -> np.ndarray:
        """Return how many writes half-select each of ``cells``, which are not written themselves."""
        return (
            self.on_word_line[self.tiling.word_line_of(cells)]
            + self.on_bit_line[self.tiling.bit_line_of(cells)]
        )

    def later_on_lines(self, cells: np.ndarray) -> np.ndarray:
        """Return how many writes half-select each of ``cells``, which are written themselves, after its own."""
        if not len(cells):
            return np.empty(0, np.int64)
        # Later on a word line is to the right, on a bit line below. With the written cells sorted by (line, place on it), those that come
        # later on a cell's line are those up to the line's end less those up to the cell.
        t, written = self.tiling, self.cells

        def depth(of: np.ndarray) -> np.ndarray:
            return t.bit_line_of(of) * t.rows + of // t.columns

        right = np.cumsum(self.on_word_line)[t.word_line_of(cells)]
        right -= np.searchsorted(written, cells, side="right")
        below = np.cumsum(self.on_bit_line)[t.bit_line_of(cells)]
        below -= np.searchsorted(np.sort(depth(written)), depth(cells), side="right")
        return right + below
