"""What a device does with an alarm, when it calls the cloud, and what becomes of it at the end."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from lifesim.scenario.cloud import RetrainingKind
from lifesim.scenario.table import ListOf, Share, Span, Table, mistake


class OnAlarm(Table):
    """Every confirmed alarm is acted on."""

    kind: Literal["alarm"]


class OnPredictedLoss(Table):
    """
    A confirmed alarm is acted on only if the accuracy that it stands for is worth it. The loss since the baseline is predicted from the
    test's score by a fit made before the run; an alarm below is recorded, and repeats only when the score says more. For schedules whose
    tests have a score: periodic, adaptive, opportunistic, hazard, readback.
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


Rung = Literal["nearest_code", "permutation", "retrain"]
ActWhen = Annotated[OnAlarm | OnPredictedLoss, Field(discriminator="kind")]
Call = Annotated[AtOnce | EveryN | Debounced, Field(discriminator="kind")]


class Policy(Table):
    """What a device does with an alarm, when it calls the cloud, and what becomes of it at the end."""

    act_when: ActWhen = OnAlarm(kind="alarm")
    """Which alarms lead to a diagnosis."""
    diagnosis: Diagnosis = Diagnosis()
    """How it looks for stuck cells."""
    ladder: ListOf[Rung] = ("retrain",)
    """What is done about stuck cells, after a refresh and before retirement, in this order: write the nearest code that they allow
    (nearest_code), place hidden units where they do least harm (permutation, which rewrites all cells), call the cloud (retrain). RRAMedy knows only
    the last."""
    compensation: bool = False
    """Whether other weights make up for the errors that nearest codes leave, for ladders with nearest_code. Devices then keep how the inputs of each
    layer go together."""
    climb_above: Share = 0.005
    """From one rung to the next: when a test shows as much as any device simulated beforehand showed that had lost more accuracy than this."""
    retraining: RetrainingKind = "mask"
    """What the cloud makes of weights with stuck cells at every step: their stuck bits take their stuck value (mask, RRAMedy's Eq. 6); the same, but
    the next step starts from the weights before that (straight_through); or the nearest code that they allow is taken (nearest_code), as the
    device will. With the last it moves only weights that were agreed on at deployment, and sends steps of four bits instead of codes and their positions."""
    test_pictures: Literal["new", "kept"] = "new"
    """Whether a redeployment brings test pictures made for it, or only what those from deployment should show now."""
    fault_maps: Literal["whole", "incremental"] = "whole"
    """Whether a map is sent whole, or as what is new since the last that the cloud has acknowledged."""
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

    @model_validator(mode="after")
    def _rungs_in_order(self) -> Self:
        order = get_args(Rung)
        places = [order.index(rung) for rung in self.ladder]
        if places != sorted(set(places)) or "retrain" not in self.ladder:
            raise mistake(
                f"must end with retrain, each rung once, in this order: {', '.join(order)}", ("ladder",)
            )
        if "permutation" in self.ladder and "nearest_code" not in self.ladder:
            raise mistake("permutation places units for the nearest codes; needs nearest_code", ("ladder",))
        if self.compensation and "nearest_code" not in self.ladder:
            problem = "makes up for what nearest codes leave; needs nearest_code in the ladder"
            raise mistake(problem, ("compensation",), (("ladder",),))
        if self.retraining == "nearest_code" and "nearest_code" not in self.ladder:
            problem = "nearest_code needs a device that writes nearest codes: nearest_code in the ladder"
            raise mistake(problem, ("retraining",), (("ladder",),))
        return self
