"""Tiles, lines and half-selected neighbours against loops over single cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.tiles import HalfSelects, Tiling

TILINGS = st.builds(Tiling, st.integers(1, 13), st.integers(1, 13), st.integers(1, 6))


def by_hand(tiling):
    """Every cell's (tile's row, tile's column, row, column) as one thinks of it."""
    return [
        (r // tiling.side, c // tiling.side, r, c) for r in range(tiling.rows) for c in range(tiling.columns)
    ]


def on_one_line(a, b):
    """Whether two different cells lie in one tile and there on one word or bit line."""
    return a != b and a[:2] == b[:2] and (a[2] == b[2] or a[3] == b[3])


@st.composite
def tilings_and_patches(draw):
    tiling = draw(TILINGS)
    cells = st.lists(st.integers(0, tiling.cells - 1), max_size=30)
    return tiling, draw(st.lists(cells, max_size=4))


@settings(deadline=None, max_examples=60)
@given(TILINGS)
def test_a_place_is_its_cells_and_back(tiling):
    cells = np.arange(tiling.cells)
    tiles, rows, columns = tiling.place(cells)
    assert np.array_equal(tiling.cells_at(tiles, rows, columns), cells)
    tile_rows, tile_columns = tiling.extents(tiles)
    assert np.all((rows < tile_rows) & (columns < tile_columns))
    # Every tile has as many cells as its extents say, and they are all the cells.
    heights, widths = tiling.extents(np.arange(tiling.tiles))
    assert np.array_equal(np.bincount(tiles, minlength=tiling.tiles), heights * widths)
    for cell, (tile_row, tile_column, row, column) in enumerate(by_hand(tiling)):
        assert tiles[cell] == tile_row * tiling.tile_columns + tile_column
        assert (rows[cell], columns[cell]) == (row % tiling.side, column % tiling.side)


@settings(deadline=None, max_examples=60)
@given(TILINGS)
def test_lines_are_the_rows_and_columns_of_tiles(tiling):
    cells, places = np.arange(tiling.cells), by_hand(tiling)
    for number, line_of, on_lines, key in (
        (tiling.word_lines, tiling.word_line_of, tiling.on_word_lines, lambda p: (p[2], p[1])),
        (tiling.bit_lines, tiling.bit_line_of, tiling.on_bit_lines, lambda p: (p[3], p[0])),
    ):
        expected = {}
        for cell, place in enumerate(places):
            expected.setdefault(key(place), []).append(cell)
        lines = [on_lines(np.array([line])).tolist() for line in range(number)]
        assert lines == [expected[k] for k in sorted(expected)]
        assert on_lines(np.arange(number)).tolist() == sum(lines, [])
        assert all(line_of(cells)[line].tolist() == [i] * len(line) for i, line in enumerate(lines))


@settings(deadline=None, max_examples=150)
@given(tilings_and_patches())
def test_half_selects_are_counted_write_by_write(drawn):
    tiling, patches = drawn
    places = by_hand(tiling)
    counts = [0] * tiling.cells
    for written in [range(tiling.cells), *(sorted(set(patch)) for patch in patches)]:
        for w in written:
            counts[w] = 0
            for cell, place in enumerate(places):
                counts[cell] += on_one_line(place, places[w])
    state = HalfSelects(tiling, [np.array(patch, np.int64) for patch in patches])
    cells = np.arange(tiling.cells)
    assert state.of(cells).tolist() == counts
    assert state.of(cells[::-2]).tolist() == counts[::-2], "whatever else is asked"
    assert max(counts) <= state.most()


def test_programming_a_full_tile_half_selects_its_first_cell_most():
    state = HalfSelects(Tiling(300, 300))
    assert state.of(np.array([0, 299 * 300 + 299, 127 * 300 + 127])).tolist() == [254, 0, 0]
    assert state.most() == 254


def test_a_bank_without_cells_is_refused():
    with pytest.raises(ValueError, match="no cells: 0 x 3"):
        Tiling(0, 3)
