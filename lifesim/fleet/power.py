"""Power cuts at a device's place: a Poisson process, drawn once, whatever the device is doing."""

from __future__ import annotations

import math
from bisect import bisect_right

from lifesim.fleet.clock import to_ns
from lifesim.physics.temperature import S_PER_YEAR
from lifesim.streams import first_uniform, stream_key


class PowerCuts:
    """The instants of the cuts of one place, ``per_year`` on average; the gap before the k-th has a stream of its own."""

    def __init__(self, key: int, per_year: float):
        self._key = key
        self._mean_gap_s = S_PER_YEAR / per_year if per_year else math.inf
        self._times_ns: list[int] = []

    def first_after(self, time_ns: int) -> int | None:
        """Return the first cut after ``time_ns``; None if there is none, ever."""
        if math.isinf(self._mean_gap_s):
            return None
        while not self._times_ns or self._times_ns[-1] <= time_ns:
            gap_s = -math.log(first_uniform(stream_key(self._key, len(self._times_ns)))) * self._mean_gap_s
            self._times_ns.append((self._times_ns[-1] if self._times_ns else 0) + max(1, to_ns(gap_s)))
        return self._times_ns[bisect_right(self._times_ns, time_ns)]
