"""The radio link between a device and the cloud."""

from __future__ import annotations

from typing import ClassVar

from lifesim.scenario.table import Delay, PresetTable, Rate


class Link(PresetTable):
    """The radio link between a device and the cloud."""

    kind_of_preset: ClassVar[str] = "link"
    uplink_bps: Rate
    """Rate from the device to the cloud, in bit/s."""
    downlink_bps: Rate
    """Rate from the cloud to the device, in bit/s."""
    latency_s: Delay
    """Delay of a transfer besides its bytes, in s."""
