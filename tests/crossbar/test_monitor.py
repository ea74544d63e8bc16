"""Sums of cells against adding them up one by one; how often they trip against drawing their noise."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from lifesim.crossbar.cost import Cost, OperationCosts, check_cost, readback_cost
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.monitor import Monitor
from lifesim.network.architecture import CrossbarLayer


def by_adding_up(codes, encoding, sums):
    """The levels of a layer as a matrix of cells, cut into crossbars of 128 x 128; the sum of each column of each, or of each."""
    levels = encoding.levels(codes).reshape(len(codes), -1).astype(int)
    found = {}
    for tile_row in range(0, levels.shape[0], 128):
        for column in range(levels.shape[1]):
            key = (tile_row // 128, column if sums == "column" else column // 128)
            found[key] = found.get(key, 0) + int(levels[tile_row : tile_row + 128, column].sum())
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([Encoding(1), Encoding(1, True), Encoding(2, True)]),
    st.sampled_from(["column", "crossbar"]),
    st.integers(1, 300),
    st.integers(1, 20),
    st.integers(0, 2**32),
    st.integers(0, 50),
)
def test_a_deviation_is_what_adding_up_gives(encoding, sums, rows, columns, seed, changed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-(2**15), 2**15, (rows, columns), dtype=np.int16)
    held = codes.copy()
    held.reshape(-1)[rng.integers(0, codes.size, changed)] ^= np.int16(1 << int(rng.integers(0, 15)))
    (got,) = Monitor(sums, 0.5, 3.5).deviations([codes], [held], encoding)
    before, after = (by_adding_up(of, encoding, sums) for of in (codes, held))
    assert len(got) == len(before)
    expected = sorted(after[key] - before[key] for key in before)
    assert sorted(got.tolist()) == expected
    assert got.sum() == sum(after.values()) - sum(before.values())


@pytest.mark.parametrize(
    ("noise", "tolerance", "deviations"),
    [(0.5, 1.0, [0.0] * 40), (0.5, 3.5, [0, 0, 3, -4, 2]), (2.0, 4.0, [-1.0] * 10), (1.0, 2.0, [5.0])],
)
def test_it_trips_as_often_as_drawn_noise_does(noise, tolerance, deviations):
    """Within 3 standard errors of 40,000 draws."""
    off = np.array(deviations, float)
    readings = off + noise * np.random.default_rng(3).standard_normal((40_000, len(off)))
    share = (np.abs(readings) > tolerance).any(axis=1).mean()
    expected = Monitor("column", noise, tolerance).trip_probability((off[:2], off[2:]))
    assert abs(share - expected) <= 3 * math.sqrt(expected * (1 - expected) / len(readings)) + 1e-12


def test_false_alarms_in_closed_form():
    """Of n sums that are as they should be: 1 - (1 - 2 Q(k))^n at a tolerance of k standard deviations, also where that is tiny."""
    for k, n in ((3.0, 100), (5.5, 7168), (7.0, 50_000)):
        expected = -math.expm1(n * math.log1p(-2 * special.ndtr(-k)))
        got = Monitor("column", 0.5, 0.5 * k).trip_probability((np.zeros(n // 2), np.zeros(n - n // 2)))
        assert got == pytest.approx(expected, rel=1e-6)


def test_without_noise_it_trips_where_it_is_out_of_tolerance():
    monitor = Monitor("column", 0.0, 3.0)
    for off, trips in (([0, 3, -3], False), ([0, 4], True), ([-4], True), ([], False)):
        deviations = (np.array(off, float),)
        assert monitor.trips(deviations) is trips
        assert monitor.trip_probability(deviations) == float(trips)
        assert Monitor("column", 0.1, 3.0).trips(deviations) is trips


def test_a_check_is_one_read_of_each_crossbar():
    costs, layers = OperationCosts.preset("isaac_slc"), [CrossbarLayer("a", 1024, 64, 1)]
    crossbars = 1024 * 64 * 16 // 128**2
    assert check_cost(costs, layers) == Cost(
        crossbars * costs.crossbar_read_ns, pytest.approx(crossbars * costs.read_j), 0
    )
    assert readback_cost(costs, layers).latency_ns == 128 * check_cost(costs, layers).latency_ns
