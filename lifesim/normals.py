"""Unit normals at random access: the number at any place of any stream, a nanosecond each.

A pair of neighbours comes from one 64-bit hash of its place by the transform of Box and Muller (Ann. Math. Statist. 29, 1958): its lower half
says how far from the origin, its upper half in which direction. The hash is SplitMix64 (Steele et al., OOPSLA'14) with half of a key between
its two multiplications; each row of numbers has a key of its own, hashed from the stream's. Compiled without reassociation or contraction, every
operation is IEEE 754's, so that a number is the same whether the processor takes it alone or eight together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from lifesim.streams import GOLDEN, MIX_1, MIX_2, bits_of

# Compiled in: 162825ca

_u32, _i32, _f32, _u64 = np.uint32, np.int32, np.float32, np.uint64
_SIGN = _u32(1 << 31)
_ONE_IN_BITS_LESS_SQRT_HALF = _i32(0x3F3504F3)
_LN_2 = _f32(math.log(2))
_EIGHTH_OF_A_TURN = _f32(math.pi / 4 * 2.0**-31)


def unit_normals(key: int, rows: int, count: int) -> np.ndarray:
    """Return unit normals [rows, count] (float32) of the stream of ``key`` (128 bits), at most 6.7 from 0.

    A number depends on key, row and place in its row alone.
    """
    out = np.empty((rows, count), np.float32)
    _fill(row_keys([key], rows)[0], out)
    return out


def row_keys(keys: Sequence[int], rows: int) -> np.ndarray:
    """Return the keys of streams' first rows, uint64 [streams, rows, 2], for whoever draws by :func:`hash_bits` and :func:`normal_pair`."""
    return bits_of(keys, np.arange(2 * rows)).reshape(-1, rows, 2)


@njit(nogil=True, cache=True)
def _fill(keys: np.ndarray, out: np.ndarray) -> None:
    pairs = out.shape[1] // 2
    for row in range(len(out)):
        numbers, start, middle = out[row], keys[row, 0], keys[row, 1]
        for i in range(pairs):
            numbers[2 * i], numbers[2 * i + 1] = normal_pair(hash_bits(start, middle, _u64(i)))
        if out.shape[1] % 2:
            numbers[2 * pairs] = normal_pair(hash_bits(start, middle, _u64(pairs)))[0]


@njit(inline="always")
def hash_bits(start: np.uint64, middle: np.uint64, place: np.uint64) -> np.uint64:
    """Return the bits of the pair at ``place`` of a row: its numbers 2 ``place`` and 2 ``place`` + 1."""
    x = place * GOLDEN + start
    x = ((x ^ (x >> _u64(30))) * MIX_1) ^ middle
    x = (x ^ (x >> _u64(27))) * MIX_2
    return x ^ (x >> _u64(31))


@njit(inline="always")
def normal_pair(bits: np.uint64) -> tuple[np.float32, np.float32]:
    """Return the two independent unit normals of 64 bits.

    The polynomials are least-maximum fits in relative error: 1.7e-7 of ln(1 + t) / t between sqrt(1/2) and sqrt(2), 3e-8 of sine and cosine up
    to pi/4. Each casts what would else be widened to 64 bits.
    """
    radius_bits, angle_bits = _u32(bits), _u32(bits >> _u64(32))
    # -ln of the uniform (n + 1/2) / 2^31 from its exponent and, between sqrt(1/2) and sqrt(2), its mantissa.
    number = _f32(_f32(_i32(radius_bits >> _u32(1))) + _f32(0.5)).view(_i32)
    exponent = _i32(_i32(number - _ONE_IN_BITS_LESS_SQRT_HALF) >> _i32(23))
    t = _f32(_i32(number - _i32(exponent << _i32(23))).view(_f32) - _f32(1))
    t2 = t * t
    low = (_f32(0.99999992) + _f32(-0.50000344) * t) + (_f32(0.33335608) + _f32(-0.2497156) * t) * t2
    high = (_f32(0.19884235) + _f32(-0.17212426) * t) + (_f32(0.16338146) + _f32(-0.10378716) * t) * t2
    radius = np.sqrt(_f32(_i32(31) - exponent) * _LN_2 - (low + high * (t2 * t2)) * t)

    # An angle within 45 degrees of the diagonal, by sine and cosine of the difference; two bits for the signs.
    v = _f32(_i32(angle_bits << _u32(2))) * _EIGHTH_OF_A_TURN
    v2 = v * v
    sine = (_f32(1) + _f32(-0.166666507) * v2) + (_f32(8.33203688e-3) + _f32(-1.9504022e-4) * v2) * (v2 * v2)
    cosine = (_f32(0.99999997) + _f32(-0.49999857) * v2) + (_f32(0.04165503) + _f32(-1.35859e-3) * v2) * (
        v2 * v2
    )
    x, y = _f32(radius * (cosine - sine * v)), _f32(radius * (cosine + sine * v))
    signs = angle_bits & _SIGN, _u32(angle_bits << _u32(1)) & _SIGN
    return _u32(x.view(_u32) ^ signs[0]).view(_f32), _u32(y.view(_u32) ^ signs[1]).view(_f32)
