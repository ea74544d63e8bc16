"""Differences of reads in units of their noise: closed forms, invariants, bytes."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.detection.statistics import (
    MOST,
    Statistic,
    StatisticName,
    confidences,
    shrunk_covariances,
)

NAMES = get_args(StatisticName)


def covariances(rng, m, c):
    mixing = rng.normal(size=(m, c, c)) + 2 * np.eye(c)
    return mixing @ mixing.transpose(0, 2, 1)


def drawn(rng, n, covariance):
    return np.einsum(
        "mij,nmj->nmi", np.linalg.cholesky(covariance), rng.normal(size=(n, *covariance.shape[:2]))
    )


def same(a: Statistic, b: Statistic) -> bool:
    blind = a.blind is b.blind is None or np.array_equal(a.blind, b.blind)
    arrays = np.array_equal(a.mantissas, b.mantissas) and np.array_equal(a.exponents, b.exponents)
    return a.name == b.name and arrays and blind


def test_squares_of_white_noise_follow_chi_square():
    """Mahalanobis always; the sum by standard deviations where logits are independent. Mean, variance and 99 % point, in standard errors."""
    rng, n, m, c = np.random.default_rng(1), 20_000, 4, 5
    full = covariances(rng, m, c)
    diagonal = full * np.eye(c)
    for name, covariance in (("mahalanobis", full), ("chi_square", diagonal)):
        statistic = Statistic.of(name, covariance)
        squares = (statistic.between(np.zeros((m, c)), drawn(rng, n, covariance)) / 1e3) ** 2
        law = stats.chi2(m * c)
        assert abs(squares.mean() - law.mean()) < 4 * law.std() / np.sqrt(n)
        kurtosis = law.stats("k")
        assert abs(squares.var() / law.var() - 1) < 4 * np.sqrt((2 + kurtosis) / n)
        assert abs(np.mean(squares > law.ppf(0.99)) - 0.01) < 4 * np.sqrt(0.0099 / n)


def test_the_largest_picture_follows_the_largest_of_chi_squares():
    rng, n, m, c = np.random.default_rng(2), 20_000, 4, 5
    covariance = covariances(rng, m, c)
    statistic = Statistic.of("mahalanobis_max", covariance)
    squares = (statistic.between(np.zeros((m, c)), drawn(rng, n, covariance)) / 1e3) ** 2
    law = stats.chi2(c)
    assert abs(np.mean(law.cdf(squares) ** m) - 0.5) < 4 / np.sqrt(12 * n)  # uniform


@pytest.mark.parametrize("name", ["mahalanobis", "mahalanobis_max"])
def test_mahalanobis_does_not_depend_on_linear_maps_of_the_logits(name):
    rng, m, c = np.random.default_rng(3), 3, 4
    covariance, maps = covariances(rng, m, c), rng.normal(size=(m, c, c)) + 3 * np.eye(c)
    differences, direction = rng.normal(size=(50, m, c)), rng.normal(size=(m, c))

    def seen(covariance, differences, direction):
        statistic = Statistic.of(name, covariance, direction)
        return statistic.of_whitened(statistic.whitened(differences))

    plain = seen(covariance, differences, direction)
    mapped = seen(
        maps @ covariance @ maps.transpose(0, 2, 1),
        np.einsum("mij,nmj->nmi", maps, differences),
        np.einsum("mij,mj->mi", maps, direction),
    )
    np.testing.assert_allclose(mapped, plain, rtol=2e-3)


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
@pytest.mark.parametrize("name", ["chi_square", "mahalanobis", "mahalanobis_max"])
def test_the_scale_of_logits_does_not_matter(name, scale):
    rng = np.random.default_rng(4)
    covariance, differences = covariances(rng, 3, 4), rng.normal(size=(20, 3, 4)) * 5
    one, other = Statistic.of(name, covariance), Statistic.of(name, covariance * scale**2)
    of_one = one.between(np.zeros((3, 4)), differences)
    assert of_one.min() > 0
    np.testing.assert_allclose(
        other.between(np.zeros((3, 4)), differences * scale), of_one, atol=1, rtol=1e-4
    )


@pytest.mark.parametrize("name", ["chi_square", "mahalanobis", "mahalanobis_max"])
def test_what_moves_along_the_direction_left_out_is_not_seen(name):
    rng, m, c = np.random.default_rng(5), 4, 5
    covariance, direction = covariances(rng, m, c), rng.normal(size=(m, c))
    blind, seeing = Statistic.of(name, covariance, direction), Statistic.of(name, covariance)
    zero = np.zeros((m, c))
    assert blind.between(zero, 100 * direction) < 2e-3 * seeing.between(zero, 100 * direction)
    noise = drawn(rng, 5, covariance)
    moved = blind.between(zero, noise + 3 * direction) - blind.between(zero, noise)
    assert np.abs(moved).max() <= 20
    if name != "mahalanobis_max":
        assert np.all(blind.between(zero, noise) <= seeing.between(zero, noise))


def test_one_degree_of_freedom_is_lost():
    rng, n, m, c = np.random.default_rng(6), 20_000, 4, 5
    covariance = covariances(rng, m, c)
    statistic = Statistic.of("mahalanobis", covariance, rng.normal(size=(m, c)))
    squares = (statistic.between(np.zeros((m, c)), drawn(rng, n, covariance)) / 1e3) ** 2
    assert abs(squares.mean() - (m * c - 1)) < 4 * np.sqrt(2 * m * c / n)


def test_max_dp_by_hand():
    baseline = np.log([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
    read = np.log([[0.7, 0.15, 0.15], [0.45, 0.3, 0.25]])
    statistic = Statistic.of("max_dp", np.tile(np.eye(3), (2, 1, 1)))
    assert statistic.between(baseline, read) == 5_000  # thousandths of a per cent
    assert statistic.between(baseline, baseline) == 0


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 2**32),
    st.sampled_from(NAMES),
    st.sampled_from([0.0, 1e-6, 1e-4, 0.03]),
    st.booleans(),
)
def test_no_read_within_the_slack_shows_more(seed, name, slack, is_blind):
    rng, m, c = np.random.default_rng(seed), 3, 4
    covariance = covariances(rng, m, c) * 10.0 ** rng.integers(-5, 3, (m, 1, 1))
    statistic = Statistic.of(name, covariance, rng.normal(size=(m, c)) if is_blind else None)
    baseline = rng.normal(size=(m, c)) * 3
    logits = baseline + rng.normal(size=(8, m, c)) * 10.0 ** rng.integers(-4, 2)
    at_most = statistic.at_most(baseline, logits, slack)
    for step in (rng.choice([-slack, slack], logits.shape), slack * rng.uniform(-1, 1, logits.shape)):
        assert np.all(statistic.between(baseline, logits + step) <= at_most)
    # The worst step of a Mahalanobis length goes along the row sums' signs: the bound is no more than it need be for one picture.
    assert np.all(at_most >= statistic.between(baseline, logits))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_the_most_there_is(name, bad):
    statistic = Statistic.of(name, np.tile(np.eye(3), (2, 1, 1)))
    logits = np.zeros((2, 2, 3))
    logits[1, 0, 1] = bad
    if name == "max_dp" and bad == -np.inf:  # a confidence of 0
        return
    for found in (statistic.between(logits[0], logits), statistic.at_most(logits[0], logits, 1e-4)):
        assert found[0] < MOST and found[1] == MOST
    assert np.all(statistic.at_most(logits[0], logits, np.inf) == MOST)


@pytest.mark.parametrize("name", ["chi_square", "mahalanobis", "mahalanobis_max"])
def test_the_largest_float_is_the_most_there_is(name):
    statistic = Statistic.of(name, np.tile(np.eye(3) * 1e-4, (2, 1, 1)))
    assert statistic.between(np.zeros((2, 3)), np.full((2, 3), 3e38, np.float32)) == MOST


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32), st.sampled_from(NAMES), st.booleans(), st.integers(1, 5), st.integers(2, 11))
def test_bytes_and_back(seed, name, is_blind, m, c):
    rng = np.random.default_rng(seed)
    covariance = covariances(rng, m, c) * 10.0 ** rng.integers(-30, 30)
    statistic = Statistic.of(name, covariance, rng.normal(size=(m, c)) if is_blind else None)
    data = statistic.encode()
    assert same(Statistic.decode(data), statistic) and Statistic.decode(data).encode() == data
    for damaged in (b"", data[:-1], data + b"\0\0", b"\x09" + data[1:]):
        with pytest.raises(ValueError, match="no statistic"):
            Statistic.decode(damaged)


def test_sixteen_pictures_take_less_than_two_kilobytes():
    statistic = Statistic.of("mahalanobis", covariances(np.random.default_rng(7), 16, 10))
    assert len(statistic.encode()) == 5 + 16 * (2 + 55 * 2)


def test_few_reads_make_a_positive_definite_covariance():
    rng, c = np.random.default_rng(8), 10
    covariance = covariances(rng, 2, c)
    for n in (3, 5, 9):
        few = drawn(rng, n, covariance)
        few -= few.mean(axis=0)
        assert np.linalg.matrix_rank(few[:, 0].T @ few[:, 0]) < c
        assert np.linalg.eigvalsh(shrunk_covariances(few)).min() > 0


def test_shrinkage_comes_nearer_and_vanishes_with_many_reads():
    """The expected squared error is less than that of the sample covariance; with many reads both are the truth."""
    rng, c = np.random.default_rng(9), 10
    truth = np.diag(rng.uniform(0.5, 2.0, c))[None]
    gains = []
    for _ in range(40):
        few = drawn(rng, 20, truth)
        sample = np.einsum("nmi,nmj->mij", few, few) / 20
        gains.append(np.square(sample - truth).sum() - np.square(shrunk_covariances(few) - truth).sum())
    assert np.mean(gains) > 4 * np.std(gains) / np.sqrt(40)
    full = covariances(rng, 1, c)
    many = shrunk_covariances(drawn(rng, 100_000, full))
    assert np.abs(many - full).max() < 0.03 * np.abs(full).max()


def test_logits_that_do_not_vary_have_the_least_variance():
    assert np.array_equal(shrunk_covariances(np.zeros((5, 2, 3)), 0.5), np.tile(0.25 * np.eye(3), (2, 1, 1)))


def test_confidences_of_huge_logits():
    assert confidences(np.array([1e38, -1e38, 0.0], np.float32)).tolist() == [1.0, 0.0, 0.0]
