"""Lifetime distributions through their cumulative hazard, in the far tails too."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.physics.distributions import Lognormal, Weibull, failed_share

WEIBULLS = st.builds(Weibull, scale=st.floats(1e2, 1e10), shape=st.floats(0.5, 6))
LOGNORMALS = st.builds(Lognormal, median=st.floats(1e3, 1e12), sigma_ln=st.floats(0.1, 3))
HAZARDS = st.floats(-30, 1.5).map(lambda exponent: 10.0**exponent)  # one cell in 1e30 to all but one in 1e13


@settings(deadline=None, max_examples=200)
@given(WEIBULLS | LOGNORMALS, st.lists(HAZARDS, min_size=1, max_size=20))
def test_limit_and_hazard_are_inverse(distribution, hazards):
    hazards = np.array(hazards)
    np.testing.assert_allclose(distribution.hazard(distribution.limit(hazards)), hazards, rtol=1e-8)


@settings(deadline=None, max_examples=200)
@given(WEIBULLS | LOGNORMALS, HAZARDS)
def test_the_limit_of_one_number_is_that_of_an_array(distribution, hazard):
    assert distribution.limit_at(hazard) == pytest.approx(
        float(distribution.limit(np.array([hazard]))[0]), rel=1e-12
    )


@settings(deadline=None, max_examples=200)
@given(WEIBULLS | LOGNORMALS, st.lists(HAZARDS, min_size=2, max_size=20))
def test_both_are_monotone(distribution, hazards):
    hazards = np.sort(np.array(hazards))
    limits = distribution.limit(hazards)
    assert np.all(np.isfinite(limits)) and np.all(limits > 0)
    assert np.all(np.diff(limits) >= 0)
    assert np.all(np.diff(distribution.hazard(np.sort(limits))) >= 0)


@settings(deadline=None, max_examples=100)
@given(st.floats(-8, 8), st.floats(0.1, 3))
def test_lognormal_is_scipys(z, sigma_ln):
    ours, theirs = Lognormal(1e6, sigma_ln), stats.lognorm(s=sigma_ln, scale=1e6)
    limit = 1e6 * math.exp(sigma_ln * z)
    assert float(ours.hazard(limit)) == pytest.approx(-theirs.logsf(limit), rel=1e-9)
    assert float(failed_share(ours, limit)) == pytest.approx(theirs.cdf(limit), rel=1e-9)


@settings(deadline=None, max_examples=100)
@given(st.floats(-3, 1), st.floats(0.5, 6))
def test_weibull_is_scipys(exponent, shape):
    ours, theirs = Weibull(1e7, shape), stats.weibull_min(shape, scale=1e7)
    limit = 1e7 * 10.0**exponent
    if float(ours.hazard(limit)) < 500:
        assert float(ours.hazard(limit)) == pytest.approx(-theirs.logsf(limit), rel=1e-9)
        assert float(failed_share(ours, limit)) == pytest.approx(theirs.cdf(limit), rel=1e-9)


def test_the_branches_of_the_lognormal_meet():
    """ln 2 is the median; one float to its left and right the two formulas agree."""
    half = math.log(2.0)
    around = np.array([math.nextafter(half, 0), half, math.nextafter(half, 1)])
    np.testing.assert_allclose(Lognormal(123.0, 2.0).limit(around), 123.0, rtol=1e-14)


def test_nothing_has_failed_at_zero():
    for distribution in (Weibull(1e7, 2.0), Lognormal(1e7, 1.0)):
        assert failed_share(distribution, 0.0) == 0.0
        assert np.array_equal(failed_share(distribution, np.array([0.0, np.inf])), [0.0, 1.0])


def test_published_points():
    """0.5 % of cells are stuck at 0.071 x scale (shape 2); 1 ppm at 10 y, sigma 1: a median of 1160 y."""
    assert float(Weibull(1.0, 2.0).limit(-math.log1p(-0.005))) == pytest.approx(0.071, abs=5e-4)
    assert float(failed_share(Lognormal(1160.0, 1.0), 10.0)) == pytest.approx(1e-6, rel=0.02)
    assert float(failed_share(Weibull(1e7, 2.0), 1e4)) == pytest.approx(1e-6, rel=1e-3)
