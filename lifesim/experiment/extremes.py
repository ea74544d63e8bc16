"""The lowest accuracies: of the estimates the lowest are mostly unlucky ones, so those that count are evaluated in full."""

from __future__ import annotations

import numpy as np

PERCENTILE = 5


def how_many_matter(devices: int) -> int:
    """Return how many of the lowest values the minimum and the 5th percentile (linear interpolation) of so many depend on."""
    return min(devices, (devices - 1) * PERCENTILE // 100 + 2)


def candidates(lowest_possible: np.ndarray, known: np.ndarray, matter: int) -> np.ndarray:
    """Return which values are not ``known`` among the ``matter`` lowest (indices); none once the lowest are settled.

    ``lowest_possible``: of each value, itself where it is known, else what it may come down to.
    """
    lowest = np.argsort(lowest_possible, kind="stable")[:matter]
    return lowest[~known[lowest]]
