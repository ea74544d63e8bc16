"""Nearest-code reprogramming: to each weight with stuck cells, write the code nearest to its target among those that the cells can hold.

RRAMedy masks: it programs the target and lets stuck bits take their stuck value, which for a high bit is far off. Other bits of the same weight
can make up for most of that: with the sign of 0.25 stuck at "negative", masked two's complement reads -0.75, the nearest code is -1 LSB.

In offset binary the order of bit patterns is the order of codes, so the nearest code is found by comparing patterns from the top bit down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap

_SIGN_BIT = np.uint16(0x8000)


def nearest_codes(codes: Sequence[np.ndarray], fault_map: FaultMap) -> tuple[np.ndarray, ...]:
    """Return the codes to program (int16, shapes of ``codes``): each the nearest to its target that its cells can hold.

    Of two that are equally near, the lower. Layers without stuck cells are returned as they are.
    """
    return tuple(
        _fit(targets, *stuck_bits(cells, levels, fault_map.encoding), fault_map.encoding)
        if len(cells)
        else targets
        for targets, cells, levels in zip(codes, fault_map.cells, fault_map.values, strict=True)
    )


def stuck_bits(
    cells: np.ndarray, levels: np.ndarray, encoding: Encoding
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what stuck cells of a layer (sorted, with the level that each shows) hold of which weights.

    The weights (int64, sorted, distinct), and for each its stuck bits (uint16: 1 where stuck) and what they show (uint16, 0 elsewhere), as bit
    patterns of the encoding.
    """
    per_weight, bits = encoding.cells_per_weight, encoding.bits_per_cell
    weights, first = np.unique(cells // per_weight, return_index=True)
    shifts = (cells % per_weight * bits).astype(np.uint16)
    stuck = np.bitwise_or.reduceat(np.uint16(encoding.top_level) << shifts, first)
    shown = np.bitwise_or.reduceat(levels.astype(np.uint16) << shifts, first)
    return weights, stuck, shown


def nearest(targets: np.ndarray, stuck: np.ndarray, shown: np.ndarray, encoding: Encoding) -> np.ndarray:
    """Return the nearest codes (int16 [n]) to ``targets`` (int16 [n]) of weights whose ``stuck`` bits show ``shown`` (uint16 [n], see
    :func:`stuck_bits`).

    Where the target's own bits disagree first, counted from the top, decides: below that bit the pattern is free to be the largest or the smallest,
    and the other neighbour differs from the target in the lowest free bit above it that can be turned.
    """
    wanted = targets.view(np.uint16) ^ _SIGN_BIT
    held = shown if encoding.offset else shown ^ (stuck & _SIGN_BIT)
    free = ~stuck
    below = _largest_at_most(wanted, free, held)
    above = ~_largest_at_most(~wanted, free, ~held & stuck)
    # Where there is none on one side, the search has wrapped to the other.
    down = wanted.astype(np.int32) - below
    up = above.astype(np.int32) - wanted
    take_above = (down < 0) | ((up >= 0) & (up < down))
    return (np.where(take_above, above, below) ^ _SIGN_BIT).view(np.int16)


def _largest_at_most(wanted: np.ndarray, free: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return the largest patterns that are not above ``wanted`` and show ``held`` where they are not ``free``; where there is none, one that is above."""
    wrong = (wanted ^ held) & ~free
    # The highest bit in which what is held disagrees with what is wanted; below it the pattern is smaller or larger whatever it is.
    smeared = wrong.copy()
    for shift in (1, 2, 4, 8):
        smeared |= smeared >> np.uint16(shift)
    top = smeared ^ (smeared >> np.uint16(1))
    lower = smeared >> np.uint16(1)  # bits below it
    too_low = (held & top) == 0  # it holds 0 where 1 is wanted: all below may be one
    largest = (wanted & ~smeared & free) | held | np.where(too_low, lower & free, np.uint16(0))
    largest = np.where(wrong == 0, (wanted & free) | held, largest)
    # It holds 1 where 0 is wanted: the lowest free one of the bits above gives way, and all free bits below that are ones.
    turnable = wanted & free & ~smeared
    turned = turnable & (~turnable + np.uint16(1))
    beneath = turned - np.uint16(1)
    turned_down = ((wanted & ~(turned | beneath)) & free) | held | (beneath & free)
    too_high = (wrong != 0) & ~too_low
    lowest = held  # nothing can give way: all patterns are above
    return np.where(too_high, np.where(turned != 0, turned_down, lowest), largest)


def _fit(
    targets: np.ndarray, weights: np.ndarray, stuck: np.ndarray, shown: np.ndarray, encoding: Encoding
) -> np.ndarray:
    fitted = targets.reshape(-1).copy()
    fitted[weights] = nearest(fitted[weights], stuck, shown, encoding)
    return fitted.reshape(targets.shape)
