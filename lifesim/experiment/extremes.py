"""The lowest accuracies: of the estimates the lowest are mostly unlucky ones, so those that count are evaluated in full."""

from __future__ import annotations

import math

import numpy as np

PERCENTILE = 5


def how_many_matter(devices: int, among_others: bool = False) -> int:
    """Return how many of the lowest values the minimum and the 5th percentile (linear interpolation) of so many depend on.

    ``among_others``: those of a fleet of which these are a part; by chance more than their share of its lowest are among them, by four standard
    deviations at most.
    """
    share = (devices - 1) * PERCENTILE // 100 + 2
    return min(devices, share + (math.ceil(4.0 * math.sqrt(share)) if among_others else 0))


def candidates(lowest: np.ndarray, likely: np.ndarray, known: np.ndarray, matter: int) -> np.ndarray:
    """Return which values that are not ``known`` may be among the ``matter`` lowest (indices); none once these are settled.

    ``lowest``, ``likely``: down to what each value may come, and what it will probably turn out to be; the value itself where it is known.
    """
    # The first are those that have to be known; the others will, probably, so why not together.
    needed = np.zeros(len(known), bool)
    needed[np.argsort(lowest, kind="stable")[:matter]] = True
    needed |= lowest < np.partition(likely, matter - 1)[matter - 1]
    return np.flatnonzero(needed & ~known)
