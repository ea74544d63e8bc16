"""The temperature of a cell over the years, and the ageing that it integrates to."""

from __future__ import annotations

import functools
from array import array
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lifesim.physics.periodic import PeriodicIntegral, doubles
from lifesim.timeunits import DAYS_PER_YEAR, HOURS_PER_DAY, S_PER_DAY, S_PER_H

BOLTZMANN_EV_PER_K = 8.617333262e-5  # CODATA 2018, exact to the digits given
KELVIN_AT_0_C = 273.15

_HOURS_OF_A_YEAR_S = doubles(np.arange(DAYS_PER_YEAR * HOURS_PER_DAY + 1) * S_PER_H)
_MOST_PIECES = 64  # that the way from one sample of a trace to the next is cut into for its steepness


def acceleration_factor(
    temperature_c: np.ndarray | float, reference_c: float, activation_energy_ev: float
) -> np.ndarray:
    """Return the Arrhenius factor exp(Ea/k (1/T_ref - 1/T)) by which a process runs faster at ``temperature_c`` than at ``reference_c``."""
    inverse_k = 1.0 / (np.asarray(temperature_c, dtype=np.float64) + KELVIN_AT_0_C)
    return np.exp(
        activation_energy_ev / BOLTZMANN_EV_PER_K * (1.0 / (reference_c + KELVIN_AT_0_C) - inverse_k)
    )


class TemperatureProfile(Protocol):
    """The temperature of a place over a period, after which it repeats. Profiles are values: equal ones share their tables."""

    def temperature_c(self, time_s: np.ndarray | float) -> np.ndarray:
        """Return the temperature at ``time_s`` seconds after the start."""

    def knots_s(self) -> array[float]:
        """Return times from 0 to the period, ascending, between which the temperature is smooth and changes little."""


@dataclass(frozen=True, slots=True)
class CosineProfile:
    """A mean with a seasonal and a daily cosine, plus constant self-heating of the electronics; repeats every year.

    Amplitudes are half of peak to peak. ``start_day_of_year`` (0 = 1 January) fixes the season in which the clock starts, at midnight.
    """

    mean_c: float
    season_amplitude_c: float = 0.0
    day_amplitude_c: float = 0.0
    self_heating_c: float = 0.0
    hottest_day_of_year: float = 200.0
    hottest_hour: float = 15.0
    start_day_of_year: float = 0.0

    def temperature_c(self, time_s: np.ndarray | float) -> np.ndarray:
        days = np.asarray(time_s, dtype=np.float64) / S_PER_DAY
        season = np.cos(
            2 * np.pi * (days + self.start_day_of_year - self.hottest_day_of_year) / DAYS_PER_YEAR
        )
        day = np.cos(2 * np.pi * (days - self.hottest_hour / HOURS_PER_DAY))
        return (
            self.mean_c + self.self_heating_c + self.season_amplitude_c * season + self.day_amplitude_c * day
        )

    def knots_s(self) -> array[float]:
        return _HOURS_OF_A_YEAR_S


@dataclass(frozen=True, slots=True)
class HistogramProfile:
    """A mission profile: shares of the time (adding up to 1) spent at each temperature; repeats every day.

    Which temperature comes when is not in a histogram. Assumed is that every day runs through it in the order given, from midnight: so a day,
    and any number of days, is exact whatever the order.
    """

    temperatures_c: tuple[float, ...]
    shares: tuple[float, ...]

    def temperature_c(self, time_s: np.ndarray | float) -> np.ndarray:
        begins_s = self._ends_s()[:-1]
        passed = np.searchsorted(begins_s, np.mod(time_s, S_PER_DAY), side="right")
        return np.asarray(self.temperatures_c, dtype=np.float64)[passed]

    def knots_s(self) -> array[float]:
        return doubles(np.unique(np.concatenate([[0.0], self._ends_s()])))  # a share of 0 takes no piece

    def _ends_s(self) -> np.ndarray:
        ends_s = np.cumsum(self.shares) * S_PER_DAY
        ends_s[ends_s >= ends_s[-1]] = S_PER_DAY  # the shares may add up to 1 - 1e-16
        return ends_s


