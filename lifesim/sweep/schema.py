"""The shape of a sweep file, and how one is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from lifesim.comparison.measures import MEASURES
from lifesim.errors import did_you_mean
from lifesim.scenario.table import ListOf, Table, mistake


class Grid(Table):
    """Every combination of the values."""

    kind: Literal["grid"]


class Listed(Table):
    """The first values of all keys together, then the second values, and so on."""

    kind: Literal["list"]


class LatinHypercube(Table):
    """Points of which each of as many equal slices of every range holds one."""

    kind: Literal["latin_hypercube"]
    points: int = Field(ge=1, le=1_000_000)
    """Number of points."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of the points."""


class SobolSequence(Table):
    """The first points of a scrambled Sobol sequence, which fill all ranges together evenly."""

    kind: Literal["sobol"]
    points: int = Field(ge=1, le=2**20)
    """Number of points, a power of two."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of the scrambling."""

    @model_validator(mode="after")
    def _is_balanced(self) -> Self:
        return _balanced(self, "points", self.points)


class Sensitivity(Table):
    """Points from which first-order and total Sobol indices are estimated (Saltelli 2010): ``base`` times (number of keys + 2) of them."""

    kind: Literal["sensitivity"]
    base: int = Field(ge=2, le=2**20)
    """Number of points of each of the two samples that are mixed, a power of two."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of the samples."""

    @model_validator(mode="after")
    def _is_balanced(self) -> Self:
        return _balanced(self, "base", self.base)


def _balanced(design: Any, key: str, points: int) -> Any:
    if points & (points - 1):
        near = 1 << (points.bit_length() - 1)
        raise mistake(f"must be a power of two, such as {near} or {2 * near}", (key,))
    return design


Design = Annotated[Grid | Listed | LatinHypercube | SobolSequence | Sensitivity, Field(discriminator="kind")]


class SweepFile(Table):
    """What is swept."""

    scenario: str
    """Scenario file, as seen from the sweep file."""
    set: ListOf[str] = ()
    """Changes to it, as --set of `lifesim run` takes them."""
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    """Seed, instead of the scenario's."""
    schedules: str = "scenario"
    """Schedules, as --schedules of `lifesim compare` takes them; "scenario" is the scenario's own."""
    replications: int = Field(default=1, ge=1, le=1_000_000)
    """Fleets that each point is tried on."""
    design: Design = Grid(kind="grid")
    """Which points."""
    vary: dict[str, Any] = Field(min_length=1)
    """Keys of the scenario, each with a list of values, or with a range: { low = ..., high = ..., scale = "linear" or "log" }. A group called * is every group."""
    plot: ListOf[str] = ("in_spec_availability",)
    """Measures of which tornado plots and heat maps are drawn."""

    @model_validator(mode="after")
    def _plots_measures(self) -> Self:
        for measure in self.plot:
            if measure not in MEASURES:
                raise mistake(
                    f"no measure {measure}; allowed: {', '.join(MEASURES)}{did_you_mean(measure, MEASURES)}",
                    ("plot",),
                )
        return self


class Range(Table):
    """The range of a key."""

    low: Any
    """Lowest value, in the key's unit or with one."""
    high: Any
    """Highest value."""
    scale: Literal["linear", "log"] = "linear"
    """Whether equal steps or equal ratios are as likely."""
