"""What a device does with an alarm."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from lifesim.scenario.table import Table, mistake


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


class Policy(Table):
    """What a device does with an alarm."""

    while_waiting: Literal["degraded", "offline"] = "degraded"
    """While the cloud retrains: serve with the faults there are (degraded), or not at all (offline)."""
    retire_after: int = Field(default=3, ge=1)
    """The device is retired after so many redeployments in a row that failed (see docs/model.md)."""
    diagnosis: Diagnosis = Diagnosis()
    """How it looks for stuck cells."""
