"""Temperature over the years and the ageing that it integrates to, against numerical quadrature."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from lifesim.physics.temperature import (
    S_PER_DAY,
    S_PER_H,
    S_PER_YEAR,
    EquivalentTime,
    CosineProfile,
    acceleration_factor,
    equivalent_time,
)

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
    mean = EquivalentTime(day, 25.0, energy_ev).mean_factor
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
    mean = EquivalentTime(HOT_BOX, 85.0, 1.5).mean_factor
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
    assert clock.mean_factor == pytest.approx(factor, rel=1e-11)
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
    assert clock.mean_factor == year_s / S_PER_YEAR


def test_devices_of_a_group_share_the_table():
    assert equivalent_time(HOT_BOX, 85.0, 1.5) is equivalent_time(HOT_BOX, 85.0, 1.5)
    assert equivalent_time(HOT_BOX, 85.0, 1.5) is not equivalent_time(HOT_BOX, 85.0, 1.4)
