"""Kaplan-Meier against scipy's, with ties, with nobody, with everybody."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.stats import CensoredData, ecdf

from lifesim.experiment.survival import kaplan_meier
from lifesim.streams import generator, stream_key


def sample(n: int, times: int, censored_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(stream_key("test survival", seed))
    return rng.integers(1, times + 1, n), rng.random(n) >= censored_share


@pytest.mark.parametrize("times", [3, 30, 10**12])
@pytest.mark.parametrize("censored_share", [0.0, 0.4, 0.95])
@pytest.mark.parametrize("n", [1, 2, 40])
def test_equals_scipy(n: int, times: int, censored_share: float) -> None:
    for seed in range(5):
        duration_ns, happened = sample(n, times, censored_share, seed)
        curve = kaplan_meier(duration_ns, happened)
        data = CensoredData(uncensored=duration_ns[happened], right=duration_ns[~happened])
        survival = ecdf(data).sf
        np.testing.assert_allclose(curve.survival, survival.evaluate(curve.time_ns), atol=1e-12)
        # scipy's "linear" interval is S +- z * Greenwood's standard error, cut to [0, 1].
        if happened.any():
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # where survival is 0
                high = survival.confidence_interval(0.6826894921370859, method="linear").high
            expected = high.evaluate(curve.time_ns)
            known = np.isfinite(expected) & (expected < 1) & (expected > 0)
            np.testing.assert_allclose(
                (curve.survival + curve.standard_error)[known], expected[known], atol=1e-9
            )


@pytest.mark.parametrize("seed", range(10))
def test_everybody_is_accounted_for(seed: int) -> None:
    duration_ns, happened = sample(25, 8, 0.5, seed)
    curve = kaplan_meier(duration_ns, happened)
    assert curve.events.sum() == happened.sum()
    assert curve.censored.sum() == (~happened).sum()
    assert curve.at_risk[0] == (duration_ns >= curve.time_ns[0]).sum()
    assert curve.time_ns[-1] == duration_ns.max()
    assert (np.diff(curve.time_ns) > 0).all() and (np.diff(curve.survival) <= 0).all()


def test_nobody() -> None:
    curve = kaplan_meier(np.empty(0, np.int64), np.empty(0, bool))
    assert all(len(getattr(curve, name)) == 0 for name in curve.__slots__)


def test_it_happens_to_none() -> None:
    curve = kaplan_meier(np.array([5, 9, 9]), np.zeros(3, bool))
    assert (
        curve.time_ns.tolist(),
        curve.at_risk.tolist(),
        curve.events.tolist(),
        curve.censored.tolist(),
    ) == ([9], [2], [0], [3])
    assert (curve.survival.tolist(), curve.standard_error.tolist()) == ([1.0], [0.0])


def test_it_happens_to_all_at_once() -> None:
    curve = kaplan_meier(np.array([7, 7, 7]), np.ones(3, bool))
    assert (curve.time_ns.tolist(), curve.survival.tolist(), curve.standard_error.tolist()) == (
        [7],
        [0.0],
        [0.0],
    )


def test_who_is_censored_at_the_time_of_an_event_was_at_risk() -> None:
    curve = kaplan_meier(np.array([4, 4]), np.array([True, False]))
    assert curve.survival.tolist() == [0.5]
    assert curve.standard_error.tolist() == [pytest.approx(0.5 * np.sqrt(1 / 2))]
