"""A model update as it travels to a device: which codes change, and by how much, relative to one version of the model.

Message: ``LSD1``, digest of the base (16 bytes), digest of the new model (16 bytes), the compressed changes, CRC-32. The
changes are the positions in all layers' codes laid end to end and the differences of the codes, modulo 2**16.
"""

from __future__ import annotations

from itertools import pairwise
from weakref import WeakValueDictionary

import numpy as np

from lifesim.errors import LifesimError
from lifesim.network.model import Model
from lifesim.recovery.coding import (
    MessageError,
    Reader,
    pack_count,
    pack_differences,
    pack_positions,
    seal,
    unseal,
)

_MAGIC = b"LSD1"
_DIGEST_SIZE = 16


class DeltaError(LifesimError):
    """The delta cannot be made, or cannot be applied: it is damaged or belongs to another version of the model."""


def encode_delta(base: Model, new: Model) -> bytes:
    """Return the message that turns ``base`` into ``new``. Raises DeltaError if they differ in more than their codes."""
    if base.with_codes(new.codes).digest != new.digest:
        raise DeltaError("a delta carries codes only, but the models differ in more than that")
    before, after = _flat(base), _flat(new)
    positions = np.flatnonzero(before != after)
    differences = after[positions] - before[positions]
    body = pack_count(len(positions)) + pack_positions(positions) + pack_differences(differences)
    return seal(_MAGIC, base.digest + new.digest, body)


def apply_delta(base: Model, data: bytes) -> Model:
    """Return the new model: the exact inverse of :func:`encode_delta`.

    Raises DeltaError for a delta against another base, a truncated or damaged one, or one that gives another model than it says.
    """
    try:
        head, body = unseal(_MAGIC, 2 * _DIGEST_SIZE, data)
        base_digest, new_digest = head[:_DIGEST_SIZE], head[_DIGEST_SIZE:]
        if base_digest != base.digest:
            raise DeltaError(
                f"delta is for version {base_digest.hex()}, the backup is version {base.digest.hex()}"
            )
        reader = Reader(body)
        count = reader.count()
        positions, differences = reader.positions(count), reader.differences(count)
    except MessageError as error:
        raise DeltaError(f"delta is unusable: {error}") from error
    codes = _flat(base)
    if count and positions[-1] >= len(codes):
        raise DeltaError(f"delta changes weight {positions[-1]} of {len(codes)}")
    codes[positions] += differences
    ends = np.cumsum([0, *(layer.size for layer in base.codes)])
    layers = [
        codes[a:b].reshape(layer.shape) for (a, b), layer in zip(pairwise(ends), base.codes, strict=True)
    ]
    new = base.with_codes(layers)
    if new.digest != new_digest:
        raise DeltaError(f"delta promised version {new_digest.hex()} but gave {new.digest.hex()}")
    return shared(new)


_held: WeakValueDictionary[bytes, Model] = WeakValueDictionary()


def shared(model: Model) -> Model:
    """Return the model of this content that was seen first: the cloud and the device that apply the same delta hold one copy."""
    return _held.setdefault(model.digest, model)


def _flat(model: Model) -> np.ndarray:
    return np.concatenate([layer.reshape(-1) for layer in model.codes])
