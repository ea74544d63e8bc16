"""The clock: integer nanoseconds, and the order of what happens in one instant.

Floats drift: 3,000 added intervals already differ by 1e-5 s. In one instant deliveries and ends come first (SimPy's normal priority),
then the visits of devices, and last of all the cloud hands out work, so that nothing depends on the order in which events were put in.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from lifesim.timeunits import NS_PER_S

Process = Generator[simpy.Event, Any, Any]

NORMAL = 1  # simpy.events.NORMAL
TEST = 2
DISPATCH = 3


def to_ns(seconds: float) -> int:
    """Return whole nanoseconds, rounded to the nearest."""
    return round(seconds * NS_PER_S)


def to_s(nanoseconds: int) -> float:
    """Return seconds."""
    return nanoseconds / NS_PER_S


class Moment(simpy.Event):
    """An event that happens after ``delay_ns``: a simpy.Timeout with a priority."""

    def __init__(self, env: simpy.Environment, delay_ns: int, priority: int):
        self.env = env
        self.callbacks = []
        self._ok, self._value = True, None
        env.schedule(self, priority, delay_ns)


def wait(env: simpy.Environment, delay_ns: int, priority: int = NORMAL) -> Moment:
    """Return an event that happens after ``delay_ns``, in its place among the events of that instant."""
    return Moment(env, delay_ns, priority)


def run(process: Process) -> None:
    """Run a process for whose end nobody waits, from now on: a simpy.Process without the events with which one begins and ends."""

    def go_on(_: simpy.Event | None) -> None:
        event = next(process, None)
        if event is not None:
            event.callbacks.append(go_on)

    go_on(None)
