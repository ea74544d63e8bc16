"""What things cost whoever runs the fleet, in their own money."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lifesim.scenario.table import Table

Price = Annotated[float, Field(ge=0, le=1e12)]


class Prices(Table):
    """What things cost, in one currency; what is not given costs nothing. With it, comparisons have a measure `cost`."""

    currency: str = Field(default="EUR", min_length=1, max_length=20)
    """Name of the currency, for headings."""
    per_test: Price = 0.0
    """A visit that reads test pictures or the array."""
    per_kwh: Price = 0.0
    """A kilowatt-hour of the energy of all causes."""
    per_mb: Price = 0.0
    """A megabyte (1e6 bytes) sent, in either direction."""
    per_job: Price = 0.0
    """A retraining asked of the cloud."""
    per_silent_h: Price = 0.0
    """An hour of a device out of spec that nobody knows of."""
    per_known_h: Price = 0.0
    """An hour of a device out of spec while an alarm is unresolved."""
    per_down_h: Price = 0.0
    """An hour of a device that does not serve: testing, under repair, offline, retired."""
    per_wrong_inference: Price = 0.0
    """An inference answered wrongly beyond what the network without faults gets wrong."""
    per_device: Price = 0.0
    """A device that is retired: its replacement, and who goes there."""
