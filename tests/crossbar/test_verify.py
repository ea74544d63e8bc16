"""Write-verify against a simulation of every single cell and the closed forms of the geometric distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.crossbar.verify import WriteVerify
from lifesim.streams import stream_key


def capped(mean, most):
    """Probabilities of 1..most pulses: geometric, the last one with all that is left."""
    k, q = np.arange(1, most + 1), 1 - 1 / mean
    p = q ** (k - 1.0) / mean
    p[-1] = q ** (most - 1.0)
    return k, p


@settings(deadline=None, max_examples=100)
@given(st.floats(1, 50), st.integers(1, 200))
def test_expectations_are_the_sums_over_the_distribution(mean, most):
    verify = WriteVerify(mean, most)
    k, p = capped(mean, most)
    assert verify.pulses_per_cell == pytest.approx(float(k @ p))
    assert verify.failure_probability == pytest.approx((1 - 1 / mean) * p[-1])


@pytest.mark.parametrize(("mean", "most"), [(8.0, 10_000), (8.0, 24), (1.5, 2), (1.0, 5)])
def test_pulses_and_failures_of_a_programming(mean, most):
    """2,000 programmings of 100 cells: mean and variance within 3 SE; without a limit, those of the geometric distribution."""
    verify, n, cells = WriteVerify(mean, most), 2000, 100
    drawn = [verify.draw(stream_key("write", most, i), cells) for i in range(n)]
    pulses, failures = np.array([p for p, _ in drawn]), np.array([len(f) for _, f in drawn])
    k, p = capped(mean, min(most, 5000))
    mean_one, var_one = float(k @ p), float(k**2 @ p - (k @ p) ** 2)
    if most == 10_000:
        assert (mean_one, var_one) == (pytest.approx(mean), pytest.approx(mean * (mean - 1)))
    se = math.sqrt(cells * var_one / n)
    assert se < 0.01 * cells * mean_one and abs(pulses.mean() - cells * mean_one) <= 3 * se
    assert abs(pulses.var() - cells * var_one) <= 3 * cells * var_one * math.sqrt(2.1 / n)
    q = verify.failure_probability
    assert abs(failures.mean() - cells * q) <= 3 * math.sqrt(cells * q * (1 - q) / n)
    # A cell that fails takes every pulse: their covariance is that of one cell, summed.
    covariance = cells * q * (most - mean_one)
    if q:
        both = np.cov(pulses, failures)[0, 1]
        spread = math.sqrt((cells * var_one * cells * q * (1 - q) + covariance**2) / n)
        assert abs(both - covariance) < 3 * spread
    which = np.concatenate([f for _, f in drawn])
    if len(which) > 1000:
        assert stats.chisquare(np.bincount(which, minlength=cells)).pvalue > 0.001


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**64), st.integers(0, 3000), st.floats(1, 20), st.integers(1, 30))
def test_a_programming_is_decided_by_its_key(key, cells, mean, most):
    verify = WriteVerify(mean, most)
    pulses, failed = verify.draw(key, cells)
    again = verify.draw(key, cells)
    assert pulses == again[0] and np.array_equal(failed, again[1])
    assert len(set(failed.tolist())) == len(failed) <= cells
    assert all(0 <= cell < cells for cell in failed)
    assert cells + (most - 1) * len(failed) <= pulses <= most * cells


def test_ten_million_cells_are_no_work():
    verify = WriteVerify(8.0, 100)
    pulses, failed = verify.draw(7, 10_000_000)
    assert abs(pulses / 1e7 - verify.pulses_per_cell) < 3 * math.sqrt(56 / 1e7)
    assert abs(len(failed) - 1e7 * verify.failure_probability) < 3 * math.sqrt(
        1e7 * verify.failure_probability
    )


@pytest.mark.parametrize(("mean", "most"), [(0.5, 3), (8.0, 0)])
def test_less_than_a_pulse_is_refused(mean, most):
    with pytest.raises(ValueError, match="at least 1 pulse"):
        WriteVerify(mean, most)
