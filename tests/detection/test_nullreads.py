"""What fault-free tests show, and thresholds that hold on reads that nobody has seen."""

import numpy as np
import pytest
from scipy import stats

from lifesim.detection.nullreads import (
    Averaging,
    NormalReads,
    NullReads,
    fault_free_tests,
    fit,
    null_statistics,
    upper_limit,
)
from lifesim.detection.reading import CalibratedRule, ReadNoise
from lifesim.detection.statistics import Statistic

M, C = 8, 6
_MIXING = np.random.default_rng(0).normal(size=(M, C, C)) + 2 * np.eye(C)
_MEAN = np.random.default_rng(1).normal(size=(M, C)) * 3


def reads(n, seed, z=None):
    """Logits with Gaussian noise; every picture its own."""
    z = np.random.default_rng(seed).normal(size=(n, M, C)) if z is None else z
    return (_MEAN + 0.1 * np.einsum("mij,nmj->nmi", _MIXING, z)).astype(np.float32)


def shown(rule, n, seed, shift=None):
    """The scores of n tests of devices, each with its own baseline."""
    baselines, tests = reads(n, (seed, 0)), reads(n, (seed, 1)) + (0.0 if shift is None else shift)
    return rule.score(baselines, tests)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("r", [1, 2, 8])
def test_the_mean_of_a_visits_reads_has_the_variance_that_averaging_says(correlation, r):
    """(1 + (r - 1) rho) / r, of the noise that a device draws: within 4 standard errors."""
    n = 20_000
    noise = ReadNoise(0.01, correlation)
    mean = noise.draw(3, 77, range(r), 1, n).mean(axis=0, dtype=float)
    expected = Averaging(r, 1, correlation).of_test
    assert abs(mean.var() / expected - 1) < 4 * np.sqrt(2 / n)
    assert expected == pytest.approx({0.0: 1 / r, 0.5: (1 + (r - 1) / 2) / r, 1.0: 1.0}[correlation])


def test_a_known_baseline_has_no_noise():
    assert Averaging(4, 0, 0.5).of_baseline == 0.0
    assert Averaging(4, 2, 0.0).of_baseline == 0.5


@pytest.mark.parametrize(
    ("averaging", "factor"),
    [(Averaging(1, 0), 1.0), (Averaging(1, 1), 2.0), (Averaging(4, 8, 0.5), 0.625 + 0.5625)],
)
def test_simulated_tests_are_as_far_from_their_baselines_as_real_ones(averaging, factor):
    """The mean square of a Mahalanobis length is the number of logits times the variances of test and baseline together."""
    null = NullReads.of(reads(4000, 5), averaging)
    statistic = Statistic.of("mahalanobis", 0.01 * _MIXING @ _MIXING.transpose(0, 2, 1))
    squares = (null_statistics(null, statistic, 4000, 2, 6) / 1e3) ** 2
    spread = np.sqrt(2 * M * C) * factor
    assert abs(squares.mean() - M * C * factor) < 4 * spread / np.sqrt(4000)
    assert (np.corrcoef(squares.T)[0, 1] > 0.05) == (averaging.baseline_reads > 0), (
        "one baseline for all tests"
    )


def test_they_depend_on_the_key_alone():
    null = NullReads.of(reads(100, 5), Averaging())
    statistic = fit("chi_square", null)
    once = null_statistics(null, statistic, 50, 3, 6)
    assert np.array_equal(once, null_statistics(null, statistic, 50, 3, 6))
    assert not np.array_equal(once, null_statistics(null, statistic, 50, 3, 7))


@pytest.mark.parametrize("name", ["max_dp", "chi_square", "mahalanobis", "mahalanobis_max"])
def test_false_alarms_on_new_reads_are_as_rare_as_stated(name):
    """Twelve calibrations: at least ten within what was stated, and not far below on average. Of 4,000 new reads each."""
    rate, n = 0.02, 4000
    found = np.array(
        [
            np.mean(shown(rule, n, (seed, 1)) > rule.threshold)
            for seed in range(12)
            for rule in [CalibratedRule.calibrate(name, reads(500, (seed, 0)), Averaging(), rate, seed)]
        ]
    )
    assert np.sum(found <= rate) >= 10
    assert found.max() < 2 * rate
    assert 0.2 * rate < found.mean() < rate


def test_a_rule_sees_what_is_wrong_and_a_nonlinear_one_too():
    rule = CalibratedRule.calibrate("mahalanobis", reads(500, 1), Averaging(), 0.01, 2)
    assert rule.alarms(_MEAN, reads(50, 3) + 1.0).all()
    assert np.isin(rule.alarms(_MEAN, np.full((1, M, C), np.nan)), [True]).all()


@pytest.mark.parametrize("name", ["mahalanobis", "chi_square", "max_dp"])
def test_temperature_raises_no_alarms_and_hides_few_faults(name):
    """A common gain moves logits along a known direction, here by ten standard deviations: calibrated without it, nearly every read alarms."""
    drift, n = 0.2 * _MEAN, 2000
    gains = np.random.default_rng(9).uniform(-1, 1, (n, 1, 1))
    unaware = CalibratedRule.calibrate(name, reads(500, 1), Averaging(), 0.02, 2)
    aware = CalibratedRule.calibrate(name, reads(500, 1), Averaging(), 0.02, 2, drift)
    swinging = shown(aware, n, 4, gains * drift)
    assert np.mean(swinging > aware.threshold) <= 0.025
    if name != "max_dp":
        assert np.mean(shown(unaware, n, 4, gains * drift) > unaware.threshold) > 0.2
        fault = np.zeros((M, C))
        fault[2] = 2.0
        assert np.mean(shown(aware, 200, 5, fault) > aware.threshold) > 0.95


