"""How weights lie in cells, against the definition: digit by digit, in Python's integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lifesim.crossbar.encoding import SLC, Encoding

CODES = arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 5)))
ENCODINGS = st.builds(Encoding, st.sampled_from([1, 2]), st.booleans())


def digits(encoding, code):
    """The digits of one code, the least significant first."""
    pattern = code + 32768 if encoding.offset else code % 65536
    base = 2**encoding.bits_per_cell
    return [pattern // base**i % base for i in range(16 // encoding.bits_per_cell)]


def code_of(encoding, levels):
    pattern = sum(level * 2 ** (encoding.bits_per_cell * i) for i, level in enumerate(levels))
    return pattern - 32768 if encoding.offset else pattern - 65536 * (pattern >= 32768)


def forced_one_by_one(encoding, codes, cells, levels):
    """The definition: cell n i + d is digit d of weight i in C order."""
    held = [digits(encoding, int(code)) for code in codes.ravel()]
    for cell, level in zip(cells.tolist(), levels.tolist(), strict=True):
        weight, digit = divmod(cell, encoding.cells_per_weight)
        held[weight][digit] = level
    return np.array([code_of(encoding, h) for h in held], np.int16).reshape(codes.shape)


@settings(deadline=None, max_examples=60)
@given(ENCODINGS, CODES)
def test_levels_are_the_digits_of_the_code_or_of_the_code_with_the_bias(encoding, codes):
    expected = [digits(encoding, int(code)) for code in codes.ravel()]
    levels = encoding.levels(codes)
    assert levels.reshape(codes.size, -1).tolist() == expected and levels.dtype == np.uint8
    assert encoding.codes(encoding.patterns(codes)).tolist() == codes.tolist()
    cells = np.arange(codes.size * encoding.cells_per_weight)
    assert encoding.levels_of(codes, cells[::-1]).tolist() == sum(expected, [])[::-1]


@settings(deadline=None, max_examples=60)
@given(ENCODINGS, CODES)
def test_a_code_is_the_sum_of_its_levels_times_what_each_is_worth(encoding, codes):
    if encoding == Encoding(2):  # paper_bits: no column current sums it
        return
    assert np.array_equal(
        encoding.levels(codes) @ encoding.digit_values() - 32768 * encoding.offset, codes.astype(float)
    )


@settings(deadline=None, max_examples=100)
@given(st.data(), ENCODINGS, CODES)
def test_writing_cells_is_what_it_is_by_definition(data, encoding, codes):
    n = encoding.cells_per_weight * codes.size
    chosen = data.draw(
        st.dictionaries(st.integers(0, n - 1), st.integers(0, encoding.top_level), max_size=min(n, 20))
    )
    cells, levels = np.array(list(chosen), np.int32), np.array(list(chosen.values()), np.uint8)
    before = codes.copy()
    forced = encoding.write(codes, cells, levels)
    assert np.array_equal(forced, forced_one_by_one(encoding, codes, cells, levels))
    assert forced.dtype == np.int16
    assert np.array_equal(codes, before) and not np.shares_memory(codes, forced)
    assert np.array_equal(encoding.write(forced, cells, levels), forced), "idempotent"
    turned = codes[::-1, ::-1].T
    assert np.array_equal(
        encoding.write(turned, cells, levels), forced_one_by_one(encoding, turned, cells, levels)
    )
    assert set(encoding.differing_cells(codes, forced).tolist()) <= set(cells.tolist())


@settings(deadline=None, max_examples=100)
@given(st.data(), ENCODINGS, CODES)
def test_differing_cells_are_those_whose_levels_differ(data, encoding, codes):
    others = data.draw(arrays(np.int16, codes.shape) | st.just(codes))
    found = encoding.differing_cells(codes, others)
    assert found.tolist() == np.flatnonzero(encoding.levels(codes) != encoding.levels(others)).tolist()
    assert found.dtype == np.int64
    # Writing the other's levels there turns one into the other.
    assert np.array_equal(encoding.write(codes, found, encoding.levels_of(others, found)), others)


def test_stuck_sign_bits():
    codes = np.array([[0, 5, -1, 32767]], np.int16)
    signs = np.array([15, 31, 47, 63])
    assert SLC.write(codes, signs, np.ones(4)).tolist() == [[-32768, 5 - 32768, -1, -1]]
    assert SLC.write(codes, signs, np.zeros(4)).tolist() == [[0, 5, 32767, 32767]]


def test_what_a_cell_may_hold():
    assert (SLC.cells_per_weight, SLC.top_level) == (16, 1)
    assert (Encoding(2).cells_per_weight, Encoding(2).top_level) == (8, 3)
    with pytest.raises(ValueError, match="1 or 2 bits"):
        Encoding(3)
