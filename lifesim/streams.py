"""Keyed random streams: every draw is addressed by what it is for, never by how many draws came before it.

A key is a 128-bit hash of a tuple such as ``(seed, replication, device, generation, bank, purpose, epoch)``. Two ways to draw:

* :func:`generator` gives a numpy generator (Philox, Salmon et al., SC'11) for a run of numbers that are used together;
* :func:`uniforms` gives the number *at* any counter, in any order and any quantity, for what must be random-access (the limit of
  the k-th cell, the round function of a permutation). It hashes (key, counter) with the SplitMix64 finaliser (Steele et al.,
  OOPSLA'14), once per key half.
"""

from __future__ import annotations

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK_64 = (1 << 64) - 1


def stream_key(*parts: int | str) -> int:
    """Return the 128-bit key of a tuple of integers and strings; different tuples give independent streams."""
    # A separator inside a part is doubled, so that no string can pose as two parts.
    text = "\x1f".join(f"{type(part).__name__[0]}{part}".replace("\x1f", "\x1f\x1f") for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def generator(key: int) -> np.random.Generator:
    """Return a fresh generator at the beginning of the stream of ``key``."""
    return np.random.Generator(np.random.Philox(key=key))


def first_uniform(key: int) -> float:
    """Return ``uniforms(key, [0])[0]`` without the overhead of an array."""
    x = _mix_int(key & _MASK_64) ^ (key >> 64)
    return ((_mix_int((x + int(_GOLDEN)) & _MASK_64) >> 12) + 0.5) * 2.0**-52


def bits_at(key: int, counters: np.ndarray) -> np.ndarray:
    """Return 64 random bits (uint64, shape of ``counters``) for each counter of the stream of ``key``."""
    x = np.asarray(counters, dtype=np.uint64) * _GOLDEN + np.uint64(key & _MASK_64)
    x = _mix(x) ^ np.uint64(key >> 64)
    return _mix(x + _GOLDEN)


def uniforms(key: int, counters: np.ndarray) -> np.ndarray:
    """Return float64 uniforms in the open interval (0, 1), one for each counter of the stream of ``key``."""
    return ((bits_at(key, counters) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def _mix_int(x: int) -> int:
    x = ((x ^ (x >> 30)) * int(_MIX_1)) & _MASK_64
    x = ((x ^ (x >> 27)) * int(_MIX_2)) & _MASK_64
    return x ^ (x >> 31)


class NormalStreams:
    """Unit normals of many short streams: one Philox that is set to the beginning of the stream asked for.

    Gives the numbers of ``generator(key).standard_normal(n, float32)`` at a tenth of the cost of a new generator.
    """

    def __init__(self) -> None:
        self._bits = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._bits)
        self._state = self._bits.state

    def normals(self, key: int, count: int) -> np.ndarray:
        """Return the first ``count`` unit normals (float32) of the stream of ``key``."""
        self._state["state"]["key"][:] = key & _MASK_64, key >> 64
        self._bits.state = self._state
        return self._generator.standard_normal(count, dtype=np.float32)
