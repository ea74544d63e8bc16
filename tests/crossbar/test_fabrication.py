"""Defects per tile against the closed forms of their distribution; line failures against a Poisson process, and their geometry."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.crossbar.fabrication import NS_PER_YEAR, FabricationDefects, LineFailures, line_events
from lifesim.crossbar.tiles import Tiling
from lifesim.streams import stream_key

BANK = Tiling(16 * 400, 16 * 250, side=16)  # 100,000 full tiles of 256 cells


def counts_per_tile(defects, tiling, seed):
    cells, _ = defects.draw(stream_key("defects", seed), tiling)
    return np.bincount(tiling.place(cells)[0], minlength=tiling.tiles)


def close(sample, expected):
    """Mean and variance within 3 SE, which are below 1 %; the variance's SE from the distribution's fourth moment."""
    mean, variance, _, kurtosis = expected
    n = len(sample)
    se_mean = math.sqrt(variance / n)
    se_variance = variance * math.sqrt((kurtosis + 2) / n)
    assert se_mean < 0.01 * mean and se_variance < 0.02 * variance
    assert abs(sample.mean() - mean) < 3 * se_mean
    assert abs(sample.var() - variance) < 3 * se_variance


@pytest.mark.parametrize("alpha", [0.5, 2.0, math.inf])
def test_the_number_in_a_tile_has_its_closed_form(alpha):
    rate, n = 0.01, 256
    mean = rate * n
    expected = stats.binom(n, rate) if math.isinf(alpha) else stats.nbinom(alpha, alpha / (alpha + mean))
    if not math.isinf(alpha):
        assert float(expected.var()) == pytest.approx(mean + mean**2 / alpha)
    counts = counts_per_tile(FabricationDefects(rate, 0.5, alpha), BANK, 1)
    close(counts, [float(m) for m in expected.stats("mvsk")])
    empty = float(expected.pmf(0))
    assert abs(np.mean(counts == 0) - empty) < 3 * math.sqrt(empty * (1 - empty) / len(counts))


def test_places_in_a_tile_are_uniform_and_polarity_has_its_share():
    bank = Tiling(1600, 1600, side=16)
    cells, lrs = FabricationDefects(0.05, 1 / 6, 2.0).draw(stream_key("places"), bank)
    tile, row, column = bank.place(cells)
    place = row * 16 + column
    assert stats.chisquare(np.bincount(place, minlength=256)).pvalue > 0.001
    se = math.sqrt(1 / 6 * 5 / 6 / len(cells))
    assert se < 0.01 / 6 and abs(lrs.mean() - 1 / 6) < 3 * se
    # A tile has as many places in common with the one before it as independent ones have.
    counts = np.bincount(tile)
    expected = (counts[1:] * counts[:-1]).sum() / 256
    assert 3 / math.sqrt(expected) < 0.04
    assert abs(
        len(np.intersect1d(tile * 256 + place, (tile + 1) * 256 + place)) / expected - 1
    ) < 3 / math.sqrt(expected)


@settings(deadline=None, max_examples=80)
@given(
    st.builds(Tiling, st.integers(1, 40), st.integers(1, 40), st.integers(1, 17)),
    st.floats(0, 1),
    st.sampled_from([0.1, 1.0, math.inf]),
    st.integers(0, 2**64),
)
def test_a_map_is_a_set_of_cells_and_its_key_decides_it(tiling, rate, alpha, key):
    defects = FabricationDefects(rate, 0.5, alpha)
    cells, lrs = defects.draw(key, tiling)
    assert cells.dtype == np.int32 and lrs.dtype == bool and len(cells) == len(lrs)
    assert np.all(np.diff(cells) > 0) and np.all((cells >= 0) & (cells < tiling.cells))
    again = defects.draw(key, tiling)
    assert np.array_equal(cells, again[0]) and np.array_equal(lrs, again[1])
    if rate in (0, 1) and math.isinf(alpha):
        assert len(cells) == rate * tiling.cells


def test_border_tiles_have_the_rate_of_their_cells():
    """500 devices of a bank whose last row and column of tiles are partial."""
    tiling, defects = Tiling(40, 150), FabricationDefects(0.02, 0.5, 1.0)
    counts = sum(counts_per_tile(defects, tiling, seed) for seed in range(500))
    for count, rows, columns in zip(counts, *tiling.extents(np.arange(tiling.tiles)), strict=True):
        mean = 0.02 * rows * columns
        assert abs(count - 500 * mean) < 3 * math.sqrt(500 * (mean + mean**2))


BANKS = (Tiling(60, 40, side=16), Tiling(20, 100, side=16))


def test_lines_fail_as_a_poisson_process():
    failures = LineFailures(2.0, 0.5, 0.5)
    events = [line_events(stream_key("device", d), failures, BANKS, 30 * NS_PER_YEAR) for d in range(200)]
    counts = np.array([len(e) for e in events])
    assert abs(counts.mean() - 60) < 3 * math.sqrt(60 / 200) < 0.03 * 60
    assert abs(counts.var() - 60) < 3 * 60 * math.sqrt(2 / 200)
    times = np.concatenate([[event.time_ns for event in e] for e in events]) / (30 * NS_PER_YEAR)
    assert stats.kstest(times, "uniform").pvalue > 0.001
    # Intervals are exponential, and one tells nothing about the next.
    intervals = np.array([np.diff([0, *(event.time_ns for event in e[:20])]) for e in events]) / NS_PER_YEAR
    assert stats.kstest(intervals.reshape(-1), stats.expon(scale=0.5).cdf).pvalue > 0.001
    for first in range(3):
        assert abs(np.corrcoef(intervals[:, first], intervals[:, first + 1])[0, 1]) < 3 / math.sqrt(200)


def test_which_line_fails_is_uniform_over_the_lines_of_its_kind():
    failures = LineFailures(1.0, 0.25, 0.7)
    events = line_events(stream_key("lines"), failures, BANKS, 4_000 * NS_PER_YEAR)
    by_line = {}
    for event in events:
        tiling = BANKS[event.bank]
        for word, line_of, on_lines in (
            (True, tiling.word_line_of, tiling.on_word_lines),
            (False, tiling.bit_line_of, tiling.on_bit_lines),
        ):
            lines = np.unique(line_of(event.cells))
            if len(lines) == 1 and np.array_equal(on_lines(lines), event.cells):
                kind = word
                line = int(lines[0])
        by_line.setdefault(kind, []).append((event.bank, line))
    n = len(events)
    assert len(by_line[True]) + len(by_line[False]) == n
    assert abs(len(by_line[True]) / n - 0.25) < 3 * math.sqrt(0.25 * 0.75 / n)
    assert abs(np.mean([event.lrs for event in events]) - 0.7) < 3 * math.sqrt(0.21 / n)
    for kind, numbers in ((True, [t.word_lines for t in BANKS]), (False, [t.bit_lines for t in BANKS])):
        observed = [np.zeros(number) for number in numbers]
        for bank, line in by_line[kind]:
            observed[bank][line] += 1
        assert stats.chisquare(np.concatenate(observed)).pvalue > 0.001


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**64), st.floats(0.01, 20), st.integers(0, 10 * NS_PER_YEAR))
def test_a_longer_time_only_adds_line_failures(key, rate, time_ns):
    failures = LineFailures(rate, 0.5, 0.5)
    longer = line_events(key, failures, BANKS, 10 * NS_PER_YEAR)
    shorter = line_events(key, failures, BANKS, time_ns)
    assert all(0 < e.time_ns <= time_ns for e in shorter)
    assert len(shorter) == sum(e.time_ns <= time_ns for e in longer)
    for one, other in zip(shorter, longer, strict=False):
        assert (one.time_ns, one.bank, one.lrs) == (other.time_ns, other.bank, other.lrs)
        assert np.array_equal(one.cells, other.cells) and one.cells.dtype == np.int32
        assert np.all(np.diff(one.cells) > 0)


def test_no_rate_no_failure():
    assert line_events(1, LineFailures(0.0, 0.5, 0.5), BANKS, 10**25) == []
