"""A keyed pseudorandom permutation of range(n): says which cell is the k-th to fail without storing an order.

A Feistel network over pairs (left, right) of a square just larger than n, with additions modulo the side instead of XOR (Black and
Rogaway, CT-RSA 2002), walking along its cycle until the value is below n. Six rounds, vectorised; each index on its own.
"""

from __future__ import annotations

import math

import numpy as np

from lifesim.streams import bits_at

_ROUNDS = 6
# The round function's counter: right half below 2**40, round below 2**4, member of the family.
_ROUND_SHIFT, _MEMBER_SHIFT = np.uint64(40), np.uint64(44)


def permute(key: int, n: int, indices: np.ndarray, member: np.ndarray | int = 0) -> np.ndarray:
    """Return where the permutation of ``range(n)`` named by ``key`` sends each of ``indices`` (int64, 0 <= index < n).

    ``member`` (0 <= member < 2**20, one number or one for each index) names one of a family of permutations, so that a call can use many.
    """
    result = np.asarray(indices, dtype=np.uint64)
    if not result.size:  # common where little fails
        return result.astype(np.int64)
    member = np.asarray(member, dtype=np.uint64) << _MEMBER_SHIFT
    side = np.uint64(math.isqrt(n - 1) + 1) if n > 1 else np.uint64(1)
    result = _feistel(key, side, result, member)
    # Leaving the range is rare (side**2 - n of side**2 values), so few values walk on.
    outside = np.flatnonzero(result >= n)
    while len(outside):
        walked = _feistel(key, side, result[outside], member[outside] if member.ndim else member)
        result[outside] = walked
        outside = outside[walked >= n]
    return result.astype(np.int64)


def _feistel(key: int, side: np.uint64, values: np.ndarray, member: np.ndarray) -> np.ndarray:
    left, right = values // side, values % side
    for round_number in range(_ROUNDS):
        shift = bits_at(key, right + ((np.uint64(round_number) << _ROUND_SHIFT) + member)) % side
        left, right = right, (left + shift) % side
    return left * side + right
