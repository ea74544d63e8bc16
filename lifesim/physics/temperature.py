"""The temperature of a cell over the years, and the ageing that it integrates to."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

BOLTZMANN_EV_PER_K = 8.617333262e-5  # CODATA 2018, exact to the digits given
KELVIN_AT_0_C = 273.15
S_PER_H = 3600
S_PER_DAY = 86_400
DAYS_PER_YEAR = 365  # a year is 365 days throughout, so that season and day repeat exactly
S_PER_YEAR = DAYS_PER_YEAR * S_PER_DAY


def acceleration_factor(
    temperature_c: np.ndarray | float, reference_c: float, activation_energy_ev: float
) -> np.ndarray:
    """Return the Arrhenius factor exp(Ea/k (1/T_ref - 1/T)) by which a process runs faster at ``temperature_c`` than at ``reference_c``."""
    inverse_k = 1.0 / (np.asarray(temperature_c, dtype=np.float64) + KELVIN_AT_0_C)
    return np.exp(
        activation_energy_ev / BOLTZMANN_EV_PER_K * (1.0 / (reference_c + KELVIN_AT_0_C) - inverse_k)
    )


@dataclass(frozen=True, slots=True)
class TemperatureProfile:
    """Cell temperature: a mean with a seasonal and a daily cosine, plus constant self-heating of the electronics.

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
        """Return the cell temperature at ``time_s`` seconds after the start."""
        days = np.asarray(time_s, dtype=np.float64) / S_PER_DAY
        season = np.cos(
            2 * np.pi * (days + self.start_day_of_year - self.hottest_day_of_year) / DAYS_PER_YEAR
        )
        day = np.cos(2 * np.pi * (days - self.hottest_hour / 24.0))
        return (
            self.mean_c + self.self_heating_c + self.season_amplitude_c * season + self.day_amplitude_c * day
        )


class EquivalentTime:
    """Seconds at the reference temperature that do the same damage: the integral of the acceleration factor.

    The acceleration is integrated, never the temperature averaged: with 1.5 eV, +-15 C around 25 C ages 4.19 times as fast as 25 C.
    The integral over one year is tabulated by the hour (two-point Gauss-Legendre in each, relative error below 1e-7) and linear within an
    hour, as if the hour had one temperature; later years repeat it.
    """

    def __init__(self, profile: TemperatureProfile, reference_c: float, activation_energy_ev: float):
        hours = (
            np.arange(DAYS_PER_YEAR * 24, dtype=np.float64)[:, None]
            + 0.5
            + np.array([-0.5, 0.5]) / np.sqrt(3.0)
        )
        factors = acceleration_factor(
            profile.temperature_c(hours * S_PER_H), reference_c, activation_energy_ev
        )
        cumulative_s = np.concatenate([[0.0], np.cumsum(factors.mean(axis=1) * S_PER_H)])
        # In multiples of 2**-43 of about a year's total, whole years and hours add without rounding for a thousand years.
        quantum_s = 2.0 ** (math.frexp(cumulative_s[-1])[1] - 43)
        self._cumulative_s = np.rint(cumulative_s / quantum_s) * quantum_s

    @property
    def mean_factor(self) -> float:
        """Mean acceleration over a year."""
        return float(self._cumulative_s[-1] / S_PER_YEAR)

    def at(self, time_s: float) -> float:
        """Return equivalent seconds from the start to ``time_s``; linear within an hour, so exactly monotone."""
        years, rest_s = divmod(time_s, S_PER_YEAR)
        hour, within_s = divmod(rest_s, S_PER_H)
        table, i = self._cumulative_s, int(hour)
        return float(years * table[-1] + table[i] + (table[i + 1] - table[i]) * (within_s / S_PER_H))


@functools.lru_cache(maxsize=64)
def equivalent_time(
    profile: TemperatureProfile, reference_c: float, activation_energy_ev: float
) -> EquivalentTime:
    """Return the (shared) integral for a site and a technology; all devices of a group use the same table."""
    return EquivalentTime(profile, reference_c, activation_energy_ev)
