"""The place of a device: what each key of the site does alone, and that a device's place is its own."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import numpy as np
import pytest

from lifesim.fleet.environment import (
    commissioned_ns,
    make_environment,
    nominal_clock,
    site_profile,
    spell_rule,
)
from lifesim.fleet.hardware import Hardware, inferences_asked, make_silicon
from lifesim.physics.temperature import EquivalentTime, acceleration_factor
from lifesim.scenario.models import Group, Scenario
from lifesim.scenario.presets import preset_names
from lifesim.scenario.site import Site
from lifesim.timeunits import NS_PER_S, S_PER_DAY, S_PER_YEAR

OVEN = {"mean_c": 85, "season_amplitude_c": 0, "day_amplitude_c": 0, "self_heating_c": 0}
OVEN |= {"hottest_day_of_year": 200, "hottest_hour": 15}
NEW_YEAR = datetime.date(2026, 1, 1)


def scenario(site: dict | str, seed: int = 3, **changes) -> Scenario:
    group = {"count": 1, "network": "mlp", "technology": "rated_1e4", "schedule": {"kind": "never"}}
    group |= {"site": site, **changes}
    return Scenario.model_validate({"name": "test", "seed": seed, "horizon_s": "10 y", "group": {"g": group}})


def place(site: dict | str, slot: int = 0, **changes):
    fleet = scenario(site, **changes)
    return make_environment(fleet.group["g"], fleet, "g", slot)


def oven(**changes) -> dict:
    return {**OVEN, **changes}


# -- each key alone, against a closed form --


@pytest.mark.parametrize("name", preset_names("site"))
def test_mean_acceleration_of_every_preset(name: str) -> None:
    """Histograms: the sum of shares times factors. Cosines: the mean over all phases of season and day."""
    site = Site.model_validate(name)
    if site.temperatures_c:
        temperatures, weights = np.array(site.temperatures_c), np.array(site.shares)
    else:
        cosine = np.cos(2 * np.pi * (np.arange(64) + 0.5) / 64)
        swing = site.season_amplitude_c * cosine[:, None] + site.day_amplitude_c * cosine
        temperatures, weights = site.mean_c + site.self_heating_c + swing.ravel(), np.full(64**2, 64.0**-2)
    expected = float(acceleration_factor(temperatures, 85.0, 1.5) @ weights)
    clock = EquivalentTime(site_profile(site, NEW_YEAR), 85.0, 1.5)
    assert clock.mean_rate == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("preset", "factor"), [("hot_box", 0.034), ("automotive", 14.6)])
def test_what_the_presets_say_of_themselves(preset: str, factor: float) -> None:
    clock = nominal_clock(Site.model_validate(preset), NEW_YEAR, 85.0, 1.5)
    assert clock.mean_rate == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize("name", preset_names("site"))
def test_every_preset_has_a_temperature(name: str) -> None:
    environment = place(name)
    hours = [environment.temperature_c(hour * 3600 * NS_PER_S) for hour in range(48)]
    assert -60 < min(hours) <= max(hours) < 160


def test_self_heating_warms_a_histogram() -> None:
    bins = {"temperatures_c": [20, 60], "shares": [0.75, 0.25], "self_heating_c": 5}
    expected = 0.75 * acceleration_factor(25.0, 85.0, 1.5) + 0.25 * acceleration_factor(65.0, 85.0, 1.5)
    assert place(bins).clock(85.0, 1.5).at(S_PER_DAY) == pytest.approx(S_PER_DAY * float(expected))
    assert place(bins).temperature_c(0) == 25.0


def test_offsets_are_normal_and_in_steps() -> None:
    """500 devices: mean, spread, and what one device's offset does to its clock."""
    fleet = scenario(oven(offset_sigma_c=3))
    places = [make_environment(fleet.group["g"], fleet, "g", slot) for slot in range(500)]
    offsets = np.array([p.temperature_c(0) for p in places]) - 85.0
    assert abs(offsets.mean()) < 3 * 3.0 / math.sqrt(500)
    assert abs(offsets.std() - 3.0) < 3 * 3.0 / math.sqrt(2 * 500)
    np.testing.assert_allclose(offsets * 10, np.rint(offsets * 10), atol=1e-9)
    factor = float(acceleration_factor(85.0 + offsets[7], 85.0, 1.5))
    assert places[7].clock(85.0, 1.5).at(S_PER_YEAR) == pytest.approx(factor * S_PER_YEAR)
    # The fleet ages faster than its mean device, by exp(sigma^2 / 2) of the slope of ln AF.
    mean = np.mean([p.clock(85.0, 1.5).at(S_PER_YEAR) for p in places]) / S_PER_YEAR
    slope = 1.5 / 8.617333262e-5 / (273.15 + 85) ** 2
    assert mean == pytest.approx(math.exp((slope * 3.0) ** 2 / 2), rel=0.06)
    same = [p.clock(85.0, 1.5) for p in places if p.temperature_c(0) == places[7].temperature_c(0)]
    assert all(clock is same[0] for clock in same)


def test_a_heat_spell_by_hand() -> None:
    """In the oven at its reference, a spell of +20 C for 30 days adds 30 days times (AF(105 C) - 1)."""
    site = oven(spells_per_year=0.5, spell_rise_c=20, spell_duration_s="30 d")
    environment = place(site, slot=1)
    begins, ends = environment.spells.until(10.0 * S_PER_YEAR)
    hot_s = sum(min(end, 10.0 * S_PER_YEAR) - begin for begin, end in zip(begins, ends, strict=True))
    assert hot_s > 0
    more = float(acceleration_factor(105.0, 85.0, 1.5)) - 1
    clock = environment.clock(85.0, 1.5)
    assert clock.at(10.0 * S_PER_YEAR) == pytest.approx(10.0 * S_PER_YEAR + more * hot_s, rel=1e-9)
    edges = [(begins[0] - 1, 85.0), (begins[0] + 1, 105.0), (ends[0] - 1, 105.0), (ends[0] + 1, 85.0)]
    assert [environment.temperature_c(round(t * NS_PER_S)) for t, _ in edges] == [c for _, c in edges]


