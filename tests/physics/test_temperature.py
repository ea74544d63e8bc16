"""Temperature over the years and the ageing that it integrates to, against numerical quadrature."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from lifesim.physics.temperature import (
    CosineProfile,
    EquivalentTime,
    HistogramProfile,
    TraceProfile,
    acceleration_factor,
    equivalent_time,
    shifted,
)
from lifesim.timeunits import S_PER_DAY, S_PER_H, S_PER_YEAR

HOT_BOX = CosineProfile(55.0, season_amplitude_c=8.0, day_amplitude_c=12.0, start_day_of_year=100.0)
PROFILES = st.builds(
    CosineProfile,
    mean_c=st.floats(-20, 90),
    season_amplitude_c=st.floats(0, 20),
    day_amplitude_c=st.floats(0, 20),
    self_heating_c=st.floats(0, 20),
    hottest_day_of_year=st.floats(0, 364),
    hottest_hour=st.floats(0, 23.9),
    start_day_of_year=st.floats(0, 364),
)


def quadrature(profile, reference_c, energy_ev, start_s, end_s):
    """The integral of the acceleration factor, six hours at a time."""
    cuts = np.append(np.arange(start_s, end_s, 6 * S_PER_H), end_s)
    return math.fsum(
        integrate.quad(
            lambda t: float(acceleration_factor(profile.temperature_c(t), reference_c, energy_ev)),
            a,
            b,
            epsrel=1e-11,
        )[0]
        for a, b in zip(cuts, cuts[1:], strict=False)
    )


# Acceleration


@pytest.mark.parametrize(("temperature_c", "factor"), [(25, 17_700), (40, 1080), (55, 85), (70, 8.4)])
def test_85_degrees_over_cooler_places_at_1_5_ev(temperature_c, factor):
    """The ratios published for 1.5 eV, to the two or three digits given."""
    assert 1 / acceleration_factor(temperature_c, 85.0, 1.5) == pytest.approx(factor, rel=0.02)


def test_acceleration_is_one_at_the_reference_and_a_product_along_a_chain():
    assert acceleration_factor(85.0, 85.0, 1.5) == 1.0
    chain = acceleration_factor(60.0, 40.0, 1.1) * acceleration_factor(40.0, 25.0, 1.1)
    assert chain == pytest.approx(acceleration_factor(60.0, 25.0, 1.1), rel=1e-12)
    assert acceleration_factor(25.0, 85.0, 0.0) == 1.0


@pytest.mark.parametrize(("energy_ev", "published"), [(0.7, 1.47), (1.1, 2.37), (1.5, 4.19)])
def test_a_cycling_day_multiplies_the_damage_by_the_published_factors(energy_ev, published):
    """+-15 C around 25 C: by the table and by quadrature of one day."""
    day = CosineProfile(25.0, day_amplitude_c=15.0)
    mean = EquivalentTime(day, 25.0, energy_ev).mean_rate
    assert round(mean, 2) == published
    assert mean == pytest.approx(quadrature(day, 25.0, energy_ev, 0, S_PER_DAY) / S_PER_DAY, rel=1e-7)


# Profiles


def test_hottest_and_coldest_times():
    profile = CosineProfile(
        20.0, 8.0, 12.0, 5.0, hottest_day_of_year=200.0, hottest_hour=15.0, start_day_of_year=190.0
    )
    hours = np.arange(365 * 24)
    temperatures = profile.temperature_c(hours * S_PER_H)
    day, hour = divmod(int(temperatures.argmax()), 24)
    assert (day, hour) in ((9, 15), (10, 15))
    assert temperatures.max() == pytest.approx(45.0, abs=0.01)
    day, hour = divmod(int(temperatures.argmin()), 24)
    assert hour == 3 and abs(day - (10 + 182.5)) < 1.5
    assert temperatures.min() == pytest.approx(5.0, abs=0.01)
    assert temperatures.mean() == pytest.approx(25.0, abs=1e-9)


# The integral


@pytest.mark.parametrize("energy_ev", [0.7, 1.1, 1.5, 1.9])
@pytest.mark.parametrize("start_h", [0, 24 * 97 + 5])
def test_the_integral_is_that_of_quadrature(energy_ev, start_h):
    """Over a week, on the hour: relative error below 1e-7 (said of the table)."""
    clock = EquivalentTime(HOT_BOX, 85.0, energy_ev)
    start_s, end_s = start_h * S_PER_H, (start_h + 170) * S_PER_H
    assert clock.at(end_s) - clock.at(start_s) == pytest.approx(
        quadrature(HOT_BOX, 85.0, energy_ev, start_s, end_s), rel=1e-7
    )


def test_the_year_does_not_depend_on_the_tables_resolution():
    """The mean factor is that of a table twelve times as fine, and of one half as fine (midpoints of a
    periodic function converge fast).
    """
    seconds = (np.arange(365 * 24 * 12) + 0.5) * 300.0
    fine = acceleration_factor(HOT_BOX.temperature_c(seconds), 85.0, 1.5).mean()
    coarse = acceleration_factor(
        HOT_BOX.temperature_c(seconds.reshape(-1, 24).mean(axis=1)), 85.0, 1.5
    ).mean()
    mean = EquivalentTime(HOT_BOX, 85.0, 1.5).mean_rate
    assert mean == pytest.approx(fine, rel=1e-7)
    assert mean == pytest.approx(coarse, rel=1e-6)


def test_between_the_hours_the_error_is_a_share_of_an_hour_and_does_not_add_up():
    """Linear within an hour: at most h^2/8 times the steepest slope of the factor, in any year."""
    clock = EquivalentTime(HOT_BOX, 85.0, 1.5)
    start_s = 8 * S_PER_H
    slopes = (
        np.diff(acceleration_factor(HOT_BOX.temperature_c(np.arange(0, 2 * S_PER_DAY, 60.0)), 85.0, 1.5))
        / 60.0
    )
    bound = 1.01 * S_PER_H**2 / 8 * np.abs(slopes).max()
    errors = []
    for minute in range(0, 24 * 60, 17):
        exact = quadrature(HOT_BOX, 85.0, 1.5, start_s, start_s + 60 * minute)
        for year in (0, 9):
            since = clock.at(year * S_PER_YEAR + start_s + 60 * minute) - clock.at(
                year * S_PER_YEAR + start_s
            )
            errors.append(abs(since - exact))
    assert bound / 3 < max(errors) < bound


def test_a_constant_temperature_is_a_constant_factor():
    clock = EquivalentTime(CosineProfile(40.0, self_heating_c=10.0), 85.0, 1.2)
    factor = float(acceleration_factor(50.0, 85.0, 1.2))
    assert clock.mean_rate == pytest.approx(factor, rel=1e-11)
    for time_s in (0.0, 1e-9, 17.3, 3599.999, 3600.0, 1e6, S_PER_YEAR - 1.0, S_PER_YEAR, 12.34 * S_PER_YEAR):
        # One part in 1e11 of a year's total is the resolution of the table.
        assert clock.at(time_s) == pytest.approx(factor * time_s, rel=1e-11, abs=1e-11 * factor * S_PER_YEAR)


@settings(deadline=None, max_examples=60)
@given(
    PROFILES,
    st.sampled_from([0.0, 0.7, 1.1, 1.5, 2.0]),
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 8760), st.sampled_from([-1, 1, 60, 10**9, 17 * 10**11])),
        min_size=1,
    ),
)
def test_time_never_runs_backwards(profile, energy_ev, moments):
    """Also across the borders of hours and years, a nanosecond or the last bit of a float apart."""
    clock = EquivalentTime(profile, 85.0, energy_ev)
    assert clock.at(0.0) == 0.0
    for year, hour, step_ns in moments:
        border_s = float((year * 8760 + hour) * S_PER_H)
        before_s, after_s = math.nextafter(border_s, -1.0), border_s + step_ns / 1e9
        times = sorted(t for t in (before_s, border_s, after_s) if t >= 0)
        equivalents = [clock.at(t) for t in times]
        assert equivalents == sorted(equivalents)


@settings(deadline=None, max_examples=30)
@given(PROFILES, st.integers(1, 40), st.floats(0, S_PER_YEAR - 1))
def test_years_repeat(profile, years, time_s):
    clock = EquivalentTime(profile, 25.0, 1.5)
    year_s = clock.at(S_PER_YEAR)
    assert clock.at(years * S_PER_YEAR + time_s) == pytest.approx(
        years * year_s + clock.at(time_s), rel=1e-9, abs=1e-6 * year_s / 8760
    )
    assert clock.mean_rate == year_s / S_PER_YEAR


def test_devices_of_a_group_share_the_table():
    assert equivalent_time(HOT_BOX, 85.0, 1.5) is equivalent_time(HOT_BOX, 85.0, 1.5)
    assert equivalent_time(HOT_BOX, 85.0, 1.5) is not equivalent_time(HOT_BOX, 85.0, 1.4)


# Histograms

AUTOMOTIVE = HistogramProfile((-40, 70, 85, 100, 115, 125), (0.06, 0.25, 0.25, 0.25, 0.14, 0.05))
HISTOGRAMS = st.lists(st.tuples(st.floats(-60, 150), st.integers(0, 100)), min_size=1, max_size=8).filter(
    lambda bins: any(weight for _, weight in bins)
)


def histogram(bins):
    total = sum(weight for _, weight in bins)
    return HistogramProfile(tuple(t for t, _ in bins), tuple(weight / total for _, weight in bins))


def mean_factor(profile, energy_ev):
    """The closed form: the sum of share times factor."""
    factors = acceleration_factor(np.array(profile.temperatures_c), 85.0, energy_ev)
    return math.fsum(share * factor for share, factor in zip(profile.shares, factors, strict=True))


@pytest.mark.parametrize(
    ("profile", "factor"),
    [(AUTOMOTIVE, 14.6), (HistogramProfile((30, 50, 70, 105), (0.05, 0.4, 0.5, 0.05)), 0.715)],
)
def test_mission_profiles_at_1_5_ev(profile, factor):
    assert EquivalentTime(profile, 85.0, 1.5).mean_rate == pytest.approx(factor, rel=3e-3)


@settings(deadline=None, max_examples=100)
@given(HISTOGRAMS, st.randoms(use_true_random=False), st.integers(1, 3650), st.sampled_from([0.7, 1.5]))
def test_whole_days_of_a_histogram_are_the_sum_of_shares_times_factors_in_any_order(
    bins, random, days, energy_ev
):
    profile = histogram(bins)
    expected = days * S_PER_DAY * mean_factor(profile, energy_ev)
    random.shuffle(bins)
    for ordered in (profile, histogram(bins)):
        assert EquivalentTime(ordered, 85.0, energy_ev).at(days * S_PER_DAY) == pytest.approx(
            expected, rel=1e-9
        )


def test_a_day_runs_through_its_histogram_in_order():
    profile = HistogramProfile((10.0, 99.0, 20.0, 30.0), (0.5, 0.0, 0.25, 0.25))
    hours = np.array([0, 11.99, 12, 17.99, 18, 23.99, 24, 36])
    np.testing.assert_array_equal(profile.temperature_c(hours * S_PER_H), [10, 10, 20, 20, 30, 30, 10, 20])
    clock = EquivalentTime(profile, 20.0, 1.0)
    assert clock.at(15 * S_PER_H) - clock.at(13 * S_PER_H) == pytest.approx(2 * S_PER_H, rel=1e-12)


@settings(deadline=None, max_examples=100)
@given(HISTOGRAMS, st.floats(0, 3 * S_PER_DAY))
def test_a_part_of_a_day_is_what_has_passed_of_each_bin(bins, time_s):
    profile, days = histogram(bins), time_s // S_PER_DAY
    left, passed = time_s - days * S_PER_DAY, 0.0
    for temperature, share in zip(profile.temperatures_c, profile.shares, strict=True):
        spent = min(left, share * S_PER_DAY)
        passed += spent * float(acceleration_factor(temperature, 85.0, 1.1))
        left -= spent
    expected = days * S_PER_DAY * mean_factor(profile, 1.1) + passed
    hottest = float(acceleration_factor(max(profile.temperatures_c), 85.0, 1.1))
    assert EquivalentTime(profile, 85.0, 1.1).at(time_s) == pytest.approx(
        expected, rel=1e-8, abs=1e-4 * hottest
    )


# Traces

TRACES = st.lists(st.tuples(st.floats(0.1, 40), st.floats(-40, 120)), min_size=2, max_size=12)


def trace(samples):
    """``samples``: hours since the sample before, temperature."""
    times = np.cumsum([0.0] + [hours for hours, _ in samples[1:]]) * S_PER_H
    return TraceProfile(tuple(times), tuple(temperature for _, temperature in samples))


def simpson(profile, energy_ev, sample):
    """Fine numerical integration from a sample to the next."""
    share = np.linspace(0.0, 1.0, 301)
    times, temperatures = profile.times_s[sample : sample + 2], profile.temperatures_c[sample : sample + 2]
    factors = acceleration_factor(np.interp(share, [0, 1], temperatures), 85.0, energy_ev)
    return integrate.simpson(factors, x=share) * (times[1] - times[0])


@settings(deadline=None, max_examples=60)
@given(TRACES, st.sampled_from([0.7, 1.5]))
def test_a_trace_is_that_of_fine_numerical_integration(samples, energy_ev):
    profile = trace(samples)
    pieces = [simpson(profile, energy_ev, sample) for sample in range(len(profile.times_s) - 1)]
    clock, period = EquivalentTime(profile, 85.0, energy_ev), profile.times_s[-1]
    for sample, time_s in enumerate(profile.times_s):
        expected = math.fsum(pieces) if time_s == period else math.fsum(pieces[:sample])
        # The table resolves 1e-8 of a short period's total.
        for repetition in (0, 1, 7):
            assert clock.at(repetition * period + time_s) == pytest.approx(
                repetition * math.fsum(pieces) + expected, rel=1e-5, abs=1e-8 * math.fsum(pieces)
            )


def test_a_trace_that_samples_a_cosine_ages_as_the_cosine():
    hours = np.arange(365 * 24 + 1)
    sampled = TraceProfile(tuple(hours * 3600.0), tuple(HOT_BOX.temperature_c(hours * 3600.0)))
    assert EquivalentTime(sampled, 85.0, 1.5).mean_rate == pytest.approx(
        EquivalentTime(HOT_BOX, 85.0, 1.5).mean_rate, rel=0.01
    )


def test_a_trace_is_linear_between_samples_and_begins_again_after_the_last():
    profile = TraceProfile((1000.0, 4600.0, 8200.0), (20.0, 30.0, 10.0))
    np.testing.assert_allclose(
        profile.temperature_c(np.array([0, 1800, 3600, 5400, 7199.999, 7200, 9000])),
        [20, 25, 30, 20, 10, 20, 25],
        atol=1e-4,
    )


def test_a_trace_is_tabulated_by_the_hour_and_by_the_degree():
    profile = TraceProfile((0.0, 3600.0, 36_000.0, 36_001.0), (20.0, 25.0, 25.0, 300.0))
    knots = np.frombuffer(profile.knots_s())
    assert np.all(np.diff(knots) > 0)
    assert len(knots) == 5 + 9 + 64 + 1
    assert set(profile.times_s) <= set(knots)


# Offsets


@settings(deadline=None, max_examples=40)
@given(
    st.floats(-10, 10),
    st.sampled_from([AUTOMOTIVE, TraceProfile((0.0, 7200.0, 90_000.0), (20.0, 60.0, 20.0))]),
)
def test_an_offset_adds_to_every_temperature(offset_c, profile):
    """Of a histogram in closed form, of a trace as if its samples were warmer."""
    if isinstance(profile, HistogramProfile):
        warmer = HistogramProfile(tuple(t + offset_c for t in profile.temperatures_c), profile.shares)
        expected = mean_factor(warmer, 1.5)
    else:
        warmer = TraceProfile(profile.times_s, tuple(t + offset_c for t in profile.temperatures_c))
        expected = EquivalentTime(warmer, 85.0, 1.5).mean_rate
    moved = shifted(profile, offset_c)
    assert EquivalentTime(moved, 85.0, 1.5).mean_rate == pytest.approx(expected, rel=1e-6)
    assert moved.temperature_c(5000.0) == pytest.approx(profile.temperature_c(5000.0) + offset_c)


def test_no_offset_is_the_same_profile():
    assert shifted(AUTOMOTIVE, 0.0) is AUTOMOTIVE
    assert equivalent_time(shifted(AUTOMOTIVE, 1.5), 85.0, 1.5) is equivalent_time(
        shifted(AUTOMOTIVE, 1.5), 85.0, 1.5
    )