THEORY = 0.01 * _MIXING @ _MIXING.transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("averaging", "factor"),
    [(Averaging(1, 0), 1.0), (Averaging(1, 1), 2.0), (Averaging(8, 8, 0.5), 2 * 0.5625)],
)
def test_normal_reads_have_their_law(averaging, factor):
    """Squared Mahalanobis lengths are chi-square with M x C degrees of freedom: Kolmogorov-Smirnov at 1 %; those of the worst picture are the largest of M
    with C each.
    """
    source = NormalReads.of(THEORY, _MEAN, averaging)
    for name, law in (
        ("mahalanobis", stats.chi2(M * C).cdf),
        ("mahalanobis_max", lambda x: stats.chi2(C).cdf(x) ** M),
    ):
        lengths = null_statistics(source, Statistic.of(name, THEORY), 4000, 1, 6)[:, 0] / 1e3
        assert stats.kstest(lengths**2 / factor, law).pvalue > 0.01


@pytest.mark.parametrize("name", ["chi_square", "mahalanobis", "mahalanobis_max"])
@pytest.mark.parametrize("averaging", [Averaging(1, 0), Averaging(1, 8, 0.5)], ids=str)
def test_where_covariances_are_known_a_strict_rate_holds(name, averaging):
    """0.1 %, of 50,000 new reads: within 4 standard errors; and the threshold is that of the law, where it has one, within 2 %."""
    rate, n = 0.001, 50_000
    rule = CalibratedRule.calibrate(name, reads(600, 5), averaging, rate, 2, covariances=THEORY)
    rng = np.random.default_rng(8)
    z = [rng.normal(size=(n, M, C)) * np.sqrt(v) for v in (averaging.of_test, averaging.of_baseline)]
    shown, baselines = (reads(n, None, part) for part in z)
    found = np.mean(rule.score(baselines, shown) > rule.threshold)
    assert 0.3 * rate < found < rate + 4 * np.sqrt(rate / n)
    if name == "mahalanobis":
        exact = np.sqrt(stats.chi2(M * C).isf(rate) * (averaging.of_test + averaging.of_baseline))
        assert rule.threshold / 1e3 == pytest.approx(exact, rel=0.02)


def test_limits_hold_for_the_larger_of_what_was_read_and_what_theory_says():
    """Reads with four times the variance of the theory, and with a quarter."""
    for size, times in ((2.0, 2.0), (0.5, 1.0)):
        taken = _MEAN + size * (reads(600, 5) - _MEAN)
        rule = CalibratedRule.calibrate("mahalanobis", taken, Averaging(1, 0), 0.01, 2, covariances=THEORY)
        exact = times * np.sqrt(stats.chi2(M * C).isf(0.01))
        assert rule.threshold / 1e3 == pytest.approx(exact, rel=0.04)


def test_a_rule_is_as_strict_with_the_noise_of_another_device():
    """The same limit in units of another noise: as many false alarms, within 4 standard errors; with the noise of the first it would be all or none."""
    rate, n = 0.02, 10_000
    rule = CalibratedRule.calibrate(
        "mahalanobis", reads(600, 5), Averaging(1, 0), rate, 2, covariances=THEORY
    )
    for size in (3.0, 1 / 3):
        other = rule.of_noise(size**2 * THEORY)
        noisy = _MEAN + size * (reads(n, 7) - _MEAN)
        assert other.threshold == rule.threshold
        found = np.mean(other.score(_MEAN, noisy) > other.threshold)
        assert 0.3 * rate < found < rate + 4 * np.sqrt(rate / n)
        assert np.mean(rule.score(_MEAN, noisy) > rule.threshold) in (0.0, 1.0)


def test_samples_are_of_all_that_may_count():
    """Five of the half that nothing was fitted to; or one of the reads, and one as large as five of the law."""
    taken = reads(100, 5)
    _, read = fault_free_tests("mahalanobis", taken, Averaging(), 0.1, 4, tests=3)
    _, both = fault_free_tests("mahalanobis", taken, Averaging(), 0.1, 4, covariances=THEORY, tests=3)
    assert [g.shape for g in read] == 5 * [(500, 3)] and [g.shape for g in both] == [(500, 3), (2500, 3)]


def test_without_noise_nothing_but_the_same_passes():
    still = np.broadcast_to(_MEAN.astype(np.float32), (20, M, C))
    for name in ("max_dp", "chi_square", "mahalanobis"):
        rule = CalibratedRule.calibrate(name, still, Averaging(), 0.01, 1)
        assert rule.threshold == 0
        assert not rule.alarms(rule.baseline(still[:1]), still).any()
        assert rule.alarms(rule.baseline(still[:1]), still + np.float32(0.01) * np.arange(C)).all()


def test_the_upper_limit_by_hand():
    groups = [np.arange(100), np.arange(100)[::-1] + 3]
    assert upper_limit(groups, 0.05) == 97  # 98 to 102 exceed it, 5 of 100
    assert upper_limit(groups, 0.0) == 102


def test_too_few_reads():
    with pytest.raises(ValueError, match="too few"):
        CalibratedRule.calibrate("mahalanobis", reads(10, 1), Averaging(), 0.01, 1)


def test_pictures_are_put_together_from_different_reads():
    """Reads that differ between pictures only together would show it: half of all are off everywhere, but a simulated one is so in half of its pictures."""
    rows = np.zeros((1000, M, C))
    rows[::2] = 1.0
    null = NullReads.of(rows, Averaging(1, 0))
    squares = (
        null_statistics(null, Statistic.of("chi_square", np.tile(np.eye(C), (M, 1, 1))), 500, 1, 1) / 1e3
    ) ** 2
    np.testing.assert_allclose(squares, M * C / 4, rtol=1e-3)
