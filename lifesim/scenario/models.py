"""The shape of a scenario file, as frozen pydantic models: what may stand in it, in which unit and range.

Names of attributes are the keys of the file. A value checked here is complete: presets are filled in,
quantities are floats in the unit that the key ends with.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from lifesim.errors import did_you_mean
from lifesim.scenario.cloud import Cloud
from lifesim.scenario.link import Backhaul, Link
from lifesim.scenario.network import Network
from lifesim.scenario.policy import Diagnosis, Policy
from lifesim.scenario.presets import load_preset, preset_names
from lifesim.scenario.prices import Prices
from lifesim.scenario.schedule import SCORED, Aet, Schedule
from lifesim.scenario.site import Site, Workload
from lifesim.scenario.table import Commissioning, Horizon, Interval, Share, Table, mistake
from lifesim.scenario.technology import Technology
from lifesim.scenario.units import readable_duration

MOST_REPORTS = 100_000
"""A shorter report interval is taken for a forgotten unit: it would fill the disk."""

DIRECTORY_NAME_RULE = "up to 100 letters, digits, '.', '_', '-', the first a letter or digit"
GROUP_NAME_RULE = "up to 100 letters, digits, '_', '-'"
_DIRECTORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _as_policy_set(given: Any) -> Any:
    names = preset_names("policy_set")
    if given is not None and given not in names:
        raise mistake(f"no such policy set; allowed: {', '.join(names)}{did_you_mean(str(given), names)}")
    return given


PolicySet = Annotated[str, BeforeValidator(_as_policy_set)]


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
    backhaul: str | None = None
    """Name of the [backhaul.NAME] that the group's links share; without it, each has its own way."""
    commissioning_s: Commissioning = 0.0
    """Devices start one after another, at random over so much time from the start of the simulation on, in s."""
    policy_set: PolicySet | None = None
    """Named set of detection and recovery policies: values for keys of aet and policy that are not given."""
    workload: Workload = Workload()
    """What the device does all day: which layers are reloaded how often, how many inferences it is asked for."""
    aet: Aet = Aet()
    """Settings of adversarial example testing."""
    schedule: Schedule
    """When a device tests or refreshes itself, and with what."""
    policy: Policy = Policy()
    """What is done with an alarm."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_policy_set(cls, data: Any) -> Any:
        name = data.get("policy_set") if isinstance(data, dict) else None
        if not isinstance(name, str) or name not in preset_names("policy_set"):
            return data
        filled = dict(data)
        for dotted, value in load_preset("policy_set", name).values.items():
            table, key = dotted.split(".")
            given = filled.get(table, {})
            if isinstance(given, dict):
                filled[table] = {key: value} | given
        return filled

    @model_validator(mode="after")
    def _alarms_have_scores(self) -> Self:
        kind = self.schedule.kind
        scored = kind in SCORED and getattr(self.schedule, "test", "aet") == "aet"
        if self.policy.act_when.kind == "predicted_loss" and not scored:
            raise mistake(
                f"schedule {kind} has no test to predict a loss from; allowed with it: {', '.join(SCORED)}",
                ("policy", "act_when"),
                involves=(("schedule",),),
            )
        return self

    @model_validator(mode="after")
    def _trends_have_a_measure(self) -> Self:
        if self.schedule.kind == "adaptive":
            for key, given, problem in (
                (
                    "criterion",
                    "sdc1",
                    "a top class changes or does not; the schedule adaptive needs a measure that has a trend, such as sdc3",
                ),
                (
                    "sequential",
                    "cusum",
                    "the schedule adaptive has a trend of its own; each test must decide alone",
                ),
            ):
                if getattr(self.aet, key) == given:
                    raise mistake(problem, ("aet", key), involves=(("schedule",),))
        return self

    @property
    def diagnosis(self) -> Diagnosis:
        """How the devices look for stuck cells: as the policy says, unless the schedule's own diagnosis is another."""
        if self.schedule.kind == "march_scrub" and self.schedule.read_only:
            return self.policy.diagnosis.model_copy(update={"read_only": True, "refresh": False})
        return self.policy.diagnosis

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        layers = self.network.layer_names()
        if layers is not None:  # a module is not imported only to check its layers
            for key, problem in self.unknown_layers(layers):
                raise mistake(problem, key, involves=(("network",),))
        return self

    def unknown_layers(self, layers: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Give the keys of the workload that name layers which are not among ``layers``, and what to say about each."""
        named = [(("workload", "reloads_per_day", name), name) for name in self.workload.reloads_per_day]
        for bank, names in self.workload.banks.items():
            named += [(("workload", "banks", bank), name) for name in names]
        for key, name in named:
            if name not in layers:
                allowed = f"{', '.join(layers)}{did_you_mean(name, layers)}"
                yield key, f"network {self.network.name} has no layer {name}; allowed: {allowed}"

    @model_validator(mode="after")
    def _banks_are_shared_fairly(self) -> Self:
        taken: dict[str, str] = {}
        for bank, names in self.workload.banks.items():
            for name in names:
                if name in taken:
                    raise mistake(f"{name} is in {taken[name]} already", ("workload", "banks", bank))
                taken[name] = bank
            often = {self.workload.reloads_per_day.get(name, 0.0) for name in names}
            if len(often) > 1 or 0.0 in often:
                raise mistake(
                    "layers that take turns in the same cells must be reloaded, equally often",
                    ("workload", "banks", bank),
                    involves=(("workload", "reloads_per_day"),),
                )
        return self


class Spec(Table):
    """When a device counts as in spec."""

    tolerance: Share = 0.01
    """A device is in spec if its accuracy is at most so much below that of its network without faults."""
    resolution_s: Interval = Field(default="1 d", validate_default=True)  # type: ignore[assignment]
    """Time to which the moment of falling out of spec is found, in s."""
    confidence: float = Field(default=1.0, ge=0.5, le=1)
    """Below 1, such as 0.999: a device is judged from as many pictures as make the verdict true with this probability; 1: from all of them."""


class Regions(Table):
    """A fleet of fleets: regions that each have all the groups, a cloud and backhauls of their own, and other silicon and weather."""

    count: int = Field(default=1, ge=1, le=1_000_000)
    """Number of regions: so many times the devices of the groups, the workers of the cloud and the lines of the backhauls."""
    first: int = Field(default=0, ge=0, le=2**31 - 1)
    """Number of the first of them: with a count of 1 one region of a larger fleet alone, as it is there."""


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
    replication: int = Field(default=0, ge=0, le=2**63 - 1)
    """Number of the draw: another is other silicon and other weather for the same networks, as in `lifesim compare`."""
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
    backhaul: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)], Backhaul] = {}
    """Lines that the links of groups share, by name."""
    cloud: Cloud = Cloud()
    """The cloud that retrains."""
    regions: Regions = Regions()
    """How many such fleets there are."""
    prices: Prices | None = None
    """What things cost whoever runs the fleet."""

    @model_validator(mode="after")
    def _reports_fit(self) -> Self:
        key, involved = ("report_interval_s",), (("horizon_s",),)
        if self.report_interval_s > self.horizon_s:
            raise mistake(f"must not exceed horizon_s ({readable_duration(self.horizon_s)})", key, involved)
        if self.horizon_s / self.report_interval_s > MOST_REPORTS:
            least = readable_duration(self.horizon_s / MOST_REPORTS)
            raise mistake(f"would give over {MOST_REPORTS} reports; must be from {least} up", key, involved)
        return self

    @model_validator(mode="after")
    def _devices_start(self) -> Self:
        for name, group in self.group.items():
            if group.commissioning_s > self.horizon_s:
                key, involved = ("group", name, "commissioning_s"), (("horizon_s",),)
                raise mistake(
                    f"must not exceed horizon_s ({readable_duration(self.horizon_s)})", key, involved
                )
        return self

    @model_validator(mode="after")
    def _backhauls_exist(self) -> Self:
        for name, group in self.group.items():
            if group.backhaul is not None and group.backhaul not in self.backhaul:
                there = f"there: {', '.join(self.backhaul)}" if self.backhaul else "there is none"
                near = did_you_mean(group.backhaul, self.backhaul)
                raise mistake(f"no such [backhaul.NAME]; {there}{near}", ("group", name, "backhaul"))
        return self
