"""Nearest-code reprogramming: to each weight with stuck cells, write the code nearest to its target among those that the cells can hold.

RRAMedy masks: it programs the target and lets stuck bits take their stuck value, which for a high bit is far off. Other bits of the same weight
can make up for most of that: with the sign of 0.25 stuck at "negative", masked two's complement reads -0.75, the nearest code is -1 LSB.

In offset binary the order of bit patterns is the order of codes, so the nearest code is found by comparing patterns from the top bit down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from lifesim.crossbar.encoding import BIAS, BITS_PER_WEIGHT, Encoding
from lifesim.crossbar.faults import FaultMap

_SIGN_BIT = np.uint16(0x8000)
_ONES = (1 << BITS_PER_WEIGHT) - 1
_options = dict(nogil=True, cache=True)


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
    """
    return _nearest_of_all(targets, stuck, in_offset_binary(stuck, shown, encoding))


def in_offset_binary(stuck: np.ndarray, shown: np.ndarray, encoding: Encoding) -> np.ndarray:
    """Return what stuck bits would show if the weights stood in offset binary, as :func:`nearest_of` takes it."""
    return shown if encoding.offset else shown ^ (stuck & _SIGN_BIT)


@njit(**_options)
def nearest_of(target: int, stuck: int, held: int) -> int:
    """Return the nearest code to one target; its ``stuck`` bits show ``held``, in offset binary.

    Patterns with these bits on either side of the target are found from the first bit, counted from the top, in which the target disagrees.
    """
    wanted, free = target + BIAS, _ONES ^ stuck
    below = _largest_at_most(wanted, free, held)
    complement = _largest_at_most(_ONES ^ wanted, free, stuck ^ held)
    above = _ONES ^ complement
    if below < 0 or (complement >= 0 and above - wanted < wanted - below):
        return above - BIAS
    return below - BIAS


@njit(**_options)
def _largest_at_most(wanted: int, free: int, held: int) -> int:
    """Return the largest pattern that is not above ``wanted`` and shows ``held`` where it is not ``free``; -1 where all are above."""
    wrong = (wanted ^ held) & ~free
    if not wrong:
        return wanted
    # That bit and all below; these are free to be the largest once a bit above them makes the pattern smaller.
    rest = wrong | wrong >> 1
    rest |= rest >> 2
    rest |= rest >> 4
    rest |= rest >> 8
    if held & (rest ^ rest >> 1):
        # It shows 1 where 0 is wanted: the lowest bit above that can be turned to 0 gives way.
        turnable = wanted & free & ~rest
        if not turnable:
            return -1
        rest = ((turnable & -turnable) << 1) - 1
    return (wanted & ~rest) | (held & rest) | (free & rest >> 1)


@njit(**_options)
def _nearest_of_all(targets: np.ndarray, stuck: np.ndarray, held: np.ndarray) -> np.ndarray:
    codes = np.empty(len(targets), np.int16)
    for i in range(len(targets)):
        codes[i] = nearest_of(np.int64(targets[i]), np.int64(stuck[i]), np.int64(held[i]))
    return codes


def _fit(
    targets: np.ndarray, weights: np.ndarray, stuck: np.ndarray, shown: np.ndarray, encoding: Encoding
) -> np.ndarray:
    fitted = targets.reshape(-1).copy()
    fitted[weights] = nearest(fitted[weights], stuck, shown, encoding)
    return fitted.reshape(targets.shape)
