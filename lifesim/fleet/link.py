"""The link of one device: a rate each way, a latency, and bytes that are counted when they arrive."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction

import simpy

from lifesim.fleet.clock import NS_PER_S, to_ns


class Direction(enum.Enum):
    """Seen from the device."""

    UP = "up"
    DOWN = "down"


@dataclass(slots=True)
class Traffic:
    """Bytes of one direction; after :meth:`Link.close`, sent = received + lost."""

    sent: int = 0
    received: int = 0
    lost: int = 0


class Link:
    """A full-duplex link. Transfers of one direction go one after the other; the latency of one overlaps the next.

    Parameters
    ----------
    uplink_bps, downlink_bps : bits per second, > 0
    latency_s : seconds from a byte's leaving to its arriving, >= 0
    """

    def __init__(
        self, env: simpy.Environment, uplink_bps: float, downlink_bps: float, latency_s: float
    ) -> None:
        self.traffic = {direction: Traffic() for direction in Direction}
        self._env = env
        self._ns_per_byte = {
            Direction.UP: Fraction(8 * NS_PER_S) / Fraction(uplink_bps),
            Direction.DOWN: Fraction(8 * NS_PER_S) / Fraction(downlink_bps),
        }
        self._latency_ns = to_ns(latency_s)
        self._free_ns = dict.fromkeys(Direction, 0)
        self._under_way: dict[simpy.Event, tuple[Direction, int]] = {}

    def transfer_ns(self, n_bytes: int, direction: Direction) -> int:
        """Return how long ``n_bytes`` take on an idle link: latency + 8 * bytes / rate, rounded up."""
        return self._latency_ns + self._sending_ns(n_bytes, direction)

    def send(self, n_bytes: int, direction: Direction) -> simpy.Event:
        """Send ``n_bytes`` as soon as this direction is free; the returned event happens when the last byte arrives."""
        self._free_ns[direction] = max(self._env.now, self._free_ns[direction]) + self._sending_ns(
            n_bytes, direction
        )
        arrival = self._env.timeout(self._free_ns[direction] + self._latency_ns - self._env.now)
        self.traffic[direction].sent += n_bytes
        self._under_way[arrival] = (direction, n_bytes)
        arrival.callbacks.append(self._arrived)
        return arrival

    def close(self) -> None:
        """End the account, at the horizon: whatever is still under way is lost."""
        for direction, n_bytes in self._under_way.values():
            self.traffic[direction].lost += n_bytes
        self._under_way.clear()

    def _sending_ns(self, n_bytes: int, direction: Direction) -> int:
        return -(-n_bytes * self._ns_per_byte[direction] // 1)

    def _arrived(self, arrival: simpy.Event) -> None:
        direction, n_bytes = self._under_way.pop(arrival)
        self.traffic[direction].received += n_bytes
