"""Cumulative sums: their law, their independence of how they are asked, their calibration."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.detection.nullreads import Averaging, NullReads, fault_free_tests, null_statistics
from lifesim.detection.sequential import START, Cusum, calibrate_cusum, highest_sums
from lifesim.detection.statistics import MOST


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 200) | st.just(MOST), max_size=30),
    st.integers(0, 100),
    st.integers(0, 300),
    st.lists(st.integers(0, 30), max_size=4),
)
def test_windows_and_single_tests_agree(shown, reference, limit, cuts):
    cusum, state, alarms = Cusum(reference, limit), START, []
    for value in shown:
        state, alarm = cusum.update(state, value)
        assert 0 <= state <= limit + 1 and alarm == (state > limit)
        alarms.append(alarm)
    first = alarms.index(True) if any(alarms) else None
    in_windows, begin = START, 0
    for end in sorted({*cuts, len(shown)}):
        in_windows, position = cusum.first_alarm(in_windows, shown[begin:end])
        if position is not None:
            assert begin + position == first
            break
        begin = min(end, len(shown))
    else:
        assert first is None and in_windows == state
    assert (highest_sums(reference, np.array([shown], np.int64))[0] > limit) == (first is not None)


def by_markov_chain(reference, limit, law, states=400):
    """Average run length by the method of Brook and Evans (Biometrika 59, 1972), for a limit in units of the increments."""
    width = 2 * limit / (2 * states - 1)
    ends = (np.arange(states)[None, :] - np.arange(states)[:, None] + 0.5) * width
    moves = np.diff(law.cdf(reference + np.column_stack([ends[:, 0] * 0 - np.inf, ends])), axis=1)
    moves[:, 0] = law.cdf(reference + ends[:, 0])
    return np.linalg.solve(np.eye(states) - moves, np.ones(states))[0]


def run_lengths(cusum, shown):
    found = [cusum.first_alarm(START, row)[1] for row in shown.tolist()]
    assert None not in found
    return np.array(found) + 1.0


@pytest.mark.parametrize(("shift", "known"), [(0.0, 335.4), (1.0, 8.38)])
def test_the_average_run_length_of_normal_tests(shift, known):
    """Reference 0.5 and limit 4 standard deviations: 335.4 and, shifted by one, 8.38 (tables of Hawkins and Olwell, 1998); Siegmund's approximation
    (Sequential Analysis, 1985) within 2 %; simulated within 4 standard errors.
    """
    chain = by_markov_chain(0.5, 4.0, stats.norm(shift))
    assert chain == pytest.approx(known, rel=0.005)
    b, drift = 4.0 + 1.166, shift - 0.5
    assert chain == pytest.approx((math.exp(-2 * drift * b) + 2 * drift * b - 1) / (2 * drift**2), rel=0.02)
    rng, unit = np.random.default_rng(1), 1000
    shown = np.rint(unit * rng.normal(10 + shift, 1, (500, 5000 if shift == 0 else 150))).astype(np.int64)
    lengths = run_lengths(Cusum(10 * unit + unit // 2, 4 * unit), shown)
    assert abs(lengths.mean() - chain) < 4 * lengths.std() / np.sqrt(len(lengths))


M, C = 4, 5


def reads(n, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, M, C)) + shift


@pytest.mark.parametrize("averaging", [Averaging(1, 1), Averaging(1, 8)])
def test_devices_without_faults_alarm_as_rarely_as_stated(averaging):
    """In a year of weekly tests, each device against a baseline of its own; of six calibrations, and of 2,000 new devices each."""
    rate, tests, n = 0.05, 52, 2000
    found = []
    for seed in range(6):
        statistic, groups = fault_free_tests(
            "mahalanobis", reads(600, (seed, 0)), averaging, rate, seed, tests=tests
        )
        cusum = calibrate_cusum(groups, rate)
        null = NullReads.of(reads(4000, (seed, 1)), averaging)
        seen = null_statistics(null, statistic, n, tests, 3)
        found.append(np.mean(highest_sums(cusum.reference, seen) > cusum.limit))
    assert np.sum(np.array(found) <= rate) >= 5 and max(found) < 2 * rate and np.mean(found) > 0.1 * rate


def test_weak_faults_are_found_that_no_single_test_finds():
    """A shift that one test in ten notices at 1 %: the sum finds it within a few months, at one false alarm in 50 device-years."""
    averaging, rng = Averaging(1, 0), np.random.default_rng(2)
    statistic, groups = fault_free_tests("mahalanobis", reads(1000, 1), averaging, 0.02, 7, tests=52)
    cusum = calibrate_cusum(groups, 0.02)
    shift = rng.normal(size=(M, C))
    shift *= 2.6 / np.linalg.norm(shift)
    shown = statistic.between(np.zeros((M, C)), reads(200 * 150, 3, shift)).reshape(200, 150)
    alone = np.mean(shown > 1e3 * np.sqrt(stats.chi2(M * C).ppf(0.9996)))  # once in 50 years
    lengths = run_lengths(cusum, shown)
    assert alone < 0.02 and lengths.mean() < 20
