"""The link between a device and the cloud, and lines that links share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from lifesim.scenario.table import Delay, PresetTable, Rate, Span, Table

Joules = Annotated[float, Field(ge=0, le=1e9)]


class Link(PresetTable):
    """The radio link (or wire) between a device and the cloud."""

    kind_of_preset: ClassVar[str] = "link"
    uplink_bps: Rate
    """Rate from the device to the cloud, in bit/s."""
    downlink_bps: Rate
    """Rate from the cloud to the device, in bit/s."""
    latency_s: Delay
    """Delay of a transfer besides its bytes, in s."""
    frame_bytes: int = Field(default=1500, ge=1, le=1_000_000)
    """A message travels in frames that carry at most so many bytes of it."""
    frame_overhead_bytes: int = Field(default=0, ge=0, le=10_000)
    """Bytes on the air that each frame has besides, headers and preamble."""
    frame_loss: float = Field(default=0.0, ge=0, le=0.95)
    """Probability that a frame is lost; it is sent again until it arrives."""
    uplink_duty_cycle: float = Field(default=1.0, ge=1e-6, le=1)
    """Largest share of time in which the device may send: after t it is silent for t (1 / share - 1)."""
    downlink_duty_cycle: float = Field(default=1.0, ge=1e-6, le=1)
    """The same of the cloud's side towards this device."""
    truncation: float = Field(default=0.0, ge=0, le=0.95)
    """Probability that a message arrives cut short. Its checksum tells, and it is asked for again."""
    outages_per_year: float = Field(default=0.0, ge=0, le=100_000)
    """Outages in a year (of time without outage), at random; a transfer pauses until the link is back."""
    outage_mean_s: Span = Field(default="1 h", validate_default=True)  # type: ignore[assignment]
    """Mean duration of an outage, exponentially distributed, in s."""
    uplink_j_per_byte: Joules = 0.0
    """Energy that a byte on the air costs the device to send, in J."""
    downlink_j_per_byte: Joules = 0.0
    """Energy that a byte on the air costs the device to receive, in J."""
    wakeup_j: Joules = 0.0
    """Energy that a message of either direction costs besides, to wake the radio up and to connect, in J."""


class Backhaul(Table):
    """A line that the links of many devices share, such as a gateway's; a rate for each direction."""

    uplink_bps: Rate
    """Rate towards the cloud, in bit/s: transfers share it evenly, each at most at its own link's rate."""
    downlink_bps: Rate
    """Rate towards the devices, in bit/s."""
