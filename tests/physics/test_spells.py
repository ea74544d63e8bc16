"""Heat spells: the process against its statistics, the clock against brute-force integration and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.physics.spells import SpellClock, SpellRule, Spells, expected_time
from lifesim.physics.temperature import (
    CosineProfile,
    EquivalentTime,
    HistogramProfile,
    TraceProfile,
    acceleration_factor,
    shifted,
)
from lifesim.timeunits import S_PER_DAY, S_PER_H, S_PER_YEAR

HOT_BOX = CosineProfile(55.0, 8.0, 12.0)
SUMMER = SpellRule(0.3, 20.0, 30.0 * S_PER_DAY, 151.0 * S_PER_DAY, 92.0 * S_PER_DAY)
RULES = st.builds(
    SpellRule,
    per_year=st.floats(0.1, 60),
    rise_c=st.floats(1, 40),
    duration_s=st.floats(60, 100.0 * S_PER_DAY),
    season_begin_s=st.integers(0, 364).map(lambda day: float(day * S_PER_DAY)),
    season_s=st.integers(1, 365).map(lambda day: float(day * S_PER_DAY)),
)


def clocks(profile, rule, energy_ev=1.5):
    return tuple(EquivalentTime(shifted(profile, rise), 85.0, energy_ev) for rise in (0.0, rule.rise_c))


class Scripted(Spells):
    """Spells at times that a test chooses."""

    __slots__ = ("_script",)

    def __init__(self, rule, begins_s):
        self._script = iter([*sorted(begins_s), math.inf])
        super().__init__(0, rule)

    def _draw(self):
        self._next_s = next(self._script)


# The process


def test_spells_that_overlap_are_one_longer_spell():
    rule = SpellRule(1.0, 20.0, 10.0)
    begins, ends = Scripted(rule, [-4.0, 20.0, 25.0, 35.0, 50.0]).until(1000.0)
    assert (begins, ends) == ([0.0, 20.0, 50.0], [6.0, 45.0, 60.0])
    spells = Scripted(rule, [-4.0, 20.0, 25.0, 50.0])
    assert [spells.active(t) for t in (0, 5.9, 6, 19.9, 20, 34.9, 35, 50, 60)] == [
        True, True, False, False, True, True, False, True, False
    ]  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(RULES, st.integers(0, 10**6), st.lists(st.floats(0, 10.0 * S_PER_YEAR), min_size=1, max_size=8))
def test_spells_do_not_depend_on_when_they_are_asked_for(rule, key, times):
    """In any order, the spells by the last time are those of a process asked once; apart, in order, at least one duration long."""
    asked, once = Spells(key, rule), Spells(key, rule)
    activity = {time_s: asked.active(time_s) for time_s in times}
    begins, ends = once.until(max(times))
    assert asked.until(max(times)) == (begins, ends)
    assert all(once.active(time_s) == active for time_s, active in activity.items())
    edges = list(itertools.chain.from_iterable(zip(begins, ends, strict=True)))
    assert edges == sorted(edges)
    assert all(
        end - begin >= rule.duration_s * (1 - 1e-9) or begin == 0.0
        for begin, end in zip(begins, ends, strict=True)
    )


@settings(deadline=None, max_examples=50)
@given(RULES, st.integers(0, 10**6))
def test_spells_begin_in_season(rule, key):
    begins, _ = Spells(key, rule).until(5.0 * S_PER_YEAR)
    for begin in begins:
        if begin > 0.0:
            since = (begin - rule.season_begin_s) % S_PER_YEAR
            assert since <= rule.season_s or since >= S_PER_YEAR - 1e-3


def test_numbers_and_times_are_those_of_a_poisson_process():
    """2,000 places over 5 years: mean and variance of the count, share of time in a spell by the closed form, gaps exponential."""
    rule, years, places = SpellRule(2.0, 20.0, 3.0 * S_PER_DAY), 5, 2000
    counts, active = [], []
    moments = np.linspace(0, years * S_PER_YEAR, 40)
    for key in range(places):
        spells = Spells(key, SpellRule(2.0, 20.0, 1.0))  # hardly ever overlap
        counts.append(len(spells.until(years * S_PER_YEAR)[0]))
        hot = Spells(key, rule)
        active.append(np.mean([hot.active(float(t)) for t in moments]))
    assert abs(np.mean(counts) - 10.0) < 3 * math.sqrt(10.0 / places)
    assert abs(np.var(counts) - 10.0) < 3 * math.sqrt((10.0 + 2 * 10.0**2) / places)
    expected = 1 - math.exp(-2.0 * 3 / 365)
    assert abs(np.mean(active) - expected) < 3 * np.std(active) / math.sqrt(places)


def test_other_keys_other_spells():
    rule = SpellRule(2.0, 20.0, S_PER_DAY)
    assert Spells(1, rule).until(1e9) != Spells(2, rule).until(1e9)


def test_a_rule_that_never_happens():
    assert SUMMER.happens
    assert not any(SpellRule(*rule).happens for rule in ((0.0, 20.0, 1.0), (1.0, 0.0, 1.0), (1.0, 20.0, 0.0)))


# The clock


def test_a_spell_of_30_days_at_plus_20_by_hand():
    """At one temperature: 30 days of the factor at 75 C in place of that at 55 C."""
    rule = SpellRule(1.0, 20.0, 30.0 * S_PER_DAY)
    clock = SpellClock(*clocks(CosineProfile(55.0), rule), Scripted(rule, [100.0 * S_PER_DAY]))
    cool, hot = (float(acceleration_factor(t, 85.0, 1.5)) for t in (55.0, 75.0))
    for days, expected in ((100, 100 * cool), (110, 100 * cool + 10 * hot), (200, 170 * cool + 30 * hot)):
        assert clock.at(days * S_PER_DAY) == pytest.approx(expected * S_PER_DAY, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    RULES,
    st.integers(0, 10**6),
    st.floats(0, 5.0 * S_PER_YEAR),
    st.sampled_from([HOT_BOX, HistogramProfile((20.0, 80.0), (0.7, 0.3))]),
)
def test_equivalent_time_is_the_ordinary_plus_the_differences_within_spells(rule, key, time_s, profile):
    ordinary, hot = clocks(profile, rule)
    begins, ends = Spells(key, rule).until(time_s)
    expected = ordinary.at(time_s)
    for begin, end in zip(begins, ends, strict=True):
        end = min(end, time_s)
        expected += (hot.at(end) - hot.at(begin)) - (ordinary.at(end) - ordinary.at(begin))
    assert SpellClock(ordinary, hot, Spells(key, rule)).at(time_s) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize("profile", [HOT_BOX, TraceProfile((0.0, 30_000.0, 90_000.0), (20.0, 60.0, 20.0))])
@pytest.mark.parametrize("per_year", [4.0, 12.0])
def test_the_clock_is_that_of_brute_force_over_the_temperature(profile, per_year):
    """One year in steps of 5 min, with the temperature of each step's middle: often and rarely overlapping spells."""
    rule = SpellRule(per_year, 20.0, 30.0 * S_PER_DAY)
    spells = Spells(11, rule)
    middles = (np.arange(S_PER_YEAR // 300) + 0.5) * 300.0
    hot = np.array([spells.active(time_s) for time_s in middles.tolist()])
    assert 0.05 < hot.mean() < 0.95
    temperatures = profile.temperature_c(middles) + np.where(hot, 20.0, 0.0)
    brute = np.cumsum(acceleration_factor(temperatures, 85.0, 1.5)) * 300.0
    clock = SpellClock(*clocks(profile, rule), Spells(11, rule))
    for part in (0.1, 0.5, 1.0):
        steps = int(part * len(brute))
        # An edge of a spell lies within a step, and the clock is linear within an hour.
        assert clock.at(steps * 300.0) == pytest.approx(brute[steps - 1], rel=2e-4)


@settings(deadline=None, max_examples=60)
@given(
    RULES,
    st.integers(0, 10**6),
    st.lists(st.floats(0, 5.0 * S_PER_YEAR), max_size=10),
    st.randoms(use_true_random=False),
)
def test_time_never_runs_backwards_and_the_order_of_asking_means_nothing(rule, key, times, random):
    ordinary, hot = clocks(HOT_BOX, rule)
    begins, ends = Spells(key, rule).until(5.0 * S_PER_YEAR)
    for edge in begins[:5] + ends[:5]:
        times += [math.nextafter(edge, 0.0), edge, math.nextafter(edge, math.inf)]
    clock = SpellClock(ordinary, hot, Spells(key, rule))
    shuffled = random.sample(times, len(times))
    values = {time_s: clock.at(time_s) for time_s in shuffled}
    in_order = [values[time_s] for time_s in sorted(times)]
    assert in_order == sorted(in_order)
    other = SpellClock(ordinary, hot, Spells(key, rule))
    assert in_order == [other.at(time_s) for time_s in sorted(times)]


def test_two_clocks_may_share_their_spells():
    rule = SpellRule(12.0, 20.0, 30.0 * S_PER_DAY)
    shared = Spells(3, rule)
    one, other = (SpellClock(*clocks(HOT_BOX, rule, energy), shared) for energy in (1.5, 1.1))
    alone = SpellClock(*clocks(HOT_BOX, rule, 1.1), Spells(3, rule))
    one.at(3.0 * S_PER_YEAR)
    assert [other.at(y * S_PER_YEAR / 7) for y in range(20)] == [
        alone.at(y * S_PER_YEAR / 7) for y in range(20)
    ]


# The mean over places


@pytest.mark.parametrize(
    ("profile", "rule"),
    [
        (HOT_BOX, SpellRule(3.0, 20.0, 30.0 * S_PER_DAY, 100.0 * S_PER_DAY, 90.0 * S_PER_DAY)),
        (HistogramProfile((20.0, 80.0), (0.7, 0.3)), SpellRule(2.0, 20.0, 60.0 * S_PER_DAY)),
        (TraceProfile((0.0, 30_000.0, 90_000.0), (20.0, 60.0, 20.0)), SpellRule(6.0, 10.0, 30.0 * S_PER_DAY)),
    ],
)
def test_the_expected_time_is_the_mean_over_places(profile, rule):
    ordinary, hot = clocks(profile, rule)
    expected = expected_time(ordinary, hot, rule)
    places = [SpellClock(ordinary, hot, Spells(key, rule)) for key in range(800)]
    for time_s in (0.3 * S_PER_YEAR, 2.7 * S_PER_YEAR, 10.0 * S_PER_YEAR):
        times = np.array([place.at(time_s) for place in places])
        assert abs(times.mean() - expected.at(time_s)) < 3 * times.std() / math.sqrt(len(times))
    assert times.std() / math.sqrt(len(times)) < 0.01 * times.mean()


def test_without_spells_the_expected_time_is_the_ordinary():
    ordinary, hot = clocks(HOT_BOX, SUMMER)
    assert expected_time(ordinary, hot, SpellRule(0.0, 20.0, 1.0)) is ordinary


def test_one_spell_in_summer_ages_a_hot_box_by_years():
    """+20 C for all of July is three more years at 1.5 eV."""
    rule = SpellRule(1.0, 20.0, 30.0 * S_PER_DAY)
    ordinary, hot = clocks(HOT_BOX, rule)
    clock = SpellClock(ordinary, hot, Scripted(rule, [185.0 * S_PER_DAY]))
    extra_s = clock.at(S_PER_YEAR) - ordinary.at(S_PER_YEAR)
    july = np.arange(185 * 24, 215 * 24) * S_PER_H + S_PER_H / 2
    factors = [
        acceleration_factor(HOT_BOX.temperature_c(july) + rise, 85.0, 1.5).sum() for rise in (20.0, 0.0)
    ]
    assert extra_s == pytest.approx((factors[0] - factors[1]) * S_PER_H, rel=1e-3)
    assert extra_s / ordinary.at(S_PER_YEAR) == pytest.approx(2.95, abs=0.01)
