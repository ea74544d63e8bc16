"""How much a device is used: the number of inferences that it has been asked for."""

from __future__ import annotations

import functools

import numpy as np

from lifesim.physics.periodic import PeriodicIntegral, doubles
from lifesim.timeunits import HOURS_PER_DAY, S_PER_H


class Usage(PeriodicIntegral):
    """Inferences since the start, which is at midnight: ``per_hour`` on the mean of a day, in each hour in proportion to ``daily_shape``.

    ``daily_shape`` has 24 weights, not negative and not all 0; or none, for a day that is all the same. The count is an expectation and so need not be whole.
    """

    __slots__ = ()

    def __init__(self, per_hour: float, daily_shape: tuple[float, ...] = ()):
        hours_s = doubles(np.arange(HOURS_PER_DAY + 1) * S_PER_H)
        shape = np.asarray(daily_shape or (1.0,) * HOURS_PER_DAY, dtype=np.float64)
        super().__init__(hours_s, per_hour * HOURS_PER_DAY * shape / shape.sum())


@functools.lru_cache(maxsize=64)
def usage(per_hour: float, daily_shape: tuple[float, ...] = ()) -> Usage:
    """Return the (shared) count for a workload."""
    return Usage(per_hour, daily_shape)
