"""Order statistics of cells' limits: the same whoever asks and in whatever order, and distributed as n
independent draws.
"""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.physics.distributions import Lognormal, Weibull, failed_share
from lifesim.physics.fates import (
    CellFates,
    Populations,
    counts_by_hazard,
    none_can_fail,
    none_fails,
)
from lifesim.streams import stream_key, uniform_of

UNIT = Weibull(1.0, 1.0)  # limit = cumulative hazard
DISTRIBUTIONS = st.sampled_from(
    [UNIT, Weibull(1e7, 2.0), Weibull(50.0, 0.7), Lognormal(1e6, 1.0), Lognormal(10.0, 3.0)]
)


def limits_by_cell(fates):
    """Brute force: every cell's limit, [n]."""
    limits = np.empty(fates.n)
    limits[fates.failed_by(np.inf)] = [fates.limit_of_rank(rank) for rank in range(fates.n)]
    return limits


@settings(deadline=None, max_examples=100)
@given(
    DISTRIBUTIONS,
    st.integers(0, 300),
    st.integers(0, 2**64),
    st.lists(st.floats(-4, 1.0), min_size=1, max_size=12),
)
def test_any_order_of_questions_gets_the_answers_of_brute_force(distribution, n, key, exponents):
    """Each cell's limit compared with the exposure, one cell at a time."""
    exposures = [0.0, *(float(distribution.limit(10.0**e)) for e in exponents), math.inf]
    limits = limits_by_cell(CellFates(key, n, distribution))
    fates, backwards = CellFates(key, n, distribution), CellFates(key, n, distribution)
    for exposure in exposures:
        expected = {cell for cell in range(n) if limits[cell] <= exposure}
        failed = fates.failed_by(exposure)
        assert failed.dtype == np.int32
        assert set(failed.tolist()) == expected and len(failed) == len(expected) == fates.count_by(exposure)
        assert np.all(np.diff(limits[failed]) >= 0), "in the order of failing"
        assert CellFates(key, n, distribution).failed_by(exposure).tolist() == failed.tolist()
    for exposure in reversed(exposures):
        assert backwards.failed_by(exposure).tolist() == fates.failed_by(exposure).tolist()


@settings(deadline=None, max_examples=50)
@given(DISTRIBUTIONS, st.integers(1, 400), st.integers(0, 2**64), st.data())
def test_a_limit_belongs_to_the_exposure_at_which_it_is_reached(distribution, n, key, data):
    """Failed iff limit <= exposure, to the last bit; and block sizes do not show in the limits."""
    rank = data.draw(st.integers(0, n - 1))
    limit = CellFates(key, n, distribution).limit_of_rank(rank)
    assert CellFates(key, n, distribution).count_by(limit) >= rank + 1
    assert CellFates(key, n, distribution).count_by(math.nextafter(limit, 0)) <= rank
    whole = CellFates(key, n, distribution)
    whole.count_by(math.inf)
    assert whole.limit_of_rank(rank) == limit
    assert whole.limit_of_rank(n) == math.inf


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**64), st.integers(1, 7_000_000), DISTRIBUTIONS)
def test_no_cell_fails_below_the_safe_exposure_and_one_fails_soon_above(key, n, distribution):
    fates = CellFates(key, n, distribution)
    safe = CellFates(key, n, distribution).safe_exposure
    assert fates.count_by(math.nextafter(safe, 0)) == 0
    assert fates.count_by(safe * (1 + 1e-5)) >= 1


@pytest.mark.parametrize("n", [1, 1000, 7_000_000])
def test_no_stream_has_a_cell_fail_below_the_least_spacing(n):
    largest = uniform_of.py_func(np.uint64(2**64 - 1))
    least = -math.log(largest) / n
    assert none_can_fail(n, 0.49 * least) and not none_can_fail(n, least)
    keys = [stream_key("keys", number) for number in range(1000)]
    assert all(none_fails(keys, n, 0.49 * least))
    assert none_fails(keys, n, 1.0 / n).count(False) == pytest.approx(1000 * (1 - math.exp(-1)), abs=4 * 15.3)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**64),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans(), st.floats(0.0, 0.3)),
        min_size=1,
        max_size=30,
    ),
)
def test_populations_answer_as_each_would_alone(key, questions):
    """Four, of which the last two are others from time to time; and parts of them."""
    populations, others = Populations(4), 0

    def make(number, part, known):
        return CellFates(stream_key(key, number, part, others if number > 1 else 0), 40, UNIT, known=known)

    for number, part, change, exposure in questions:
        if change:
            others += 1
            populations.forget(range(2, 4))
        asked = populations.failures(number, exposure, functools.partial(make, number, part), part)
        alone = make(number, part, CellFates(0, 1, UNIT).known)
        assert asked.failed_by(exposure).tolist() == alone.failed_by(exposure).tolist()
        assert asked.limits_by(exposure).tolist() == alone.limits_by(exposure).tolist()