@dataclass(frozen=True, slots=True)
class TraceProfile:
    """A recorded temperature: linear between its samples; repeats from the first sample after the last.

    ``times_s`` ascends; its first is the start of the simulation.
    """

    times_s: tuple[float, ...]
    temperatures_c: tuple[float, ...]

    def temperature_c(self, time_s: np.ndarray | float) -> np.ndarray:
        times_s = self._since_first_s()
        return np.interp(np.mod(time_s, times_s[-1]), times_s, self.temperatures_c)

    def knots_s(self) -> array[float]:
        times_s = self._since_first_s()
        # Pieces of at most an hour and a degree; leaps between two samples are cut less finely.
        degrees = np.minimum(np.abs(np.diff(self.temperatures_c)), _MOST_PIECES)
        pieces = np.maximum(np.ceil(np.maximum(np.diff(times_s) / S_PER_H, degrees)), 1).astype(np.int64)
        samples = np.repeat(np.arange(len(pieces)), pieces)
        within = (np.arange(len(samples)) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / pieces[samples]
        begins_s = times_s[samples] + np.diff(times_s)[samples] * within
        return doubles(np.append(begins_s, times_s[-1]))

    def _since_first_s(self) -> np.ndarray:
        times_s = np.asarray(self.times_s, dtype=np.float64)
        return times_s - times_s[0]


@dataclass(frozen=True, slots=True)
class ShiftedProfile:
    """Another profile, warmer by ``rise_c`` at all times."""

    profile: TemperatureProfile
    rise_c: float

    def temperature_c(self, time_s: np.ndarray | float) -> np.ndarray:
        return self.profile.temperature_c(time_s) + self.rise_c

    def knots_s(self) -> array[float]:
        return self.profile.knots_s()


def shifted(profile: TemperatureProfile, rise_c: float) -> TemperatureProfile:
    """Return ``profile``, warmer by ``rise_c``."""
    return ShiftedProfile(profile, rise_c) if rise_c else profile


class AgeingClock(Protocol):
    """The time at the reference temperature that passes in one place, at most ``highest_rate`` times as fast as time itself."""

    highest_rate: float

    def at(self, time_s: float) -> float:
        """Return equivalent seconds from the start to ``time_s``; exactly monotone."""

    def at_many(self, times_s: np.ndarray) -> np.ndarray:
        """Return :meth:`at` of many times (float64)."""


class EquivalentTime(PeriodicIntegral):
    """Seconds at the reference temperature that do the same damage: the integral of the acceleration factor.

    The acceleration is integrated, never the temperature averaged: with 1.5 eV, +-15 C around 25 C ages 4.19 times as fast as 25 C.
    The integral over one period is tabulated at the profile's knots (two-point Gauss-Legendre between each two; with a season and a day
    the relative error is below 1e-7) and linear between them, as if a piece had one temperature; later periods repeat it.
    """

    __slots__ = ()

    def __init__(self, profile: TemperatureProfile, reference_c: float, activation_energy_ev: float):
        knots_s = profile.knots_s()
        begins_s, widths_s = np.frombuffer(knots_s)[:-1], np.diff(np.frombuffer(knots_s))
        points = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0)
        times_s = begins_s[:, None] + widths_s[:, None] * points
        factors = acceleration_factor(profile.temperature_c(times_s), reference_c, activation_energy_ev)
        super().__init__(knots_s, factors.mean(axis=1) * widths_s)


@functools.lru_cache(maxsize=512)  # a table of a year is 70 kB
def equivalent_time(
    profile: TemperatureProfile, reference_c: float, activation_energy_ev: float
) -> EquivalentTime:
    """Return the (shared) integral for a place and a technology; all devices at one temperature use the same table."""
    return EquivalentTime(profile, reference_c, activation_energy_ev)
