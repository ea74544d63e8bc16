"""Intervals, paired differences, Holm, pairing's gain, stopping, Pareto: closed forms, brute force, and simulations of coverage."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lifesim.comparison.statistics import (
    LOOKS,
    holm,
    is_narrow_enough,
    mean_interval,
    next_look,
    paired_difference,
    pareto_front,
    variance_reduction,
    weighted_quantile,
)

NAN = math.nan


def test_interval_of_a_sample_by_hand():
    """1, 2, 3: sd 1, t(0.975; 2) = 4.3027."""
    interval = mean_interval([1, 2, 3])
    assert (interval.n, interval.mean, interval.sd) == (3, 2.0, 1.0)
    assert interval.high - 2 == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert interval.half_width == pytest.approx(interval.high - 2)


def test_what_is_not_known_is_left_out():
    assert mean_interval([1, NAN, 3]) == mean_interval([1, 3])
    one, none = mean_interval([5, NAN]), mean_interval([NAN])
    assert (one.n, one.mean) == (1, 5.0)
    assert math.isnan(one.low)
    assert none.n == 0
    assert math.isnan(none.mean)
    assert paired_difference([1, 2, NAN, 4], [1, NAN, 3, 1]).interval.n == 2


def test_a_difference_is_scipys_paired_test():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=9), rng.normal(size=9) + 0.5
    ours, theirs = paired_difference(a, b), stats.ttest_rel(a, b)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-12)
    interval = theirs.confidence_interval()
    assert (ours.interval.low, ours.interval.high) == pytest.approx((interval.low, interval.high), rel=1e-12)


def test_differences_without_any_spread_leave_no_doubt():
    assert paired_difference([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).p_value == 1.0
    assert paired_difference([2, 3, 4], [1, 2, 3]).p_value == 0.0
    assert paired_difference([2, 3, 4], [1, 2, 3]).interval.half_width == 0.0
    assert math.isnan(paired_difference([1], [0]).p_value)


def test_an_interval_covers_as_often_as_it_claims():
    """2,000 samples of 8: 95 % within 3 standard errors of a share."""
    rng, n = np.random.default_rng(2), 2000
    covered = np.mean([(i := mean_interval(x)).low <= 0 <= i.high for x in rng.normal(size=(n, 8))])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n)


# -- Holm --


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    adjusted = holm([NAN, 0.02, 0.5])
    assert math.isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.04, 0.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 0.5))
def test_holm_rejects_what_stepping_down_rejects(p_values, level):
    rejected = set()
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if (len(p_values) - rank) * p_values[i] > level:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_holm_rejects_something_true_as_seldom_as_it_claims():
    """Six schedules that do not differ from a baseline that they share: in 1,200 comparisons at most 5 % find any difference, within 3 standard errors;
    without the correction it is several times that.
    """
    rng, n = np.random.default_rng(3), 1200
    found = uncorrected = 0
    for x in rng.normal(size=(n, 7, 8)):
        p_values = [paired_difference(values, x[0]).p_value for values in x[1:]]
        found += min(holm(p_values)) < 0.05
        uncorrected += min(p_values) < 0.05
    assert found / n < 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)
    assert uncorrected / n > 0.12


# -- what pairing gains --


def correlated(rng, size, n, r, ratio=1.0):
    a = rng.normal(size=(size, n))
    b = ratio * (r * a + math.sqrt(1 - r * r) * rng.normal(size=(size, n)))
    return a, b


def test_variance_reduction_is_the_ratio_of_the_variances():
    a, b = (x[0] for x in correlated(np.random.default_rng(4), 1, 10, 0.9, 1.3))
    expected = (a.var(ddof=1) + b.var(ddof=1)) / (a - b).var(ddof=1)
    found = variance_reduction(a, b)
    assert found.factor == pytest.approx(expected, rel=1e-12)
    assert found.low < found.factor < found.high


@pytest.mark.parametrize(("r", "ratio"), [(0.0, 1.0), (0.9, 1.0), (0.99, 0.7), (-0.5, 2.0)])
def test_its_interval_covers_as_often_as_it_claims(r, ratio):
    """Exact for normal values: 1,000 samples of 8, within 3 standard errors of 95 %."""
    n = 1000
    true = (1 + ratio**2) / (1 + ratio**2 - 2 * r * ratio)
    samples = zip(*correlated(np.random.default_rng(5), n, 8, r, ratio), strict=True)
    covered = np.mean([(v := variance_reduction(a, b)).low <= true <= v.high for a, b in samples])
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n)


def test_variance_reduction_at_its_ends():
    assert variance_reduction([1, 2, 3], [0, 1, 2]).factor == math.inf
    assert math.isnan(variance_reduction([1, 1, 1], [2, 2, 2]).factor)
    assert math.isnan(variance_reduction([1, 2], [1, 3]).factor)
    assert variance_reduction([1, 2, 3], [-1, -2, -3]).factor == pytest.approx(0.5)
    assert variance_reduction([1, 2, 4], [5, 5, 5]).factor == pytest.approx(1.0)


# -- when to stop --


def test_looks():
    assert LOOKS[0] == 8
    assert [next_look(done) for done in (0, 7, 8, 12, 127)] == [8, 8, 12, 16, 128]
    assert next_look(LOOKS[-1]) is None


def test_all_differences_have_to_be_narrow():
    rng = np.random.default_rng(6)
    base = rng.normal(size=10)
    near, far = base + 0.01 * rng.normal(size=10), base + rng.normal(size=10)
    assert is_narrow_enough({"a": base, "b": near}, "a", 0.02)
    assert not is_narrow_enough({"a": base, "b": near, "c": far}, "a", 0.02)
    assert is_narrow_enough({"a": base, "c": far}, "a", 2 * mean_interval(far - base).half_width)
    assert is_narrow_enough({"a": near}, "a", mean_interval(near).half_width)
    assert not is_narrow_enough({"a": [1.0], "b": [2.0]}, "a", 1e9), "one replication has no interval"


@pytest.mark.parametrize("width", [0.9, 0.5])
def test_stopping_by_width_leaves_the_mean_alone_and_costs_little_coverage(width):
    """1,500 sequences, stopped at the first look at which the interval is narrow enough. The mean is unbiased within 3 standard errors;
    intervals that claim 95 % cover 92 % at least: what LOOKS says.
    """
    rng, n = np.random.default_rng(7), 1500
    means, covered = [], 0
    for x in rng.normal(size=(n, LOOKS[-1])):
        look = next((look for look in LOOKS if mean_interval(x[:look]).half_width <= width), LOOKS[-1])
        interval = mean_interval(x[:look])
        means.append(interval.mean)
        covered += interval.low <= 0 <= interval.high
    assert abs(np.mean(means)) < 3 * np.std(means) / math.sqrt(n)
    assert 0.92 < covered / n < 0.96


# -- Pareto, quantiles --


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_front_by_brute_force(points):
    front = pareto_front(points)
    for (x, y), on in zip(points, front, strict=True):
        beaten = any((a < x and b <= y) or (a <= x and b < y) for a, b in points)
        assert on is not beaten
    assert any(front)


def test_what_has_no_value_is_on_no_front():
    assert pareto_front([(NAN, 0), (1, 1)]) == [False, True]


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=40),
    st.sampled_from([0.05, 0.5, 0.9, 0.95, 1.0]),
)
def test_quantile_of_counts_is_that_of_the_values(values, share):
    distinct, counts = np.unique(values, return_counts=True)
    found = weighted_quantile(distinct, counts, share)
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
    assert all(
        sum(v <= x for v in values) < share * len(values)
        for x in itertools.takewhile(lambda x: x < found, distinct)
    )


def test_quantile_of_nothing():
    assert math.isnan(weighted_quantile([], [], 0.5))
    assert weighted_quantile([1, 2], [19, 1], 0.95) == 1
