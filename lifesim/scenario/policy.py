"""What a device does with an alarm, when it calls the cloud, and what becomes of it at the end."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lifesim.scenario.table import Share, Span, Table, mistake


class OnAlarm(Table):
    """Every confirmed alarm is acted on."""

    kind: Literal["alarm"]


class OnPredictedLoss(Table):
    """
    A confirmed alarm is acted on only if the accuracy that it stands for is worth it. The loss since the baseline is predicted from the
    test's score by a fit made before the run; an alarm below is recorded, and repeats only when the score says more. For schedules that
    test: periodic and readback.
    """

    kind: Literal["predicted_loss"]
    above: Share = 0.005
    """Act if the predicted loss of accuracy exceeds this."""


class AtOnce(Table):
    """Every diagnosis that finds a new stuck cell calls the cloud."""

    kind: Literal["at_once"]


class EveryN(Table):
    """The cloud is called once enough stuck cells are known that its newest redeployment does not account for."""

    kind: Literal["every_n"]
    faults: int = Field(ge=1, le=1_000_000_000)
    """Number of them that calls."""


class Debounced(Table):
    """The cloud is called when no diagnosis has found a new stuck cell for a while."""

    kind: Literal["debounced"]
    quiet_s: Span
    """How long that is, in s."""


class Diagnosis(Table):
    """How a device looks for stuck cells after an alarm: with a March test, which destroys the weights, or with ``read_only``."""

    test: Literal["march_c_minus", "march_x", "mats_plus"] = "march_c_minus"
    """The March test (none with read_only). Each finds all stuck cells; they differ in cost, and in other faults."""
    levels: Literal["extreme", "all"] = "extreme"
    """Levels of two-bit cells that it exercises: lowest and highest, or all four at twice the cost."""
    retries: int = Field(default=0, ge=0, le=100)
    """Cells that fail are tried again, one by one, so many times; only those that fail each time are reported."""
    read_only: bool = False
    """Read all cells and rewrite those that differ from the backup. Finds those stuck where they do harm."""
    refresh: bool = True
    """Whether all cells are rewritten afterwards, which cures drift. After a March test they must be."""

    @model_validator(mode="after")
    def _weights_come_back(self) -> Self:
        if not self.refresh and not self.read_only:
            raise mistake(
                "a March test destroys the weights; needs read_only = true", ("refresh",), (("read_only",),)
            )
        return self


ActWhen = Annotated[OnAlarm | OnPredictedLoss, Field(discriminator="kind")]
Call = Annotated[AtOnce | EveryN | Debounced, Field(discriminator="kind")]


class Policy(Table):
    """What a device does with an alarm, when it calls the cloud, and what becomes of it at the end."""

    act_when: ActWhen = OnAlarm(kind="alarm")
    """Which alarms lead to a diagnosis."""
    diagnosis: Diagnosis = Diagnosis()
    """How it looks for stuck cells."""
    call: Call = AtOnce(kind="at_once")
    """When fault maps are sent to the cloud."""
    while_waiting: Literal["degraded", "offline"] = "degraded"
    """While the cloud retrains: serve with the faults there are (degraded), or not at all (offline)."""
    retry_after_s: Span | None = None
    """After a job that expired, call again so much later, in s; default: after the next diagnosis."""
    redeploy: Literal["all", "changed"] = "changed"
    """A redeployment writes only the cells that it changes, or all: more wear, but it also cures drift."""
    retire_after: int = Field(default=3, ge=1)
    """The device is retired after so many redeployments in a row that failed (see docs/model.md)."""
    replace_after_s: Span | None = None
    """A retired device is replaced by a new one so much later, in s; default: never."""
