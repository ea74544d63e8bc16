"""Failure rates against the chi-square tables, and against fleets that fail at a known rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from lifesim.experiment.milestones import Wait
from lifesim.experiment.rates import failure_rate
from lifesim.streams import generator, stream_key

H_NS = 3600 * 10**9


def fleet(events: int, hours_each: int, devices: int) -> list[Wait]:
    return [Wait(hours_each * H_NS, i < events) for i in range(devices)]


@pytest.mark.parametrize("events", [1, 2, 7, 40])
@pytest.mark.parametrize("confidence", [0.6, 0.9, 0.95])
def test_the_interval_is_the_chi_square_one(events: int, confidence: float) -> None:
    rate = failure_rate(fleet(events, 500, 50), confidence)
    hours, alpha = 25_000, 1 - confidence
    assert (rate.events, rate.device_time_h) == (events, hours)
    assert rate.rate_fit == pytest.approx(events / hours * 1e9)
    assert rate.rate_low_fit == pytest.approx(chi2.ppf(alpha / 2, 2 * events) / (2 * hours) * 1e9)
    assert rate.rate_high_fit == pytest.approx(chi2.ppf(1 - alpha / 2, 2 * events + 2) / (2 * hours) * 1e9)


def test_nothing_happened_is_no_proof_of_perfection() -> None:
    """The rule of three: no failure in T hours says, with 95 % confidence, less than 3.0 failures in T hours."""
    rate = failure_rate(fleet(0, 1000, 20))
    assert (rate.rate_fit, rate.rate_low_fit) == (0.0, 0.0)
    assert rate.rate_high_fit == pytest.approx(-math.log(0.05) / 20_000 * 1e9, rel=1e-9)


def test_nobody_at_risk_has_no_rate() -> None:
    rate = failure_rate([])
    assert (rate.events, rate.rate_fit, rate.rate_low_fit, rate.rate_high_fit) == (0, None, None, None)


def test_the_interval_covers_the_rate_at_least_as_often_as_it_says() -> None:
    """Of 2,000 fleets with 30 exponential lives, cut at a horizon: 95 % or more, as the interval of a count is conservative."""
    lives_h = generator(stream_key("test rates")).exponential(50_000.0, (2000, 30))
    covered = 0
    for fleet_h in lives_h:
        waits = [Wait(int(min(life, 20_000) * H_NS), life <= 20_000) for life in fleet_h]
        rate = failure_rate(waits)
        covered += rate.rate_low_fit <= 1e9 / 50_000 <= rate.rate_high_fit
    share = covered / len(lives_h)
    error = np.sqrt(0.05 * 0.95 / len(lives_h))
    assert 0.95 - 3 * error < share < 0.995
