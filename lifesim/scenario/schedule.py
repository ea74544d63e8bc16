"""What a device tests itself with, and when."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from lifesim.scenario.network import is_dotted
from lifesim.scenario.table import Interval, Table, mistake
from lifesim.scenario.units import readable_duration


class Aet(Table):
    """Adversarial example testing: what is read, what counts as an alarm, how it is confirmed."""

    criterion: Literal["sdc3", "sdc1", "max_dp", "chi_square", "mahalanobis", "mahalanobis_max"] = "sdc3"
    """A picture deviates if its top class changes (sdc1), or that class's confidence by 0.03 (sdc3). The others are one number for all pictures, with a
    threshold from fault-free reads: the largest change of any confidence (max_dp); the length of the change of all logits in units of the
    noise of each (chi_square), or of their joint noise (mahalanobis; mahalanobis_max of the picture with the largest)."""
    pictures: int = Field(default=16, ge=1, le=500)
    """Number of test pictures stored on the device."""
    selection: Literal["random", "clean", "min_margin", "boundary", "optimised", "greedy"] = "random"
    """How they are chosen: at random and made adversarial (random, RRAMedy's rule), at random (clean), near the decision boundary (min_margin), moved
    onto it (boundary), changed until weights show most (optimised), or to cover simulated faults (greedy)."""
    reads: int = Field(default=1, ge=1, le=64)
    """Reads that a test averages; more than 1 with calibrated criteria only."""
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5)
    """Calibrated criteria: false alarms of a test of a device without faults, at most; of a device in a year with a sequential test."""
    sequential: Literal["none", "cusum"] = "none"
    """Calibrated criteria: whether each test decides alone, or the statistics of successive tests are added up (cusum; without re-reads)."""
    noise: Literal["network", "device"] = "network"
    """Calibrated criteria: whose noise the change of logits is measured by. That of fault-free reads of the network, with covariances that are shrunk
    (network); or the one worked out for the codes that the device is known to hold (device; max_dp, which has no unit of noise: for the network)."""
    temperature_aware: bool = False
    """Calibrated criteria: whether what a change of the cells' temperature does to the logits is left out of account."""
    vote: int = Field(default=1, ge=1)
    """A read alarms if at least so many pictures deviate from the baseline."""
    rereads: int = Field(default=2, ge=0, le=100)
    """An alarm is confirmed if it repeats in each of so many further reads."""
    baseline_reads: int = Field(default=4, ge=1, le=1000)
    """Number of reads averaged into a baseline."""
    baseline: Literal["read", "known"] = "read"
    """What tests are compared with: what the device has read after its last programming (read); or what its pictures should show, worked out for the stuck
    cells of its factory test or of its newest redeployment, and read only while it knows of others (known)."""

    @model_validator(mode="after")
    def _vote_is_possible(self) -> Self:
        if self.vote > self.pictures:
            raise mistake(
                f"no more than the {self.pictures} pictures (aet.pictures) can deviate",
                ("vote",),
                involves=(("pictures",),),
            )
        return self

    @model_validator(mode="after")
    def _calibrated_keys_have_a_calibration(self) -> Self:
        if self.criterion in ("sdc1", "sdc3"):
            plain = {"reads": 1, "sequential": "none", "temperature_aware": False}
            for key, value in plain.items():
                if getattr(self, key) != value:
                    problem = f"{self.criterion} decides by one read and a fixed threshold; needs a calibrated criterion, such as mahalanobis"
                    raise mistake(problem, (key,), (("criterion",),))
        elif self.vote != 1:
            raise mistake(f"{self.criterion} judges all pictures together", ("vote",), (("criterion",),))
        return self


def _not_below_interval(given_s: float, key: str, interval_s: float) -> None:
    if given_s < interval_s:
        problem = f"must not be below interval_s ({readable_duration(interval_s)})"
        raise mistake(problem, (key,), (("interval_s",),))


class Never(Table):
    """No test, ever: what happens to a fleet that nobody looks after."""

    kind: Literal["never"]


class Periodic(Table):
    """Adversarial example testing at a fixed interval."""

    kind: Literal["periodic"]
    interval_s: Interval
    """Time between tests, in s."""


class Adaptive(Table):
    """
    Adversarial example testing, each test when the trend of those since the baseline is predicted to reach the alarm; never later than twice the time since the
    baseline, so that intervals double while nothing moves.
    """

    kind: Literal["adaptive"]
    interval_s: Interval
    """Least time between tests, and time to the first after a baseline, in s."""
    longest_s: Interval = Field(default="90 d", validate_default=True)  # type: ignore[assignment]
    """Longest time between tests, in s."""

    @model_validator(mode="after")
    def _intervals_in_order(self) -> Self:
        _not_below_interval(self.longest_s, "longest_s", self.interval_s)
        return self


class Opportunistic(Table):
    """
    Short tests, of adversarial examples, evenly spread over the idle hours of the workload's day, and a rare full test for which the device
    is taken out of service: the diagnosis, and what follows it. As data centres do it.
    """

    kind: Literal["opportunistic"]
    interval_s: Interval
    """Mean time between visits, in s."""
    idle_hours: int = Field(default=6, ge=1, le=24)
    """Number of hours of the day, those in which workload.daily_shape is lowest, in which the visits are."""
    full_interval_s: Interval = Field(default="180 d", validate_default=True)  # type: ignore[assignment]
    """Time between full tests, in s; each takes the place of a short one."""

    @model_validator(mode="after")
    def _full_tests_are_rare(self) -> Self:
        _not_below_interval(self.full_interval_s, "full_interval_s", self.interval_s)
        return self


class Hazard(Table):
    """
    A test whenever so many new faulty cells are expected since the last one, from the device's programming operations and the temperatures that it has
    seen: rarely while it is new and cool, often where cells wear out. March tests wear, too, and count.
    """

    kind: Literal["hazard"]
    interval_s: Interval
    """Least time between tests, in s."""
    longest_s: Interval = Field(default="1 y", validate_default=True)  # type: ignore[assignment]
    """Longest time between tests, in s."""
    faults: float = Field(gt=0, le=1e9)
    """Expected number of new faulty cells between two tests, of a nominal device."""
    test: Literal["aet", "march"] = "aet"
    """What a test is: adversarial examples, or the diagnosis and what follows it."""

    @model_validator(mode="after")
    def _intervals_in_order(self) -> Self:
        _not_below_interval(self.longest_s, "longest_s", self.interval_s)
        return self


class Sentinel(Table):
    """
    Sums of cells, watched at a short interval: each crossbar is read with all its rows driven, and a sum that is off what it was at the baseline by more than a
    tolerance calls for the diagnosis. Cheap and coarse: it sees some faulty cells together, whether they matter or not.
    """

    kind: Literal["sentinel"]
    interval_s: Interval
    """Time between checks, in s."""
    sums: Literal["column", "crossbar"] = "column"
    """The current of each column of a crossbar (a checksum), or of the whole crossbar (its power)."""
    noise_levels: float | None = Field(default=None, ge=0, le=1e6)
    """Standard deviation of a reading of one sum, in levels of a cell; default: 0.5 of a column, 16 of a crossbar (0.1 % of its cells)."""
    tolerance_levels: float | None = Field(default=None, gt=0, le=1e6)
    """A sum that is off by more, in levels of a cell, calls for the diagnosis; default: 7 times noise_levels."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if data.get("noise_levels") is None:
            data["noise_levels"] = 16.0 if data.get("sums") == "crossbar" else 0.5
        noise = data["noise_levels"]
        if data.get("tolerance_levels") is None and isinstance(noise, int | float) and noise > 0:
            data["tolerance_levels"] = 7.0 * noise
        return data

    @model_validator(mode="after")
    def _has_a_tolerance(self) -> Self:
        if self.tolerance_levels is None:
            raise mistake(
                "must be given where there is no noise", ("tolerance_levels",), (("noise_levels",),)
            )
        return self


class MarchScrub(Table):
    """A diagnosis of the whole array at a fixed interval, noticed or not: a destructive March test, then a restore from the backup; or read-only."""

    kind: Literal["march_scrub"]
    interval_s: Interval
    """Time between diagnoses, in s."""
    read_only: bool = False
    """Read all cells and rewrite those that differ from the backup, and no others, whatever policy.diagnosis says of it."""


class Readback(Table):
    """A non-destructive read of the whole array at a fixed interval, compared with the backup."""

    kind: Literal["readback"]
    interval_s: Interval
    """Time between reads, in s."""
    alarm_cells: int = Field(default=1, ge=1)
    """A read alarms if at least so many cells are wrong that were not wrong at the baseline."""


class ReloadVerify(Table):
    """
    A look, at a fixed interval, at what write-verify gave up on at the last reload of each bank, which costs nothing: the stuck cells that do harm
    in banks that are reloaded. Resident layers are not seen. The cells are known then without a diagnosis.
    """

    kind: Literal["reload_verify"]
    interval_s: Interval
    """Time between looks, in s."""
    alarm_cells: int = Field(default=1, ge=1)
    """An alarm is raised if at least so many cells are named that were not known."""


class Oracle(Table):
    """
    The bound: the only schedule that knows the truth. An alarm, for nothing, within spec.resolution_s of leaving the spec, as it is measured (at the report times and
    around interventions). No schedule of tests has less silent time.
    """

    kind: Literal["oracle"]


class BlindRefresh(Table):
    """Reprogramming from the backup at a fixed interval, without any test."""

    kind: Literal["blind_refresh"]
    interval_s: Interval
    """Time between refreshes, in s."""


def _as_class(given: Any) -> Any:
    if not isinstance(given, str) or not is_dotted(given):
        raise mistake('must be a dotted name such as "package.module:Class"')
    return given


def _in_order(options: dict[str, Any]) -> dict[str, Any]:
    """The order in the file means nothing, so it must not change the scenario's digest."""
    return dict(sorted(options.items()))


Custom = create_model(
    "Custom",
    __base__=Table,
    __doc__="""A schedule of one's own: a class that is what lifesim.detection.schedules.Schedule says (docs/schedules.md has an example).""",
    kind=(Literal["custom"], ...),
    # A keyword cannot stand in the body of a class.
    **{
        "class": (
            Annotated[str, BeforeValidator(_as_class)],
            Field(
                description="""Dotted name "package.module:Class". The module is imported when the fleet is built, from the installed packages or the working directory."""
            ),
        )
    },
    interval_s=(
        Interval | None,
        Field(default=None, description="""Handed to the class as interval_ns; time between visits, in s."""),
    ),
    options=(
        Annotated[dict[str, Any], AfterValidator(_in_order)],
        Field(default={}, description="""Handed to the class as further keywords."""),
    ),
)

Schedule = Annotated[
    Never
    | Periodic
    | Adaptive
    | Opportunistic
    | Hazard
    | Readback
    | ReloadVerify
    | Sentinel
    | MarchScrub
    | BlindRefresh
    | Oracle
    | Custom,
    Field(discriminator="kind"),
]

SCORED = ("periodic", "adaptive", "opportunistic", "hazard", "readback")
"""Kinds of schedules whose tests have a score; hazard with test = "aet"."""
