"""Kaplan-Meier estimates of how long it takes until something happens to a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class SurvivalCurve:
    """One row a step, arrays of equal length; times in ns. The columns of schema.SURVIVAL."""

    time_ns: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    censored: np.ndarray
    survival: np.ndarray
    standard_error: np.ndarray

    @property
    def median_ns(self) -> int | None:
        """Return when half of them have survived at most; None if the curve does not get there."""
        reached = np.flatnonzero(self.survival <= 0.5)
        return int(self.time_ns[reached[0]]) if len(reached) else None


def kaplan_meier(duration_ns: np.ndarray, happened: np.ndarray) -> SurvivalCurve:
    """Return the product-limit estimate (Kaplan and Meier 1958) with Greenwood's standard error.

    ``duration_ns``: int64 [n], how long each device was observed; ``happened``: bool [n], whether the observation ended with the event
    (else it was censored; a device censored at the time of an event was still at risk then). The last row is the end of observation
    where that is not an event.
    """
    duration_ns, happened = np.asarray(duration_ns, np.int64), np.asarray(happened, bool)
    steps, events = np.unique(duration_ns[happened], return_counts=True)
    if len(duration_ns) and (not len(steps) or duration_ns.max() > steps[-1]):
        steps, events = np.append(steps, duration_ns.max()), np.append(events, 0)
    in_order = np.sort(duration_ns)
    at_risk = len(in_order) - np.searchsorted(in_order, steps, side="left")
    ended = np.searchsorted(in_order, steps, side="right")
    censored = np.diff(ended, prepend=0) - events
    survival = np.cumprod(1.0 - events / at_risk)
    # Greenwood's sum is 0/0 once nobody is left; the error of a survival of 0 is 0.
    left = np.maximum(at_risk - events, 1)
    standard_error = survival * np.sqrt(np.cumsum(np.where(at_risk > events, events / (at_risk * left), 0.0)))
    return SurvivalCurve(steps, at_risk, events, censored, survival, standard_error)
