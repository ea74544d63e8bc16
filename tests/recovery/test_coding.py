"""Positions as gaps in a Rice code: back again, and never longer than with another parameter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.recovery.coding import Reader, pack_positions

position_sets = st.sets(st.integers(0, 100_000), min_size=1, max_size=200).map(
    lambda s: np.array(sorted(s), np.int64)
)


def bits_with(positions: np.ndarray, k: int) -> int:
    """By hand: each gap takes its upper part in unary, a stop bit and ``k`` low bits."""
    gaps = np.diff(positions, prepend=-1) - 1
    return sum(int(gap) // 2**k + 1 + k for gap in gaps)


@settings(deadline=None)
@given(position_sets)
def test_come_back_and_no_parameter_is_shorter(positions):
    packed = pack_positions(positions)
    reader = Reader(packed)
    assert reader.positions(len(positions)).tolist() == positions.tolist()
    reader.end()
    assert packed[0] == min(range(18), key=lambda k: bits_with(positions, k))


@pytest.mark.parametrize("share", [0.002, 0.05, 0.3, 0.6, 0.95])
def test_nor_is_it_for_many_positions(share):
    positions = np.flatnonzero(np.random.default_rng(1).random(20_000) < share)
    packed = pack_positions(positions)
    assert Reader(packed).positions(len(positions)).tolist() == positions.tolist()
    assert packed[0] == min(range(16), key=lambda k: bits_with(positions, k))
