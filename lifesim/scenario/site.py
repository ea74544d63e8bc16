"""Where the devices are, and what they do all day."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from lifesim.scenario.table import PresetTable, Table, Temperature, TemperatureRise, mistake

ABSOLUTE_ZERO_C = -273.15


class Site(PresetTable):
    """Where the devices are: the temperature of the cells over the year and the day."""

    kind_of_preset: ClassVar[str] = "site"
    mean_c: Temperature
    """Mean ambient temperature of the year, in C."""
    season_amplitude_c: TemperatureRise
    """Half the difference between the warmest and the coldest day's mean, in C."""
    day_amplitude_c: TemperatureRise
    """Half the difference between the warmest and the coldest hour of a day, in C."""
    self_heating_c: TemperatureRise
    """What the cells are warmer than their surroundings, in C."""
    hottest_day_of_year: int = Field(ge=1, le=365)
    """Day of the year at which the season peaks (1 = 1 January)."""
    hottest_hour: float = Field(ge=0, lt=24)
    """Hour of the day at which the day peaks, in h after midnight."""

    @model_validator(mode="after")
    def _has_a_temperature(self) -> Self:
        coldest_c = self.mean_c + self.self_heating_c - self.season_amplitude_c - self.day_amplitude_c
        if coldest_c < ABSOLUTE_ZERO_C:
            involved = (("season_amplitude_c",), ("day_amplitude_c",), ("self_heating_c",))
            raise mistake(f"would reach {coldest_c:g} C, below absolute zero", ("mean_c",), involved)
        return self


class Workload(Table):
    """What the device does all day."""

    reloads_per_day: dict[str, Annotated[float, Field(ge=0, le=86_400)]] = {}
    """Layer -> reprogrammings from the backup per day, which wear it; layers not named are resident (0)."""

    @field_validator("reloads_per_day")
    @classmethod
    def _sort(cls, reloads: dict[str, float]) -> dict[str, float]:
        """The order in the file means nothing, so it must not change the scenario's digest."""
        return dict(sorted(reloads.items()))
