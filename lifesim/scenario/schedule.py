"""What a device tests itself with, and when."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lifesim.scenario.table import Interval, Table, mistake


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
