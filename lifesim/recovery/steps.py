"""A model update as steps of four bits of the weights that both sides have agreed on.

Message: ``LS4``, the first 4 bytes of the base's digest and 8 of the new model's, per layer from the first agreed one on the exponent of
a step, then all steps (-8 to 7), compressed. Positions do not travel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import zstandard

from lifesim.network.model import Model
from lifesim.recovery.agreed import Agreed
from lifesim.recovery.coding import MessageError, Reader
from lifesim.recovery.delta import DeltaError

_MAGIC = b"LS4"
_BASE_DIGEST, _NEW_DIGEST = 4, 8
_LEAST, _MOST = -8, 7
_MOST_EXPONENT = 12  # sixteen steps of so many bits reach all codes
_FORMAT = zstandard.FORMAT_ZSTD1_MAGICLESS


@dataclass(frozen=True, eq=False, slots=True)
class Steps:
    """Changes of ``steps`` (int8 [n], -8 to 7) times 2**``exponent`` least significant bits."""

    exponent: int
    steps: np.ndarray

    @classmethod
    def nearest(cls, changes: np.ndarray) -> Steps:
        """Return those that come nearest to ``changes`` (float64 [n], least significant bits), in squares."""
        largest = float(np.abs(changes).max(initial=0.0))
        if not largest:
            return cls(0, np.zeros(len(changes), np.int8))
        # From where the largest change just fits to where it is cut to a quarter.
        top = int(np.ceil(np.log2(largest / _MOST)))
        tried = sorted({min(max(e, 0), _MOST_EXPONENT) for e in range(top - 2, top + 1)})
        all_steps = [np.clip(np.rint(changes / 2.0**e), _LEAST, _MOST) for e in tried]
        errors = [float(((s * 2.0**e - changes) ** 2).sum()) for e, s in zip(tried, all_steps, strict=True)]
        best = int(np.argmin(errors))
        return cls(tried[best], all_steps[best].astype(np.int8))


@dataclass(frozen=True, eq=False, slots=True)
class Update:
    """What moves, layer by layer from the first agreed one on."""

    layers: tuple[Steps, ...]

    def applied(self, base: Model, agreed: Agreed) -> Model:
        """Return ``base`` moved; codes saturate."""
        codes = list(base.codes)
        for layer, moves in enumerate(self.layers, agreed.first):
            moved = codes[layer].reshape(-1).astype(np.int64)
            moved[agreed.weights[layer]] += moves.steps.astype(np.int64) << moves.exponent
            codes[layer] = (
                np.clip(moved, -(1 << 15), (1 << 15) - 1).astype(np.int16).reshape(codes[layer].shape)
            )
        return base.with_codes(codes)


def encode_update(base: Model, new: Model, update: Update) -> bytes:
    """Return the message that turns ``base`` into ``new``, which is ``update`` applied to it."""
    exponents = bytes(moves.exponent for moves in update.layers)
    steps = np.concatenate([moves.steps - _LEAST for moves in update.layers]).astype(np.uint8)
    parameters = zstandard.ZstdCompressionParameters.from_level(19, format=_FORMAT, write_content_size=0)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compress(steps.tobytes())
    return _MAGIC + base.digest[:_BASE_DIGEST] + new.digest[:_NEW_DIGEST] + exponents + packed


def apply_update(base: Model, data: bytes, agreed: Agreed) -> Model:
    """Return the new model: the exact inverse of :func:`encode_update`.

    Raises DeltaError for an update of another base, a truncated or damaged one, or one that gives another model than it says.
    """
    counts = [len(own) for own in agreed.weights[agreed.first :]]
    try:
        reader = Reader(data)
        magic, base_digest, new_digest, exponents = (
            reader.take(size).tobytes() for size in (len(_MAGIC), _BASE_DIGEST, _NEW_DIGEST, len(counts))
        )
        steps = _unpacked(data[len(magic) + _BASE_DIGEST + _NEW_DIGEST + len(counts) :], sum(counts))
    except MessageError as error:
        raise DeltaError(f"update is unusable: {error}") from error
    if magic != _MAGIC:
        raise DeltaError(f"another kind of message: {magic!r} instead of {_MAGIC!r}")
    if base_digest != base.digest[:_BASE_DIGEST]:
        raise DeltaError(
            f"update is for version {base_digest.hex()}, the backup is version {base.digest.hex()}"
        )
    if max(exponents) > _MOST_EXPONENT:
        raise DeltaError("update is unusable: its steps are larger than any")
    parts = np.split(steps, np.cumsum(counts)[:-1])
    new = Update(tuple(map(Steps, exponents, parts))).applied(base, agreed)
    if not new.digest.startswith(new_digest):
        raise DeltaError(f"update promised version {new_digest.hex()} but gave {new.digest.hex()}")
    return new


def _unpacked(packed: bytes, count: int) -> np.ndarray:
    """Return ``count`` steps (int8)."""
    try:
        steps = zstandard.ZstdDecompressor(format=_FORMAT).decompress(packed, max_output_size=count + 1)
    except zstandard.ZstdError as error:
        raise MessageError(f"cannot be decompressed: {error}") from error
    found = np.frombuffer(steps, np.uint8)
    if len(found) != count or (found > _MOST - _LEAST).any():
        raise MessageError(f"{count} steps of four bits expected, {len(found)} found")
    return (found.astype(np.int16) + _LEAST).astype(np.int8)
