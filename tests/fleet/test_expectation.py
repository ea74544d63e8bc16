"""Expected shares of faulty cells: by hand, against brute force over the clock, and against simulated banks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.bank import Bank, Wear
from lifesim.crossbar.programming import Programmed
from lifesim.crossbar.soft import Retention
from lifesim.fleet.expectation import ExpectedDrift, ExpectedWear
from lifesim.physics.distributions import Lognormal, Weibull, failed_share
from lifesim.physics.temperature import CosineProfile, EquivalentTime, HistogramProfile, TraceProfile
from lifesim.timeunits import NS_PER_S, S_PER_DAY, S_PER_YEAR

AT_REFERENCE = EquivalentTime(CosineProfile(85.0), 85.0, 1.5)  # a clock that shows the time
SEASONS = EquivalentTime(CosineProfile(55.0, 8.0, 12.0), 85.0, 1.5)


def test_wear_by_hand():
    wear = ExpectedWear(Weibull(scale=1000.0, shape=2.0), operations_per_s=0.1)
    assert wear.share(990.0) == pytest.approx(1 - math.exp(-0.01))  # 1 + 99 operations
    assert wear.time_to(1 - math.exp(-0.01)) == pytest.approx(990.0)
    assert wear.time_to(1e-9) == 0.0  # by the first programming
    assert ExpectedWear(Weibull(1000.0, 2.0), 0.0).time_to(0.01) == math.inf


def test_hazards_beyond_all_numbers_are_a_share_of_one():
    assert ExpectedWear(Weibull(1e-300, 20.0), 1.0).share(1e9) == 1.0


def test_drift_of_a_resident_layer_by_hand():
    drift = ExpectedDrift(Lognormal(2.0 * S_PER_YEAR, 1.0), AT_REFERENCE, math.inf)
    assert drift.share(2.0 * S_PER_YEAR) == pytest.approx(0.5)
    assert drift.share(2.0 * S_PER_YEAR / math.e) == pytest.approx(0.15865525, rel=1e-6)
    assert drift.time_to(0.15865525) == pytest.approx(2.0 * S_PER_YEAR / math.e, rel=1e-6)


def test_drift_of_a_rewritten_layer_stops_at_the_period():
    period_s = 10.0 * S_PER_DAY
    drift = ExpectedDrift(Lognormal(S_PER_YEAR, 1.0), AT_REFERENCE, period_s)
    steady = float(failed_share(Lognormal(S_PER_YEAR, 1.0), period_s))
    np.testing.assert_allclose(drift.share([period_s, 3 * period_s, 50 * S_PER_YEAR]), steady, rtol=1e-6)
    assert drift.share(period_s / 2) < steady
    assert drift.time_to(0.999 * steady) < period_s
    assert drift.time_to(1.001 * steady) == math.inf


@settings(deadline=None, max_examples=20)
@given(
    period_s=st.floats(60.0, 3 * S_PER_YEAR) | st.sampled_from([3600.0, 1.0 * S_PER_YEAR, 7.0 * S_PER_DAY]),
    until_s=st.floats(3600.0, 5 * S_PER_YEAR),
)
def test_a_rewritten_layer_is_as_old_as_its_hottest_period_so_far(period_s, until_s):
    """Brute force: a window of one period slid over the years in steps of 30 min is never older, and nearly as old."""
    limits = Lognormal(S_PER_DAY, 1.5)
    share = float(ExpectedDrift(limits, SEASONS, period_s).share(until_s))
    ends = np.append(np.arange(0.0, until_s, 1800.0), until_s)[:: 7 if until_s > S_PER_YEAR else 1]
    oldest = max(SEASONS.at(end) - SEASONS.at(max(end - period_s, 0.0)) for end in ends)
    brute = float(failed_share(limits, oldest))
    assert share >= brute * (1 - 1e-9)
    assert share == pytest.approx(brute, rel=0.1)


@settings(deadline=None, max_examples=30)
@given(period_s=st.floats(600.0, 5.0 * S_PER_DAY), until_s=st.floats(60.0, 20.0 * S_PER_DAY))
@pytest.mark.parametrize(
    "profile",
    [
        HistogramProfile((20.0, 90.0, 60.0), (0.5, 0.2, 0.3)),
        TraceProfile((0.0, 30_000.0, 100_000.0), (20.0, 90.0, 20.0)),
    ],
)
def test_profiles_that_repeat_every_day_or_at_their_own_pace(profile, period_s, until_s):
    """Brute force: a window of one period slid in steps of 2 min."""
    limits, clock = Lognormal(3600.0, 1.5), EquivalentTime(profile, 85.0, 1.5)
    share = float(ExpectedDrift(limits, clock, period_s).share(until_s))
    ends = np.append(np.arange(0.0, until_s, 120.0), until_s)
    oldest = (clock.at_many(ends) - clock.at_many(np.maximum(ends - period_s, 0.0))).max()
    brute = float(failed_share(limits, oldest))
    assert share >= brute * (1 - 1e-9)
    assert share == pytest.approx(brute, rel=0.15)


@settings(deadline=None, max_examples=50)
@given(period_s=st.floats(60.0, 3 * S_PER_YEAR) | st.just(math.inf), share=st.floats(1e-9, 0.9))
def test_the_time_to_a_share_is_when_it_is_first_reached(period_s, share):
    drift = ExpectedDrift(Lognormal(0.1 * S_PER_YEAR, 1.0), SEASONS, period_s)
    time_s = drift.time_to(share)
    if math.isinf(time_s):
        assert drift.share(1000.0 * S_PER_YEAR) < share
    else:
        assert drift.share(time_s * (1 + 1e-9)) >= share * (1 - 1e-5)
        assert drift.share(max(time_s - 3600.0, 0.0)) <= share


@pytest.mark.parametrize("reload_period_s", [math.inf, 5.0 * S_PER_DAY])
def test_simulated_banks_scatter_around_the_expectation(reload_period_s):
    """40 banks of 20,000 cells: the mean counts of stuck and expired cells within 3 standard errors."""
    n_banks, n_cells, end_s = 40, 20_000, 365.0 * S_PER_DAY - 1  # just before a reload
    endurance, limits = Weibull(500.0, 1.5), Lognormal(0.5 * S_PER_YEAR, 1.5)
    retention = Retention(limits, 0.5, 0, AT_REFERENCE)
    period_ns = None if math.isinf(reload_period_s) else round(reload_period_s * NS_PER_S)
    faults = [
        Bank(key, n_cells, Wear(endurance, 0.5), [retention], period_ns).faults_at(
            Programmed(0, 0, 1), round(end_s * NS_PER_S)
        )
        for key in range(n_banks)
    ]
    operations_per_s = 0.0 if period_ns is None else 1 / reload_period_s
    # 72 reloads have happened, and 73 - 1e-6 are expected of a continuous count.
    wear = ExpectedWear(endurance, operations_per_s).share(
        end_s - S_PER_DAY * (5.0 if operations_per_s else 0.0)
    )
    drift = ExpectedDrift(limits, AT_REFERENCE, reload_period_s).share(end_s)
    for share, counts in ((wear, [len(f.stuck) for f in faults]), (drift, [len(f.expired) for f in faults])):
        standard_error = math.sqrt(n_cells * share * (1 - share) / n_banks)
        assert abs(np.mean(counts) - n_cells * share) < 3 * standard_error
