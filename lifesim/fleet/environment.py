"""Where a device lives: how warm it is there, how fast that ages its cells, and when it starts.

A place belongs to a slot of the fleet: a replacement lives where the device before it lived, in the same warmth and the same heat spells.
"""

from __future__ import annotations

import datetime
import functools
from dataclasses import dataclass

import numpy as np

from lifesim.fleet.clock import to_ns, to_s
from lifesim.fleet.keys import device_key, draw_of, group_key
from lifesim.physics.periodic import PeriodicIntegral
from lifesim.physics.spells import SpellClock, SpellRule, Spells, expected_time
from lifesim.physics.temperature import (
    AgeingClock,
    CosineProfile,
    HistogramProfile,
    TemperatureProfile,
    TraceProfile,
    equivalent_time,
    shifted,
)
from lifesim.scenario.models import Group, Scenario
from lifesim.scenario.site import Site
from lifesim.streams import first_uniform, generator
from lifesim.timeunits import DAYS_PER_YEAR, S_PER_DAY, S_PER_H, S_PER_YEAR

OFFSET_STEPS_PER_C = 10  # devices at one temperature share their tables


@dataclass(frozen=True, slots=True)
class Environment:
    """The place of one device: ``profile`` has its offset in it; ``spells`` is None where there are none."""

    profile: TemperatureProfile
    spells: Spells | None

    def temperature_c(self, time_ns: int) -> float:
        """Return the temperature of the cells, spells included."""
        time_s = to_s(time_ns)
        spell = self.spells is not None and self.spells.active(time_s)
        return float(self.profile.temperature_c(time_s)) + (self.spells.rule.rise_c if spell else 0.0)

    def clock(self, reference_c: float, activation_energy_ev: float) -> AgeingClock:
        """Return the time at a reference temperature that passes here, for a process of that activation energy."""
        ordinary = equivalent_time(self.profile, reference_c, activation_energy_ev)
        if self.spells is None:
            return ordinary
        hot = shifted(self.profile, self.spells.rule.rise_c)
        return SpellClock(ordinary, equivalent_time(hot, reference_c, activation_energy_ev), self.spells)


def make_environment(group: Group, scenario: Scenario, name: str, slot: int) -> Environment:
    """Return the place of the device in a slot of the group called ``name``: an offset and, by the site, spells of its own."""
    site, draw = group.site, draw_of(scenario)
    z = generator(device_key(draw, name, slot, "site offset")).standard_normal()
    offset_c = round(z * site.offset_sigma_c * OFFSET_STEPS_PER_C) / OFFSET_STEPS_PER_C
    rule = spell_rule(site, scenario.start)
    own = site.spells_of == "device"
    key = device_key(draw, name, slot, "heat spells") if own else group_key(draw, name, "heat spells")
    return Environment(
        shifted(site_profile(site, scenario.start), offset_c),
        Spells(key, rule) if rule.happens else None,
    )


def nominal_clock(
    site: Site, start: datetime.date, reference_c: float, activation_energy_ev: float
) -> PeriodicIntegral:
    """Return the equivalent time at a site without offset and with the mean effect of its heat spells."""
    profile, rule = site_profile(site, start), spell_rule(site, start)
    ordinary = equivalent_time(profile, reference_c, activation_energy_ev)
    hot = equivalent_time(shifted(profile, rule.rise_c), reference_c, activation_energy_ev)
    return expected_time(ordinary, hot, rule)


def temperature_range_c(site: Site, start: datetime.date) -> tuple[float, float]:
    """Return the lowest and the highest temperature of a year at a site, heat spells left out, in degrees Celsius; looked at every hour."""
    temperatures_c = site_profile(site, start).temperature_c(np.arange(0.0, S_PER_YEAR, S_PER_H))
    return float(np.min(temperatures_c)), float(np.max(temperatures_c))


def commissioned_ns(group: Group, scenario: Scenario, name: str, slot: int) -> int:
    """Return when the device in a slot starts: any time of the group's commissioning is as likely."""
    share = first_uniform(device_key(draw_of(scenario), name, slot, "commissioning"))
    return to_ns(share * group.commissioning_s)


@functools.lru_cache(maxsize=64)
def site_profile(site: Site, start: datetime.date) -> TemperatureProfile:
    """Return the temperature of a site from ``start`` on, self-heating included."""
    if site.mean_c is not None:
        return CosineProfile(
            site.mean_c,
            site.season_amplitude_c,
            site.day_amplitude_c,
            site.self_heating_c,
            site.hottest_day_of_year - 1,  # the scenario counts days from 1, the clock from 0
            site.hottest_hour,
            _day_of_year(start),
        )
    if site.temperatures_c:
        return shifted(HistogramProfile(site.temperatures_c, site.shares), site.self_heating_c)
    return shifted(TraceProfile(site.trace_time_s, site.trace_temperature_c), site.self_heating_c)


def spell_rule(site: Site, start: datetime.date) -> SpellRule:
    """Return how heat spells come about at a site, in seconds from ``start`` on."""
    first, last = site.spell_first_day_of_year - 1, site.spell_last_day_of_year - 1
    return SpellRule(
        site.spells_per_year,
        site.spell_rise_c,
        site.spell_duration_s,
        float((first - _day_of_year(start)) % DAYS_PER_YEAR * S_PER_DAY),
        float(((last - first) % DAYS_PER_YEAR + 1) * S_PER_DAY),
    )


def _day_of_year(date: datetime.date) -> int:
    """Return the day from 0 (1 January); in a leap year up to 365."""
    return date.timetuple().tm_yday - 1
