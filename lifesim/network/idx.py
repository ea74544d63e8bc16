"""MNIST's files: arrays of bytes in the IDX format (LeCun et al., yann.lecun.com/exdb/mnist), gzipped or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from lifesim.errors import UserError

_UNSIGNED_BYTES = b"\0\0\x08"


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Return the array of unsigned bytes in an IDX file. Raises UserError for a file that is not one, or cut short."""
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    head = 4 + 4 * dimensions
    if len(data) < head or data[:4] != _UNSIGNED_BYTES + bytes([dimensions]):
        raise UserError(f"{path}: is not an IDX file of unsigned bytes in {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    if len(data) - head != np.prod(shape, dtype=object):
        raise UserError(f"{path}: holds {len(data) - head} bytes, its head says {shape}: is it whole?")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def read_mnist(files: dict[str, Path]) -> tuple[np.ndarray, ...]:
    """Return train pictures, train labels, test pictures, test labels, from files by their standard names.

    uint8 [N, 1, 28, 28] and int64 [N]. Raises UserError.
    """
    arrays: list[np.ndarray] = []
    for part in ("train", "t10k"):
        pictures = read_idx(files[f"{part}-images-idx3-ubyte"], 3)
        labels = read_idx(files[f"{part}-labels-idx1-ubyte"], 1)
        if pictures.shape != (len(labels), 28, 28) or labels.max(initial=0) > 9:
            where = files[f"{part}-images-idx3-ubyte"].parent
            raise UserError(
                f"{where}: {part} has pictures of shape {pictures.shape} and {len(labels)} labels up to {labels.max(initial=0)}; "
                "MNIST has as many pictures of 28 x 28 as labels, 0 to 9"
            )
        arrays += [pictures[:, None], labels.astype(np.int64)]
    return tuple(arrays)