def test_populations_without_failures_ask_once_and_keep_a_double():
    asked = []

    def make(known):
        asked.append(known)
        return CellFates(1, 1000, UNIT, known=known)

    populations, first = Populations(1), CellFates(1, 1000, UNIT).limit_of_rank(0)
    for share in (0.5, 0.99, 0.0, 0.2):
        assert populations.failures(0, share * first, make).count_by(share * first) == 0
    assert len(asked) == 1
    assert populations.failures(0, first, make).count_by(first) == 1
    assert populations.failures(0, 1.01 * first, make).count_by(1.01 * first) >= 1 and len(asked) == 2


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**64), st.integers(1, 400), st.integers(0, 400))
def test_what_is_known_of_a_population_takes_eight_bytes_a_cell_and_few_more(key, n, failed):
    """Beyond those that have failed, one is known: it says that no more have."""
    fates = CellFates(key, n, UNIT)
    exposure = fates.limit_of_rank(min(failed, n) - 1) if failed else 0.0
    count = CellFates(key, n, UNIT).count_by(exposure)
    known = CellFates(key, n, UNIT).until(exposure)
    assert len(known) == min(n, count + 1) and known.hazard == (math.inf if count >= n - 1 else known.hazard)
    assert len(known.packed) == 8 + 8 * len(known)
    assert CellFates(key, n, UNIT, known=known).count_by(math.inf) == n, "it goes on from there"
    assert (
        CellFates(key, n, UNIT, known=known).limits_by(math.inf).tolist()
        == fates.limits_by(math.inf).tolist()
    )


def test_no_cells_never_fail():
    fates = CellFates(1, 0, UNIT)
    assert (
        fates.count_by(math.inf) == 0
        and fates.failed_by(math.inf).shape == (0,)
        and fates.limit_of_rank(0) == math.inf
    )


def test_a_part_of_a_bank_is_placed():
    fates = CellFates(3, 40, UNIT, place=lambda indices: 1000 + 2 * indices)
    assert sorted(fates.failed_by(math.inf).tolist()) == list(range(1000, 1080, 2))


# Distribution: the fates of many keys against independent draws


@pytest.fixture(scope="module")
def order_statistics():
    """The limits of 1,300 keys in hazard space, ascending [1300, 50]."""
    fates = [CellFates(stream_key("rank", i), 50, UNIT) for i in range(1300)]
    return np.array([[f.limit_of_rank(rank) for rank in range(50)] for f in fates])


@pytest.mark.parametrize("rank", [9, 15, 16, 31, 49])
def test_the_mean_of_an_order_statistic_in_hazard_space(order_statistics, rank):
    """E = sum of 1 / (n - j) for j <= rank (Renyi 1953), within 3 standard errors, each under 1 % of the
    value.
    """
    keys, n = order_statistics.shape
    expected = sum(1 / (n - j) for j in range(rank + 1))
    standard_error = math.sqrt(sum(1 / (n - j) ** 2 for j in range(rank + 1)) / keys)
    assert standard_error < 0.01 * expected
    assert abs(order_statistics[:, rank].mean() - expected) < 3 * standard_error


def test_spacings_are_independent_unit_exponentials(order_statistics):
    """(n - j) (X_j - X_(j-1)): mean and variance 1 and no correlation between ranks, within 3 standard
    errors; the mean's under 1 %.
    """
    keys, n = order_statistics.shape
    spacings = np.diff(order_statistics, axis=1, prepend=0.0) * (n - np.arange(n))
    assert abs(spacings.mean() - 1) < 3 / math.sqrt(spacings.size) < 0.03
    assert abs(spacings.var() - 1) < 3 * math.sqrt(8 / spacings.size)
    for lag in (1, 2, 16):
        products = (spacings[:, lag:] - 1) * (spacings[:, :-lag] - 1)
        assert abs(products.mean()) < 3 / math.sqrt(products.size)
    assert abs(np.corrcoef(spacings[:-1, 0], spacings[1:, 0])[0, 1]) < 3 / math.sqrt(keys), (
        "banks are independent"
    )


