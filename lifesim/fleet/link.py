"""The link of one device: a rate each way, a latency, frames that get lost, pauses, and bytes that are counted when they arrive."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import simpy

from lifesim.fleet.backhaul import Backhaul
from lifesim.fleet.clock import to_ns
from lifesim.fleet.framing import Framing
from lifesim.fleet.outages import Outages
from lifesim.streams import first_uniform, stream_key
from lifesim.timeunits import NS_PER_S


class Direction(enum.Enum):
    """Seen from the device."""

    UP = "up"
    DOWN = "down"


@dataclass(slots=True)
class Traffic:
    """Bytes of the messages of one direction; after :meth:`Link.close`, sent = received + lost. A message cut short is lost.

    ``on_air`` counts what was sent for the messages that came through: with overhead and with the frames that were sent again.
    """

    sent: int = 0
    received: int = 0
    lost: int = 0
    on_air: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What arrives: the first ``n_bytes`` of the message (all, unless it was cut short), for which ``on_air`` bytes were sent."""

    n_bytes: int
    on_air: int


@dataclass(slots=True)
class _Lane:
    """One direction: the time a byte takes, the share of time it may be sent in, and when the next message may begin."""

    ns_per_byte: Fraction
    rest: Fraction  # time of silence for a time of sending
    backhaul: Backhaul | None
    through: simpy.Event | None = None  # happens when the last message put on has left
    free_ns: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    ordinal: int = 0


class Link:
    """A full-duplex link. Transfers of one direction go one after the other; the latency of one overlaps the next.

    Parameters
    ----------
    uplink_bps, downlink_bps : bits per second, > 0
    latency_s : seconds from a byte's leaving to its arriving, >= 0
    framing : what a message becomes on the air
    duty_cycle : share of the time in which each direction may be sent in: after sending a frame for t, it is silent for t (1/duty - 1).
        That silence, too, passes only while the link is up.
    outages : when the link is down, both ways; what is under way pauses. The latency passes nevertheless.
    truncation : probability that a message arrives cut short, < 1
    backhaul : the line that each direction shares with others. Only the message's own bytes go through it, at most at the pace at which the
        link brings them.
    key : of the streams that say which frames of which message get lost, and which messages are cut short
    """

    def __init__(
        self,
        env: simpy.Environment,
        uplink_bps: float,
        downlink_bps: float,
        latency_s: float,
        *,
        framing: Framing | None = None,
        duty_cycle: Mapping[Direction, float] | None = None,
        outages: Outages | None = None,
        truncation: float = 0.0,
        backhaul: Mapping[Direction, Backhaul] | None = None,
        key: int = 0,
    ) -> None:
        self._env = env
        self._latency_ns = to_ns(latency_s)
        self._framing = framing or Framing()
        self._outages = outages or Outages()
        self._truncation = truncation
        self._key = key
        self._lanes = {
            direction: _Lane(
                Fraction(8 * NS_PER_S) / Fraction(rate_bps),
                1 / Fraction(str((duty_cycle or {}).get(direction, 1))) - 1,  # 0.01 is a hundredth
                (backhaul or {}).get(direction),
            )
            for direction, rate_bps in ((Direction.UP, uplink_bps), (Direction.DOWN, downlink_bps))
        }

    @property
    def traffic(self) -> dict[Direction, Traffic]:
        """The account of each direction."""
        return {direction: lane.traffic for direction, lane in self._lanes.items()}

    def send(self, n_bytes: int, direction: Direction) -> simpy.Event:
        """Send ``n_bytes`` as soon as this direction is free; the event returned happens, with the Delivery, when the last byte arrives."""
        lane = self._lanes[direction]
        lane.traffic.sent += n_bytes
        key = stream_key(self._key, direction.value, lane.ordinal)
        lane.ordinal += 1
        arrival, through, before = self._env.event(), self._env.event(), lane.through
        lane.through = through
        self._env.process(self._transfer(n_bytes, lane, key, before, through, arrival))
        return arrival

    def close(self) -> None:
        """End the account, at the horizon: whatever is still under way is lost."""
        for lane in self._lanes.values():
            lane.traffic.lost = lane.traffic.sent - lane.traffic.received

    def _transfer(
        self,
        n_bytes: int,
        lane: _Lane,
        key: int,
        before: simpy.Event | None,
        through: simpy.Event,
        arrival: simpy.Event,
    ):
        if before is not None:
            yield before
        if lane.free_ns > self._env.now:
            yield self._env.timeout(lane.free_ns - self._env.now)
        on_air = self._framing.on_air(n_bytes, key)
        silent_bytes = (on_air.n_bytes - on_air.last_bytes) * lane.rest
        yield from self._carry(
            n_bytes, _up((on_air.n_bytes + silent_bytes) * lane.ns_per_byte), lane.backhaul
        )
        rest_ns = _up(on_air.last_bytes * lane.rest * lane.ns_per_byte)
        lane.free_ns = self._outages.done_by(self._env.now, rest_ns)
        through.succeed()
        yield self._env.timeout(self._latency_ns)
        delivery = Delivery(self._arriving(n_bytes, key), on_air.n_bytes)
        lane.traffic.received += n_bytes if delivery.n_bytes == n_bytes else 0
        lane.traffic.on_air += on_air.n_bytes
        lane.traffic.messages += 1
        arrival.succeed(delivery)

    def _carry(self, n_bytes: int, alone_ns: int, backhaul: Backhaul | None):
        """Wait for the last byte to leave, which takes ``alone_ns`` of the time in which the link is up, or longer if others share the way."""
        env = self._env
        if backhaul is None:
            yield env.timeout(self._outages.done_by(env.now, alone_ns) - env.now)
            return
        yield env.timeout(self._outages.up_from(env.now) - env.now)
        flow = backhaul.join(n_bytes, alone_ns)
        while outage := self._outages.next(env.now):
            start_ns, end_ns = outage
            yield flow.done | env.timeout(start_ns - env.now)
            if not flow.done.triggered:
                backhaul.pause(flow)
            if flow.done.triggered:
                return
            yield env.timeout(end_ns - env.now)
            backhaul.resume(flow)
        yield flow.done

    def _arriving(self, n_bytes: int, key: int) -> int:
        """Return how much of a message arrives."""
        if not self._truncation:
            return n_bytes
        u = first_uniform(stream_key(key, "truncation"))
        return int(n_bytes * (u / self._truncation)) if u < self._truncation else n_bytes


def _up(ns: Fraction) -> int:
    return -(-ns // 1)
