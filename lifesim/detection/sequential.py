"""Weak evidence of successive tests, added up: the cumulative sum of Page (Biometrika 41, 1954).

Each test adds its statistic less a reference, which lies above what fault-free tests show on average; the sum never falls below 0. A fault too weak
for any single test lets it rise until it exceeds a limit. It depends on the tests in their order and on nothing else, and begins anew at every baseline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.detection.nullreads import upper_limit

START = 0
"""The sum after a baseline."""
_REFERENCES = (0.25, 0.5, 0.75)  # shares of the shift


@dataclass(frozen=True, slots=True)
class Cusum:
    """Alarms where the sum of statistics less ``reference`` exceeds ``limit``; all are whole numbers in the statistic's unit."""

    reference: int
    limit: int

    def update(self, state: int, statistic: int) -> tuple[int, bool]:
        """Return the sum after a test, and whether it alarms. Once it does, the sum says no more than that."""
        state = min(max(0, state + statistic - self.reference), self.limit + 1)
        return state, state > self.limit

    def first_alarm(self, state: int, statistics: Iterable[int]) -> tuple[int, int | None]:
        """Return the sum after these tests or after the first that alarms, and the position of that one; None where there is none."""
        for position, statistic in enumerate(statistics):
            state, alarm = self.update(state, statistic)
            if alarm:
                return state, position
        return state, None


def highest_sums(reference: int, statistics: np.ndarray) -> np.ndarray:
    """Return the highest that each row's sum gets to, int64 [rows], for statistics [rows, tests] after a baseline."""
    state = highest = np.full(len(statistics), START, np.int64)
    for column in statistics.T:
        state = np.maximum(0, state + column - reference)
        highest = np.maximum(highest, state)
    return highest


def calibrate_cusum(groups: Sequence[np.ndarray], false_alarm_rate: float, shift: float = 1.0) -> Cusum:
    """Return the sum that raises an alarm for at most a share ``false_alarm_rate`` of devices without faults within so many tests of a baseline.

    With a year's tests the rate is at least that of false alarms per device-year. ``groups``: what devices without faults show, statistics
    [devices, tests] each (:func:`lifesim.detection.nullreads.fault_free_tests`). The error of a device's baseline stays with it for all its tests, which is
    why whole devices are simulated and not single tests. Of several references the one is taken that finds a lasting shift by ``shift`` standard
    deviations of a test's statistic the soonest, on average.
    """
    firsts = np.concatenate([shown[:, 0] for shown in groups])
    mean, spread = float(firsts.mean()), max(float(firsts.std()), 1.0)
    candidates = []
    for share in _REFERENCES:
        reference = math.ceil(mean + share * shift * spread)
        limit = upper_limit([highest_sums(reference, shown) for shown in groups], false_alarm_rate)
        soonest = limit / (mean + shift * spread - reference + 1.0)
        candidates.append((soonest, Cusum(reference, limit)))
    return min(candidates, key=lambda candidate: candidate[0])[1]
