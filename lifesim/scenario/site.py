"""Where the devices are, and what they do all day."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from lifesim.scenario.table import (
    Delay,
    ListOf,
    PresetTable,
    Share,
    Table,
    Temperature,
    TemperatureRise,
    mistake,
)
from lifesim.scenario.trace import TraceError, TraceTime, read_trace
from lifesim.scenario.units import Quantity
from lifesim.timeunits import DAYS_PER_YEAR, HOURS_PER_DAY, S_PER_DAY, S_PER_H

ABSOLUTE_ZERO_C = -273.15
SHORTEST_TRACE_S = S_PER_H
SIGMAS = 6  # farther from the mean than any device will be

_COSINE = ("mean_c", "season_amplitude_c", "day_amplitude_c", "hottest_day_of_year", "hottest_hour")
_HISTOGRAM = ("temperatures_c", "shares")
_TRACE = ("trace_time_s", "trace_temperature_c")
_PROFILES = (_COSINE, _HISTOGRAM, _TRACE)

Offset = Annotated[float, Quantity("C", least="0 C", most="20 C")]
Weight = Annotated[float, Field(ge=0, le=1e9)]
DayOfYear = Annotated[int, Field(ge=1, le=DAYS_PER_YEAR)]


class Site(PresetTable):
    """Where the devices are: the temperature of the cells, as a mean with a season and a day, as a histogram (mission profile) or as a trace."""

    kind_of_preset: ClassVar[str] = "site"
    mean_c: Temperature | None = None
    """Mean ambient temperature of the year, in C."""
    season_amplitude_c: TemperatureRise | None = None
    """Half the difference between the warmest and the coldest day's mean, in C."""
    day_amplitude_c: TemperatureRise | None = None
    """Half the difference between the warmest and the coldest hour of a day, in C."""
    self_heating_c: TemperatureRise = 0.0
    """What the cells are warmer than their surroundings, in C; with mean_c it must be given."""
    hottest_day_of_year: DayOfYear | None = None
    """Day of the year at which the season peaks (1 = 1 January)."""
    hottest_hour: float | None = Field(default=None, ge=0, lt=24)
    """Hour of the day at which the day peaks, in h after midnight."""
    temperatures_c: ListOf[Temperature] = ()
    """Instead of mean_c and what goes with it, a histogram: temperatures, in C, that each day runs through in this order."""
    shares: ListOf[Share] = ()
    """Share of the time at each of temperatures_c; they add up to 1."""
    trace_csv: str | None = None
    """Instead, a trace: a CSV file with the columns time_s,temperature_c, relative to the scenario's file; it repeats after its last row."""
    trace_time_s: ListOf[TraceTime] = ()
    """Times of the trace, in s, ascending; filled in from trace_csv. The first is the start of the simulation."""
    trace_temperature_c: ListOf[Temperature] = ()
    """Temperatures of the trace, in C, linear in between; filled in from trace_csv."""
    offset_sigma_c: Offset = 0.0
    """Device-to-device spread: sigma of the normal offset of its temperature, in C, drawn to 0.1 C; 3 is a fair guess."""
    spells_per_year: float = Field(default=0.0, ge=0, le=365)
    """Mean number of heat spells a year, at random (Poisson); two that overlap are one longer spell."""
    spell_rise_c: TemperatureRise = 20.0
    """What a heat spell adds to the temperature, in C."""
    spell_duration_s: Delay = Field(default="30 d", validate_default=True)  # type: ignore[assignment]
    """Duration of a heat spell, in s."""
    spell_first_day_of_year: DayOfYear = 1
    """First day of the year on which heat spells begin."""
    spell_last_day_of_year: DayOfYear = 365
    """Last day of the year on which heat spells begin; before the first: the season spans the new year."""
    spells_of: Literal["device", "group"] = "device"
    """Whether each device has heat spells of its own, or the devices of a group have them together."""
    power_cuts_per_year: float = Field(default=0.0, ge=0, le=1e9)
    """Mean number of power cuts a year, at random (Poisson); a device begins a rewrite that was cut off again."""

    @classmethod
    def needed_keys(cls, given: Mapping[str, Any] | None = None) -> list[str]:
        """Return the keys of the profile that ``given`` begins to describe."""
        given = given or {}
        if "trace_csv" in given:
            return ["trace_csv"]
        for profile in (_HISTOGRAM, _TRACE):
            if any(key in given for key in profile):
                return list(profile)
        return ["mean_c", "season_amplitude_c", "day_amplitude_c", "self_heating_c", *_COSINE[3:]]

    @classmethod
    def sufficient_keys(cls) -> list[list[str]]:
        return [cls.needed_keys(), list(_HISTOGRAM), ["trace_csv"], list(_TRACE)]

    @classmethod
    def merged(cls, preset: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """Another profile than the preset's replaces the whole of it, self-heating included; spread and spells stay."""
        described = [keys for keys in (_HISTOGRAM, _TRACE, _COSINE) if any(key in given for key in keys)]
        if described and not any(key in preset for keys in described for key in keys):
            replaced = {"self_heating_c", *_COSINE, *_HISTOGRAM}
            preset = {key: value for key, value in preset.items() if key not in replaced}
        return {**preset, **given}

    @model_validator(mode="before")
    @classmethod
    def _read_trace(cls, data: Any, info: ValidationInfo) -> Any:
        """Fill in the trace from its file, so that the scenario is complete, and its digest sees every sample."""
        if not isinstance(data, dict) or not isinstance(data.get("trace_csv"), str) or "trace_time_s" in data:
            return data
        path = Path((info.context or {}).get("directory", ".")) / data["trace_csv"]
        try:
            times_s, temperatures_c = read_trace(path)
        except TraceError as error:
            raise mistake(str(error), ("trace_csv",)) from None
        return {**data, "trace_time_s": times_s, "trace_temperature_c": temperatures_c}

    @model_validator(mode="after")
    def _has_one_profile(self) -> Self:
        begun = [keys for keys in _PROFILES if any(self._gives(key) for key in keys)]
        if len(begun) > 1:
            one, other = (next(key for key in keys if self._gives(key)) for keys in begun[:2])
            other = "trace_csv" if other in _TRACE and self.trace_csv else other
            raise mistake(f"cannot stand beside {one}: a site has one profile", (other,), ((one,),))
        missing = [key for key in (begun or _PROFILES)[0] if not self._gives(key)]
        if missing:
            raise mistake(f"has no whole temperature profile; missing: {', '.join(missing)}")
        return self

    def _gives(self, key: str) -> bool:
        return getattr(self, key) not in (None, ())

    @model_validator(mode="after")
    def _histogram_is_whole(self) -> Self:
        if len(self.shares) != len(self.temperatures_c):
            count = f"{len(self.temperatures_c)} (temperatures_c)"
            raise mistake(f"must be as many as {count}", ("shares",), (("temperatures_c",),))
        if self.shares and abs(math.fsum(self.shares) - 1.0) > 1e-9:
            raise mistake(f"must add up to 1, not {math.fsum(self.shares):g}", ("shares",))
        return self

    @model_validator(mode="after")
    def _trace_is_a_function_of_time(self) -> Self:
        key, times_s = ("trace_csv" if self.trace_csv else "trace_time_s",), self.trace_time_s
        if len(times_s) != len(self.trace_temperature_c):
            count = f"{len(times_s)} (trace_time_s)"
            raise mistake(f"must be as many as {count}", ("trace_temperature_c",), (("trace_time_s",),))
        if len(times_s) == 1:
            raise mistake("must have at least two samples", key)
        for number, (before_s, after_s) in enumerate(itertools.pairwise(times_s), start=1):
            if after_s <= before_s:
                problem = f"sample {number + 1} ({after_s:g} s) is not after sample {number} ({before_s:g} s)"
                raise mistake(f"must ascend in time: {problem}", key)
        if times_s and times_s[-1] - times_s[0] < SHORTEST_TRACE_S:
            raise mistake(f"must last at least {SHORTEST_TRACE_S} s", key)
        return self

    @model_validator(mode="after")
    def _has_a_temperature(self) -> Self:
        if self.mean_c is not None:
            coldest_c, key = self.mean_c - self.season_amplitude_c - self.day_amplitude_c, "mean_c"
        elif self.temperatures_c:
            coldest_c, key = min(self.temperatures_c), "temperatures_c"
        else:
            coldest_c, key = min(self.trace_temperature_c), "trace_temperature_c"
        coldest_c += self.self_heating_c - SIGMAS * self.offset_sigma_c
        if coldest_c <= ABSOLUTE_ZERO_C:
            involved = ("season_amplitude_c",), ("day_amplitude_c",), ("self_heating_c",), ("offset_sigma_c",)
            raise mistake(f"would reach {coldest_c:g} C, below absolute zero", (key,), involved)
        return self


class Workload(Table):
    """What the device does all day."""

    reloads_per_day: dict[str, Annotated[float, Field(ge=0, le=S_PER_DAY)]] = {}
    """Layer -> reprogrammings from the backup per day, which wear it; layers not named are resident (0)."""
    banks: dict[str, Annotated[list[str], Field(min_length=2)]] = {}
    """Name -> layers that take turns in the same cells, as [group.NAME.workload.banks]; they must be reloaded equally often."""
    inferences_per_hour: float = Field(default=0.0, ge=0, le=1e9)
    """Mean number of inferences an hour, in service or not; each reads the resident cells."""
    daily_shape: ListOf[Weight] = ()
    """How the inferences spread over the day: a weight for each of its 24 hours, from midnight; default: evenly."""

    @field_validator("reloads_per_day")
    @classmethod
    def _sort(cls, reloads: dict[str, float]) -> dict[str, float]:
        """The order in the file means nothing, so it must not change the scenario's digest."""
        return dict(sorted(reloads.items()))

    @field_validator("daily_shape")
    @classmethod
    def _has_a_weight_for_each_hour(cls, shape: tuple[float, ...]) -> tuple[float, ...]:
        if shape and (len(shape) != HOURS_PER_DAY or not any(shape)):
            raise mistake(f"must be {HOURS_PER_DAY} weights, not all 0")
        return shape
