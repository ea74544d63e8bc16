"""Integers into few bytes, and messages that notice damage: what the delta and the fault map are made of.

Positions are coded as gaps with a Rice code (Rice & Plaunt, IEEE Trans. Commun. 1971), which comes within one per cent of the
entropy where the positions are scattered at random; zstandard then takes what is regular (runs, dense changes).
"""

from __future__ import annotations

import functools
import zlib

import numpy as np
import zstandard

from lifesim.errors import LifesimError

_MAGIC_SIZE, _CHECKSUM_SIZE = 4, 4
_LEVEL = 19


class MessageError(LifesimError):
    """The bytes are not a whole, undamaged message of the kind expected."""


def seal(magic: bytes, head: bytes, body: bytes) -> bytes:
    """Return ``magic`` (4 bytes), ``head``, compressed ``body`` and a CRC-32 of all of it, in one message."""
    message = magic + head + _compressed(body)
    return message + zlib.crc32(message).to_bytes(_CHECKSUM_SIZE, "little")


@functools.lru_cache(maxsize=64)
def _compressed(body: bytes) -> bytes:
    """Return the body compressed. What devices of one fleet send and get is often the same."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


def unseal(magic: bytes, head_size: int, message: bytes) -> tuple[bytes, bytes]:
    """Return the head and the body of a message. Raises MessageError for another kind, truncation and any damaged byte."""
    content = message[:-_CHECKSUM_SIZE]
    if len(content) < _MAGIC_SIZE + head_size:
        raise MessageError(f"truncated to {len(message)} bytes")
    if zlib.crc32(content) != int.from_bytes(message[-_CHECKSUM_SIZE:], "little"):
        raise MessageError("damaged or truncated: the checksum does not fit")
    if content[:_MAGIC_SIZE] != magic:
        raise MessageError(f"another kind of message: {content[:_MAGIC_SIZE]!r} instead of {magic!r}")
    try:
        body = zstandard.ZstdDecompressor().decompress(content[_MAGIC_SIZE + head_size :])
    except zstandard.ZstdError as error:
        raise MessageError(f"cannot be decompressed: {error}") from error
    return content[_MAGIC_SIZE : _MAGIC_SIZE + head_size], body


class Reader:
    """Takes pieces from the front of ``data``; raises MessageError where nothing is left or something remains."""

    def __init__(self, data: bytes) -> None:
        self._data = np.frombuffer(data, dtype=np.uint8)

    def take(self, size: int) -> np.ndarray:
        """Return the next ``size`` bytes as uint8."""
        if size > len(self._data):
            raise MessageError(f"{size} bytes expected, {len(self._data)} left")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def count(self) -> int:
        """Return a number written by :func:`pack_count`."""
        return int.from_bytes(self.take(4).tobytes(), "little")

    def bits(self, count: int) -> np.ndarray:
        """Return ``count`` bits written by :func:`numpy.packbits`, as uint8."""
        return np.unpackbits(self.take(-(-count // 8)), count=count)

    def positions(self, count: int) -> np.ndarray:
        """Return ``count`` positions (int64, ascending) written by :func:`pack_positions`."""
        if not count:
            return np.empty(0, dtype=np.int64)
        remainder_bits = int(self.take(1)[0])
        stops = np.flatnonzero(np.unpackbits(self._data))[:count]
        if len(stops) < count:
            raise MessageError(f"{count} positions expected, {len(stops)} found")
        self.take(int(stops[-1]) // 8 + 1)
        quotients = np.diff(stops, prepend=-1) - 1
        bits = self.bits(count * remainder_bits).reshape(count, remainder_bits).astype(np.int64)
        gaps = (quotients << remainder_bits) + bits @ (1 << np.arange(remainder_bits))
        return np.cumsum(gaps + 1) - 1

    def differences(self, count: int) -> np.ndarray:
        """Return ``count`` differences (int16) written by :func:`pack_differences`, up to the end of the data."""
        rest = self.take(len(self._data))
        ends = np.flatnonzero(rest < 0x80)
        starts = np.concatenate([[0], ends + 1])[:-1]
        lengths = ends - starts + 1
        if len(ends) != count or (count and ends[-1] != len(rest) - 1) or (lengths > 3).any():
            raise MessageError(f"{count} differences expected, {len(ends)} found")
        zigzag = np.zeros(count, dtype=np.int64)
        for k in range(3):
            longer = lengths > k
            zigzag[longer] |= (rest[starts[longer] + k].astype(np.int64) & 0x7F) << (7 * k)
        return ((zigzag >> 1) ^ -(zigzag & 1)).astype(np.int16)

    def end(self) -> None:
        if len(self._data):
            raise MessageError(f"{len(self._data)} bytes too many")


def pack_count(count: int) -> bytes:
    """Return a number below 2**32 in four bytes."""
    return count.to_bytes(4, "little")


def pack_positions(positions: np.ndarray) -> bytes:
    """Return ascending, distinct positions as Rice-coded gaps: parameter k (one byte), gap >> k in unary, k low bits of each gap."""
    if not len(positions):
        return b""
    gaps = np.diff(np.asarray(positions, dtype=np.int64), prepend=-1) - 1
    k = _rice_parameter(gaps)
    stops = np.cumsum((gaps >> k) + 1) - 1
    unary = np.zeros(stops[-1] + 1, dtype=np.uint8)
    unary[stops] = 1
    low_bits = ((gaps[:, None] >> np.arange(k)) & 1).astype(np.uint8)
    return bytes([k]) + np.packbits(unary).tobytes() + np.packbits(low_bits).tobytes()


def _rice_parameter(gaps: np.ndarray) -> int:
    """Return the number of low bits with which the code of ``gaps`` (int64) is shortest, the smallest of several.

    One low bit more takes len(gaps) bits, and saves the sum of ceil((gaps >> k) / 2), which falls with k: so it pays up to the k that is sought. While
    2^k is below a third of the mean gap it always does.
    """
    k = max((int(gaps.sum()) // (3 * len(gaps))).bit_length() - 1, 0)
    while int(((gaps >> k) + 1 >> 1).sum()) > len(gaps):
        k += 1
    return k


def pack_differences(differences: np.ndarray) -> bytes:
    """Return int16 differences as zigzag varints of one to three bytes: small ones of either sign are short."""
    wide = differences.astype(np.int64)
    zigzag = (wide << 1) ^ (wide >> 63)
    lengths = 1 + (zigzag >= 1 << 7) + (zigzag >= 1 << 14)
    ends = np.cumsum(lengths)
    packed = np.empty(ends[-1] if len(ends) else 0, dtype=np.uint8)
    for k in range(3):
        longer = lengths > k
        more = np.where(lengths[longer] > k + 1, 0x80, 0)
        packed[(ends - lengths)[longer] + k] = ((zigzag[longer] >> (7 * k)) & 0x7F) | more
    return packed.tobytes()
