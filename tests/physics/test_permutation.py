"""The keyed permutation: a bijection, random-access, and as good as random."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.physics.permutation import permute
from lifesim.streams import stream_key


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**128 - 1), st.integers(0, 3000))
def test_it_is_a_bijection(key, n):
    assert np.array_equal(np.sort(permute(key, n, np.arange(n))), np.arange(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 10, 100, 101, 255**2 - 1, 255**2, 255**2 + 1])
def test_it_is_a_bijection_next_to_squares(n):
    assert np.array_equal(np.sort(permute(stream_key("square", n), n, np.arange(n))), np.arange(n))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**128 - 1), st.integers(1, 2**40), st.data())
def test_an_image_depends_on_its_index_alone(key, n, data):
    indices = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20, unique=True))
    images = permute(key, n, np.array(indices))
    assert images.dtype == np.int64 and images.min() >= 0 and images.max() < n
    assert len(set(images.tolist())) == len(indices)
    for index, image in reversed(list(zip(indices, images, strict=True))):
        assert permute(key, n, np.array([index]))[0] == image


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**128 - 1), st.integers(1, 300), st.lists(st.integers(0, 2**20 - 1), max_size=5))
def test_a_family_of_permutations_in_one_call(key, n, members):
    """Each member is what it is alone, a bijection, and member 0 is the permutation of the key."""
    index, member = np.tile(np.arange(n), len(members)), np.repeat(np.array(members, np.int64), n)
    images = permute(key, n, index, member).reshape(-1, n)
    for images_of_one, one in zip(images, members, strict=True):
        assert np.array_equal(images_of_one, permute(key, n, np.arange(n), one))
        assert np.array_equal(np.sort(images_of_one), np.arange(n))
    assert np.array_equal(permute(key, n, np.arange(n), 0), permute(key, n, np.arange(n)))


def test_members_of_a_family_are_unrelated():
    """The share of indices that two members send to the same place is 1 / n, within 3 SE."""
    n, members = 1000, np.arange(4000)
    first = permute(stream_key("family"), n, np.zeros(len(members), np.int64), members)
    pairs = len(members) - 1
    assert abs(np.mean(first[1:] == first[:-1]) - 1 / n) < 3 * (1 / n / pairs) ** 0.5
    assert abs(first.mean() - (n - 1) / 2) < 3 * n / 12**0.5 / len(members) ** 0.5


def test_no_index_is_no_trouble():
    assert permute(1, 0, np.arange(0)).shape == (0,)
    assert permute(1, 10, np.arange(0)).shape == (0,)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_every_order_of_a_few_is_equally_likely(n):
    """Chi-square over keys, within 3 of its standard deviations sqrt(2 (n! - 1)) of its mean n! - 1."""
    keys, orders = 2000, math.factorial(n)
    seen = Counter(tuple(permute(stream_key("orders", n, i), n, np.arange(n))) for i in range(keys))
    counts = np.array([seen[order] for order in permutations(range(n))])
    chi_square = ((counts - keys / orders) ** 2).sum() / (keys / orders)
    assert abs(chi_square - (orders - 1)) < 3 * math.sqrt(2 * (orders - 1))


@pytest.mark.parametrize("n", [97, 1000, 6_890_000])
def test_the_first_cells_to_fail_are_spread_evenly_and_singly(n):
    """Over keys: where rank 0 and 1 go (20 bins, chi-square), and that a pair of ranks is no pair of places;
    3 standard deviations.
    """
    keys, bins = 1500, 20
    images = np.array([permute(stream_key("spread", n, i), n, np.arange(2)) for i in range(keys)])
    expected = np.diff(np.ceil(np.arange(bins + 1) / bins * n)) * keys / n
    for rank in (0, 1):
        counts = np.bincount(images[:, rank] * bins // n, minlength=bins)
        assert abs(((counts - expected) ** 2 / expected).sum() - (bins - 1)) < 3 * math.sqrt(2 * (bins - 1))
    assert abs(np.corrcoef(images.T)[0, 1] + 1 / (n - 1)) < 3 / math.sqrt(keys)


def test_neighbours_in_rank_are_no_neighbours_in_place():
    """One key, many ranks: serial correlation, fixed points and ascents as for a random permutation, within 3
    standard errors.
    """
    n = 50_000
    images = permute(stream_key("one key"), n, np.arange(n)).astype(float)
    assert abs(np.corrcoef(images[:-1], images[1:])[0, 1]) < 3 / math.sqrt(n)
    assert abs(np.corrcoef(images, np.arange(n))[0, 1]) < 3 / math.sqrt(n)
    assert abs(np.sum(np.diff(images) > 0) - (n - 1) / 2) < 3 * math.sqrt((n + 1) / 12)
    assert abs(np.sum(images == np.arange(n)) - 1) <= 3  # Poisson of mean 1: standard deviation 1


def test_another_key_is_another_permutation():
    n = 10_000
    images = np.array([permute(key, n, np.arange(n)) for key in (0, 1, 1 << 64, 1 << 127)])
    for i in range(len(images)):
        for j in range(i):
            assert abs(np.corrcoef(images[i], images[j])[0, 1]) < 3 / math.sqrt(n)
