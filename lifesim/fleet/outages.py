"""When a link or the cloud is down: Poisson outages of exponential durations, drawn once and looked up at any time.

An alternating renewal process: up for an exponential time with mean 1/rate, then down for an exponential time. What is under way pauses
and goes on where it stopped.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from lifesim.fleet.clock import to_ns
from lifesim.streams import first_uniform, stream_key
from lifesim.timeunits import S_PER_YEAR


class Outages:
    """Outages [start, end) in the order of time; number n is drawn from the stream of (``key``, n), when a time near it is asked for.

    Parameters
    ----------
    per_year : outages per year of 365 days in which it is up, >= 0
    mean_s : mean duration, > 0 if there are outages
    """

    def __init__(self, key: int = 0, per_year: float = 0.0, mean_s: float = 0.0) -> None:
        self._key = key
        self._up_mean_s = S_PER_YEAR / per_year if per_year else math.inf
        self._down_mean_s = mean_s
        self._starts_ns: list[int] = []
        self._ends_ns: list[int] = []

    def next(self, time_ns: int) -> tuple[int, int] | None:
        """Return start and end of the outage that lasts at ``time_ns``, else of the first one after it; None if there are never any."""
        if math.isinf(self._up_mean_s):
            return None
        while not self._ends_ns or self._ends_ns[-1] <= time_ns:
            self._draw()
        position = bisect_right(self._ends_ns, time_ns)
        return self._starts_ns[position], self._ends_ns[position]

    def up_from(self, time_ns: int) -> int:
        """Return ``time_ns`` if it is up then, else the end of the outage."""
        outage = self.next(time_ns)
        return outage[1] if outage and outage[0] <= time_ns else time_ns

    def done_by(self, begin_ns: int, work_ns: int) -> int:
        """Return when something is done that begins at ``begin_ns`` and takes ``work_ns`` of the time in which it is up."""
        while outage := self.next(begin_ns):
            start_ns, end_ns = outage
            if start_ns > begin_ns:
                if begin_ns + work_ns <= start_ns:
                    break
                work_ns -= start_ns - begin_ns
            begin_ns = end_ns
        return begin_ns + work_ns

    def _draw(self) -> None:
        number, last_ns = len(self._ends_ns), self._ends_ns[-1] if self._ends_ns else 0
        up_s = -self._up_mean_s * math.log(first_uniform(stream_key(self._key, "up", number)))
        down_s = -self._down_mean_s * math.log(first_uniform(stream_key(self._key, "down", number)))
        self._starts_ns.append(last_ns + max(1, to_ns(up_s)))
        self._ends_ns.append(self._starts_ns[-1] + max(1, to_ns(down_s)))
