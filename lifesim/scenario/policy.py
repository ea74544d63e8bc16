"""What a device does with an alarm."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lifesim.scenario.table import Table


class Policy(Table):
    """What a device does with an alarm."""

    while_waiting: Literal["degraded", "offline"] = "degraded"
    """While the cloud retrains: serve with the faults there are (degraded), or not at all (offline)."""
    retire_after: int = Field(default=3, ge=1)
    """The device is retired after so many redeployments in a row that failed (see docs/model.md)."""
