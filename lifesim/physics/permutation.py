"""A keyed pseudorandom permutation of range(n): says which cell is the k-th to fail without storing an order.

A Feistel network over pairs (left, right) of a square just larger than n, with additions modulo the side instead of XOR (Black and
Rogaway, CT-RSA 2002), walking along its cycle until the value is below n. Six rounds; each index on its own.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from lifesim.streams import halves, hash_at

# Compiled in: 162825ca

_ROUNDS = 6
# The round function's counter: right half below 2**40, round below 2**4, member of the family.
_ROUND_SHIFT, _MEMBER_SHIFT = np.uint64(40), np.uint64(44)


def permute(key: int, n: int, indices: np.ndarray, member: np.ndarray | int = 0) -> np.ndarray:
    """Return where the permutation of ``range(n)`` named by ``key`` sends each of ``indices`` (int64, 0 <= index < n).

    ``member`` (0 <= member < 2**20, one number or one for each index) names one of a family of permutations, so that a call can use many.
    """
    indices = np.asarray(indices, np.int64)
    result = np.empty(indices.shape, np.int64)
    members = np.asarray(member, np.uint64).reshape(-1)
    if indices.size:  # nothing is common where little fails
        side = math.isqrt(n - 1) + 1
        _permute(*halves(key), np.uint64(n), np.uint64(side), indices, members, result)
    return result


@njit(nogil=True, cache=True, error_model="numpy")
def _permute(
    low: np.uint64,
    high: np.uint64,
    n: np.uint64,
    side: np.uint64,
    indices: np.ndarray,
    members: np.ndarray,
    out: np.ndarray,
) -> None:
    for i in range(len(indices)):
        value, member = np.uint64(indices[i]), members[min(i, len(members) - 1)] << _MEMBER_SHIFT
        while True:
            left, right = value // side, value % side
            for round_number in range(_ROUNDS):
                counter = right + ((np.uint64(round_number) << _ROUND_SHIFT) + member)
                left, right = right, (left + hash_at(low, high, counter) % side) % side
            value = left * side + right
            if value < n:  # leaving the range is rare: side**2 - n of side**2 values
                break
        out[i] = np.int64(value)
