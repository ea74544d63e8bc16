"""Keyed random streams: every draw is addressed by what it is for, never by how many draws came before it.

A key is a 128-bit hash of a tuple such as ``(seed, replication, device, generation, bank, purpose, epoch)``. Two ways to draw:

* :func:`generator` gives a numpy generator (Philox, Salmon et al., SC'11) for a run of numbers that are used together;
* :func:`uniforms` gives the number *at* any counter, in any order and any quantity, for what must be random-access (the limit of
  the k-th cell, the round function of a permutation). It hashes (key, counter) with the SplitMix64 finaliser (Steele et al.,
  OOPSLA'14), once per key half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK_64 = (1 << 64) - 1


def stream_key(*parts: int | str) -> int:
    """Return the 128-bit key of a tuple of integers and strings; different tuples give independent streams."""
    # A separator inside a part is doubled, so that no string can pose as two parts.
    text = "\x1f".join(
        [
            f"i{part}" if type(part) is int else f"{type(part).__name__[0]}{part}".replace("\x1f", "\x1f\x1f")
            for part in parts
        ]
    )
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(key: int) -> np.random.Generator:
    """Return a fresh generator at the beginning of the stream of ``key``."""
    return np.random.Generator(np.random.Philox(key=key))


def first_uniform(key: int) -> float:
    """Return ``uniforms(key, [0])[0]`` without the overhead of an array."""
    x = _mix_int(key & _MASK_64) ^ (key >> 64)
    return ((_mix_int((x + int(GOLDEN)) & _MASK_64) >> 12) + 0.5) * 2.0**-52


def bits_at(key: int, counters: np.ndarray) -> np.ndarray:
    """Return 64 random bits (uint64, shape of ``counters``) for each counter of the stream of ``key``."""
    return bits_of([key], np.ravel(counters)).reshape(np.shape(counters))


def bits_of(keys: Sequence[int], counters: np.ndarray) -> np.ndarray:
    """Return :func:`bits_at` of several streams, uint64 [streams, counters]."""
    low = np.array([key & _MASK_64 for key in keys], np.uint64)[:, None]
    high = np.array([key >> 64 for key in keys], np.uint64)[:, None]
    x = np.asarray(counters, dtype=np.uint64) * GOLDEN + low
    return _mix((_mix(x) ^ high) + GOLDEN)


def uniforms(key: int, counters: np.ndarray) -> np.ndarray:
    """Return float64 uniforms in the open interval (0, 1), one for each counter of the stream of ``key``."""
    return ((bits_at(key, counters) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


def _mix_int(x: int) -> int:
    x = ((x ^ (x >> 30)) * int(MIX_1)) & _MASK_64
    x = ((x ^ (x >> 27)) * int(MIX_2)) & _MASK_64
    return x ^ (x >> 31)
