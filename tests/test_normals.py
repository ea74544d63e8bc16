"""Unit normals at random access: their law, and that nothing but key, row and place matters."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.normals import normal_pair, unit_normals
from lifesim.streams import bits_at, stream_key

KEYS = st.integers(0, 2**128 - 1)
N = 1 << 20


@pytest.fixture(scope="module")
def sample():
    return unit_normals(stream_key("normals"), 1, N)[0].astype(float)


@settings(deadline=None, max_examples=100)
@given(KEYS, st.integers(1, 5), st.integers(1, 70))
def test_a_number_depends_on_key_row_and_place_alone(key, rows, count):
    """Whole vectors and what is left over, odd and even counts, whatever the address of the row: the same bits."""
    whole = unit_normals(key, 6, 71)
    some = unit_normals(key, rows, count)
    assert some.dtype == np.float32
    assert np.array_equal(some.view(np.uint32), whole[:rows, :count].view(np.uint32))


@settings(deadline=None, max_examples=200)
@given(KEYS, st.integers(0, 40), st.integers(0, 200))
def test_a_number_is_that_of_its_hash(key, row, pair):
    """The kernel's hash against one in Python's own integers."""

    def shifted(x, by, times):
        return ((x ^ (x >> by)) * times) & (2**64 - 1)

    start, middle = map(int, bits_at(key, np.array([2 * row, 2 * row + 1])))
    x = (pair * 0x9E3779B97F4A7C15 + start) & (2**64 - 1)
    x = shifted(x, 30, 0xBF58476D1CE4E5B9) ^ middle
    x = shifted(shifted(x, 27, 0x94D049BB133111EB), 31, 1)
    numbers = unit_normals(key, row + 1, 2 * pair + 2)[row, -2:]
    assert np.array_equal(numbers, normal_pair(np.uint64(x)))


def pair(radius_bits, angle_bits):
    return normal_pair(np.uint64(radius_bits | angle_bits << 32))


EXTREMES = [0, 1, 2, 3, 2**30 - 1, 2**30, 2**31 - 1, 2**31, 3 * 2**30, 2**32 - 2, 2**32 - 1]


@settings(deadline=None, max_examples=500)
@given(
    st.integers(0, 2**32 - 1) | st.sampled_from(EXTREMES),
    st.integers(0, 2**32 - 1) | st.sampled_from(EXTREMES),
)
def test_a_pair_is_that_of_box_and_muller(radius_bits, angle_bits):
    """In double precision, by the library's logarithm, sine and cosine."""
    uniform = float(np.float32((radius_bits >> 1) + 0.5)) / 2**31
    radius = math.sqrt(-2 * math.log(uniform))
    offset = angle_bits % 2**30 - (2**30 if angle_bits & 2**29 else 0)  # the lower 30 bits, signed
    angle = math.pi / 4 + offset * math.pi / 4 / 2**29
    expected = (
        radius * math.cos(angle) * (-1 if angle_bits & 2**31 else 1),
        radius * math.sin(angle) * (-1 if angle_bits & 2**30 else 1),
    )
    found = pair(radius_bits, angle_bits)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * max(radius, 1e-3))


def test_the_farthest_number_lies_beyond_six_standard_deviations():
    assert math.hypot(*pair(0, 0)) == pytest.approx(math.sqrt(2 * 32 * math.log(2)), rel=1e-6)
    assert 6.6 < max(abs(n) for n in pair(0, 2**29)) < 6.7
    assert np.isfinite(pair(2**32 - 1, 0)).all()


def test_moments_are_those_of_a_normal(sample):
    """The first six, each within 3.5 standard errors: var(z^k) = E z^2k - (E z^k)^2."""

    def moment(k):
        return float(math.prod(range(k - 1, 0, -2))) if k % 2 == 0 else 0.0

    for k in range(1, 7):
        error = math.sqrt((moment(2 * k) - moment(k) ** 2) / N)
        assert abs((sample**k).mean() - moment(k)) < 3.5 * error


def test_the_distribution_is_normal(sample):
    """Kolmogorov's distribution of sqrt(n) D: mean 0.8687, standard deviation 0.2603. Halves of pairs, too."""
    for z in (sample, sample[::2], sample[1::2]):
        assert stats.kstest(z, "norm").statistic * math.sqrt(len(z)) < 0.8687 + 3 * 0.2603


def test_the_tails_are_normal():
    """16 million numbers: how many lie beyond 2, 3, 4 and 5 standard deviations on either side, within 3.5 standard errors."""
    n, above, below = 16, {}, {}
    for part in range(n):
        z = unit_normals(stream_key("tails", part), 1, N)[0]
        for limit in (2, 3, 4, 5):
            above[limit] = above.get(limit, 0) + int((z > limit).sum())
            below[limit] = below.get(limit, 0) + int((z < -limit).sum())
    for limit in above:
        expected = n * N * stats.norm.sf(limit)
        for found in (above[limit], below[limit]):
            assert abs(found - expected) < 3.5 * math.sqrt(expected)


def test_neighbours_rows_and_streams_are_uncorrelated(sample):
    """Numbers and their squares: correlations of independent ones have a standard error of 1 / sqrt(n)."""
    key = stream_key("normals")
    others = [
        unit_normals(key, 2, N)[1],
        *(unit_normals(key ^ (1 << bit), 1, N)[0] for bit in (0, 63, 64, 127)),
        *(np.roll(sample, lag) for lag in (1, 2, 3, 16, 1024)),
    ]
    for other in others:
        for a, b in ((sample, other), (sample**2, other**2), (np.abs(sample), other)):
            assert abs(np.corrcoef(a, b)[0, 1]) < 3.5 / math.sqrt(N)


def test_a_pair_is_as_independent_as_any_two(sample):
    """A plane cut into 8 x 8 boxes of equal probability: chi-square of 63 degrees of freedom, below 3 standard deviations."""
    x, y = (np.floor(8 * stats.norm.cdf(z)).astype(int) for z in (sample[::2], sample[1::2]))
    counts = np.bincount(8 * x + y, minlength=64)
    expected = N / 2 / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 3 * math.sqrt(2 * 63)
