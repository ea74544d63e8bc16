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
from numba import njit

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


def halves(key: int) -> tuple[np.uint64, np.uint64]:
    """Return the lower and the upper half of a key, for kernels."""
    return np.uint64(key & _MASK_64), np.uint64(key >> 64)


@njit(inline="always")
def hash_at(low: np.uint64, high: np.uint64, counter: np.uint64) -> np.uint64:
    """Return the 64 random bits of a counter of the stream whose key has these halves."""
    return _mix_one((_mix_one(counter * GOLDEN + low) ^ high) + GOLDEN)


@njit(inline="always")
def _mix_one(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


@njit(nogil=True, cache=True)
def _hash_all(low: np.uint64, high: np.uint64, counters: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(counters)):
        out[i] = hash_at(low, high, counters[i])


def bits_at(key: int, counters: np.ndarray) -> np.ndarray:
    """Return 64 random bits (uint64, shape of ``counters``) for each counter of the stream of ``key``."""
    flat = np.ravel(np.asarray(counters, np.uint64))
    out = np.empty(len(flat), np.uint64)
    _hash_all(*halves(key), flat, out)
    return out.reshape(np.shape(counters))


def bits_of(keys: Sequence[int], counters: np.ndarray) -> np.ndarray:
    """Return :func:`bits_at` of several streams, uint64 [streams, counters]."""
    low = np.array([key & _MASK_64 for key in keys], np.uint64)[:, None]
    high = np.array([key >> 64 for key in keys], np.uint64)[:, None]
    x = np.asarray(counters, dtype=np.uint64) * GOLDEN + low
    return _mix((_mix(x) ^ high) + GOLDEN)


def uniforms(key: int, counters: np.ndarray) -> np.ndarray:
    """Return float64 uniforms in the open interval (0, 1), one for each counter of the stream of ``key``."""
    flat = np.ravel(np.asarray(counters, np.uint64))
    out = np.empty(len(flat))
    _uniforms(*halves(key), flat, out)
    return out.reshape(np.shape(counters))


@njit(inline="always")
def uniform_of(bits: np.uint64) -> float:
    """Return a uniform number in the open interval (0, 1) made of the upper bits."""
    return (np.float64(bits >> np.uint64(12)) + 0.5) * 2.0**-52


@njit(nogil=True, cache=True)
def _uniforms(low: np.uint64, high: np.uint64, counters: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(counters)):
        out[i] = uniform_of(hash_at(low, high, counters[i]))


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


def _mix_int(x: int) -> int:
    x = ((x ^ (x >> 30)) * int(MIX_1)) & _MASK_64
    x = ((x ^ (x >> 27)) * int(MIX_2)) & _MASK_64
    return x ^ (x >> 31)