@pytest.mark.parametrize("distribution", [Weibull(1e7, 2.0), Lognormal(1e6, 1.0)])
def test_all_limits_together_are_a_sample_of_the_distribution(distribution):
    """Kolmogorov-Smirnov on 50 banks of 200 cells: sqrt(N) D within 3 standard deviations (0.2603) of its
    mean (0.8687).
    """
    limits = np.concatenate(
        [limits_by_cell(CellFates(stream_key("ks", i), 200, distribution)) for i in range(50)]
    )
    distance = stats.kstest(limits, lambda x: failed_share(distribution, x)).statistic
    assert distance * math.sqrt(len(limits)) < 0.8687 + 3 * 0.2603


@pytest.mark.parametrize("rank", [0, 3, 25, 49])
def test_an_order_statistic_is_distributed_as_that_of_independent_draws(order_statistics, rank):
    """F(k-th limit) is Beta(k + 1, n - k): Kolmogorov-Smirnov, tolerance as above."""
    keys, n = order_statistics.shape
    distance = stats.kstest(
        -np.expm1(-order_statistics[:, rank]), stats.beta(rank + 1, n - rank).cdf
    ).statistic
    assert distance * math.sqrt(keys) < 0.8687 + 3 * 0.2603


@pytest.mark.parametrize("share", [0.002, 0.03, 0.5, 0.97])
def test_the_count_at_an_exposure_is_binomial(share):
    """Mean n F within 3 standard errors, each under 1 %; variance n F (1 - F) within 3 (of about sqrt(2 /
    keys)); not Poisson's.
    """
    n = {0.002: 60_000, 0.03: 3500}.get(share, 400)
    keys = 400
    exposure = float(Weibull(1e7, 2.0).limit(-math.log1p(-share)))
    counts = np.array(
        [CellFates(stream_key("count", n, i), n, Weibull(1e7, 2.0)).count_by(exposure) for i in range(keys)]
    )
    standard_error = math.sqrt(n * share * (1 - share) / keys)
    assert standard_error < 0.01 * n * share
    assert abs(counts.mean() - n * share) < 3 * standard_error
    assert counts.var() == pytest.approx(n * share * (1 - share), rel=3 * math.sqrt(2.1 / keys))


def test_every_cell_is_equally_likely_to_be_among_the_first_and_whatever_its_limit():
    """Chi-square over 25 cells (3 standard deviations of sqrt(48)); limit and index uncorrelated (3 standard
    errors).
    """
    n, keys = 25, 2500
    first = np.zeros(n)
    pairs = []
    for i in range(keys):
        fates = CellFates(stream_key("cells", i), n, UNIT)
        cells = fates.failed_by(fates.limit_of_rank(2))
        first[cells[:3]] += 1
        pairs.append((fates.limit_of_rank(0), cells[0]))
    expected = 3 * keys / n
    # Three cells without repetition: the counts vary (n - 3) / (n - 1) as much as single draws would.
    chi_square = ((first - expected) ** 2).sum() / expected * (n - 1) / (n - 3)
    assert abs(chi_square - (n - 1)) < 3 * math.sqrt(2 * (n - 1))
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 3 / math.sqrt(keys)


@settings(deadline=None)  # the first compiles
@given(
    st.integers(0, 2**64),
    st.integers(0, 400),
    st.lists(st.floats(0.0, 3.0), max_size=12),
)
def test_counts_without_cells_are_those_of_the_cells(key: int, n: int, hazards: list[float]) -> None:
    ascending = np.sort(np.array(hazards))
    fates = CellFates(key, n, UNIT)
    assert counts_by_hazard(key, n, ascending).tolist() == [fates.count_by(h) for h in ascending]


def test_counts_of_all_cells_at_last() -> None:
    assert counts_by_hazard(5, 100, np.array([0.0, 1e9])).tolist() == [0, 100]
