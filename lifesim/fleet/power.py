"""Power cuts at a device's place: a Poisson process, drawn once, whatever the device is doing."""

from __future__ import annotations

import numpy as np

from lifesim.fleet.clock import to_ns
from lifesim.streams import generator, stream_key
from lifesim.timeunits import S_PER_YEAR

_PER_PERIOD = 8  # cuts on average; how many are drawn at a time


class PowerCuts:
    """The instants of the cuts of one place, ``per_year`` on average.

    Time is divided into periods, each with a stream of its own for the number of its cuts (Poisson) and their times (uniform), so that
    nothing has to be drawn before what is asked for.
    """

    __slots__ = ("_key", "_period_ns")

    def __init__(self, key: int, per_year: float):
        self._key = key
        self._period_ns = to_ns(_PER_PERIOD * S_PER_YEAR / per_year) if per_year else None

    def first_after(self, time_ns: int) -> int | None:
        """Return the first cut after ``time_ns``; None if there is none, ever."""
        if self._period_ns is None:
            return None
        period, since_ns = divmod(time_ns, self._period_ns)
        while not len(later_ns := (cuts_ns := self._cuts_of(period))[cuts_ns > since_ns]):
            period, since_ns = period + 1, -1
        return period * self._period_ns + int(later_ns.min())

    def _cuts_of(self, period: int) -> np.ndarray:
        """Return the cuts of a period, in ns since its beginning."""
        rng = generator(stream_key(self._key, period))
        return rng.integers(self._period_ns, size=rng.poisson(_PER_PERIOD))


NO_CUTS = PowerCuts(0, 0.0)
"""A place where the power never goes."""