@pytest.mark.parametrize(
    ("start", "first", "last", "begin_day", "days"),
    [
        (datetime.date(2026, 1, 1), 1, 365, 0, 365),
        (datetime.date(2026, 1, 1), 152, 243, 151, 92),
        (datetime.date(2026, 7, 1), 152, 243, 335, 92),
        (datetime.date(2026, 7, 1), 335, 59, 153, 90),
    ],
)
def test_the_season_of_spells(start, first, last, begin_day, days) -> None:
    site = Site.model_validate(oven(spell_first_day_of_year=first, spell_last_day_of_year=last))
    rule = spell_rule(site, start)
    assert (rule.season_begin_s, rule.season_s) == (begin_day * S_PER_DAY, days * S_PER_DAY)


def test_spells_of_the_group_are_common_and_those_of_devices_are_not() -> None:
    def spells(scope: str, slot: int):
        return place(oven(spells_per_year=1, spells_of=scope), slot).spells.until(10.0 * S_PER_YEAR)

    assert spells("group", 0) == spells("group", 1)
    assert spells("device", 0) != spells("device", 1)


def test_a_trace_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "box.csv").write_text("time_s,temperature_c\n0,80\n43200,80\n43201,90\n86400,90\n")
    site = Site.model_validate({"trace_csv": "box.csv"}, context={"directory": tmp_path})
    clock = place(site.model_dump(exclude={"trace_csv"})).clock(85.0, 1.5)
    expected = sum(float(acceleration_factor(t, 85.0, 1.5)) for t in (80.0, 90.0)) / 2
    assert clock.at(S_PER_YEAR) == pytest.approx(expected * S_PER_YEAR, rel=1e-5)


def test_inferences_and_their_shape() -> None:
    workload = {"inferences_per_hour": 10, "daily_shape": [0] * 12 + [1] * 12}
    assert inferences_asked(scenario(oven(), workload=workload).group["g"]).at(13 * 3600.0) == pytest.approx(
        20.0
    )
    assert inferences_asked(scenario(oven()).group["g"]) is None


# -- a place of its own --


def test_a_place_depends_on_seed_and_slot_alone() -> None:
    site = oven(offset_sigma_c=3, spells_per_year=1)

    def story(environment):
        clock = environment.clock(85.0, 1.5)
        return [clock.at(year * S_PER_YEAR) for year in range(10)], environment.temperature_c(0)

    reference = story(place(site, 4))
    assert story(place(site, 4, schedule={"kind": "periodic", "interval_s": "7 d"}, count=9)) == reference
    assert story(place(site, 5)) != reference
    assert story(place(site, 4, seed=4)) != reference


def test_without_spread_and_spells_a_device_lives_at_the_nominal_site() -> None:
    site = Site.model_validate("hot_box")
    environment = place("hot_box", slot=17)
    assert environment.profile is site_profile(site, NEW_YEAR)
    assert environment.clock(85.0, 1.5) is nominal_clock(site, NEW_YEAR, 85.0, 1.5)


def test_the_nominal_clock_is_the_mean_over_devices_with_spells() -> None:
    fleet = scenario({"preset": "hot_box_spells", "offset_sigma_c": 0})
    group = fleet.group["g"]
    ages = np.array(
        [
            make_environment(group, fleet, "g", slot).clock(85.0, 1.5).at(10.0 * S_PER_YEAR)
            for slot in range(600)
        ]
    )
    nominal = nominal_clock(group.site, fleet.start, 85.0, 1.5).at(10.0 * S_PER_YEAR)
    assert abs(ages.mean() - nominal) < 3 * ages.std() / math.sqrt(len(ages))
    assert ages.std() > 0.2 * ages.mean()


def test_the_silicon_ages_by_its_place() -> None:
    """The retention of a device in a warmer place is at its limits earlier."""
    fleet = scenario(oven(offset_sigma_c=10, spells_per_year=1))
    group: Group = fleet.group["g"]
    for slot in range(3):
        silicon = make_silicon(group, Hardware.of(group), fleet, "g", slot)
        expected = make_environment(group, fleet, "g", slot).clock(
            group.technology.retention_reference_c, group.technology.activation_energy_ev
        )
        clock = silicon.banks[0].soft[0].clock
        assert [clock.at(y * S_PER_YEAR) for y in range(11)] == [
            expected.at(y * S_PER_YEAR) for y in range(11)
        ]


# -- the start --


def test_devices_start_spread_over_the_commissioning() -> None:
    fleet = scenario(oven(), commissioning_s="180 d")
    starts = np.array([commissioned_ns(fleet.group["g"], fleet, "g", slot) for slot in range(1000)])
    span = 180 * S_PER_DAY * NS_PER_S
    assert 0 <= starts.min() and starts.max() < span
    assert abs(starts.mean() / span - 0.5) < 3 / math.sqrt(12 * 1000)
    assert abs(starts.std() / span - 1 / math.sqrt(12)) < 0.02
    plain = scenario(oven())
    assert commissioned_ns(plain.group["g"], plain, "g", 5) == 0
