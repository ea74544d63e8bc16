"""A line that many links share: egalitarian processor sharing, each transfer at most as fast as its own link.

Every transfer under way gets the same rate, and what a slow link leaves over goes to the others (max-min fairness). At any arrival or
departure the rates are worked out anew, and only the earliest finish is scheduled.

All in integers, so that nothing depends on the order in which SimPy tells of the events of one instant: rates are whole pico-bits per
second, and a transfer's progress is counted in parts of 2**-64 of the time that it would take on its own link. A transfer that has the
line to itself takes exactly as long as on its link; else the speed is rounded down, by less than 1e-9 of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import simpy

from lifesim.timeunits import NS_PER_S

_FULL_SPEED = 1 << 64
_RATE_UNITS = 10**12  # per bit/s


@dataclass(slots=True, eq=False)
class Flow:
    """One transfer: ``cap`` is the rate of its own link; ``left`` of its time there is to come. ``done`` happens at its end."""

    cap: int
    left: int
    done: simpy.Event
    speed: int = 0


class Backhaul:
    """One direction of a shared line.

    Parameters
    ----------
    capacity_bps : bits per second, all transfers together
    """

    def __init__(self, env: simpy.Environment, capacity_bps: float) -> None:
        self._env = env
        self._capacity = int(capacity_bps * _RATE_UNITS)
        self._flows: dict[Flow, None] = {}
        self._since_ns = env.now  # progress is booked until then
        self._timer: simpy.Event | None = None

    def join(self, n_bytes: int, alone_ns: int) -> Flow:
        """Begin to carry ``n_bytes`` that take ``alone_ns`` on their own link."""
        cap = 8 * n_bytes * NS_PER_S * _RATE_UNITS // max(1, alone_ns)
        flow = Flow(cap, alone_ns * _FULL_SPEED, self._env.event())
        if flow.left:
            self.resume(flow)
        else:
            flow.done.succeed()
        return flow

    def pause(self, flow: Flow) -> None:
        """Stop carrying a transfer, because its own link is down. It may just have come to its end: then it is done."""
        self._book()
        self._flows.pop(flow, None)
        self._plan()

    def resume(self, flow: Flow) -> None:
        """Go on with a transfer."""
        self._book()
        self._flows[flow] = None
        self._plan()

    @property
    def under_way(self) -> int:
        """Transfers that share the line now."""
        return len(self._flows)

    def _book(self) -> None:
        """Book the progress since the last time, and end what has come to its end."""
        elapsed_ns, self._since_ns = self._env.now - self._since_ns, self._env.now
        if not elapsed_ns:
            return
        for flow in list(self._flows):
            flow.left -= flow.speed * elapsed_ns
            if flow.left <= 0:
                del self._flows[flow]
                flow.done.succeed()

    def _plan(self) -> None:
        """Share out the capacity, and schedule the earliest finish."""
        self._timer = None
        if not self._flows:
            return
        share = fair_share(self._capacity, [flow.cap for flow in self._flows])
        for flow in self._flows:
            flow.speed = _FULL_SPEED if flow.cap <= share else max(1, _FULL_SPEED * share // flow.cap)
        finish_ns = min(-(-flow.left // flow.speed) for flow in self._flows)
        self._timer = self._env.timeout(finish_ns)
        self._timer.callbacks.append(self._finish)

    def _finish(self, timer: simpy.Event) -> None:
        if timer is self._timer:  # else the rates have changed since it was set
            self._book()
            self._plan()


def fair_share(capacity: int, caps: Iterable[int]) -> int:
    """Return the largest rate such that min(cap, rate) over all ``caps`` adds up to no more than ``capacity``, rounded down.

    If all caps together fit, it is at least the largest of them.
    """
    caps = sorted(caps)
    for position, cap in enumerate(caps):
        share = capacity // (len(caps) - position)
        if cap > share:
            return share
        capacity -= cap
    return caps[-1]
