"""CIFAR-10's files (Krizhevsky, www.cs.toronto.edu/~kriz/cifar.html): the python version, its archive, or the binary version."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lifesim.errors import UserError

ARCHIVE = "cifar-10-python.tar.gz"
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")

_PIXELS = 3 * 32 * 32
_SHAPE = (-1, 3, 32, 32)
# What a pickled array is made of, under numpy's old and new names.
_HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def find_cifar10(directory: Path) -> Callable[[], tuple[np.ndarray, ...]] | None:
    """Return what reads the CIFAR-10 that lies in a directory or its usual folders; None if there is none."""
    for name, suffix in (("cifar-10-batches-py", ""), ("cifar-10-batches-bin", ".bin")):
        for place in (directory, directory / name):
            files = [place / f"{batch}{suffix}" for batch in BATCHES]
            if all(file.is_file() for file in files):
                read = _read_binary if suffix else _read_pickle
                return lambda files=files, read=read: _joined([read(_bytes_of(f), f) for f in files])
    archive = directory / ARCHIVE
    return (lambda: read_archive(archive)) if archive.is_file() else None


def read_archive(path: Path) -> tuple[np.ndarray, ...]:
    """Return train pictures, train labels, test pictures, test labels of ``cifar-10-python.tar.gz``: uint8 [N, 3, 32, 32], int64 [N].

    Raises UserError.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if (name := Path(member.name).name) in BATCHES and member.isfile():
                    found[name] = archive.extractfile(member).read()  # type: ignore[union-attr]
    except (OSError, EOFError, tarfile.TarError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if missing := [batch for batch in BATCHES if batch not in found]:
        raise UserError(f"{path}: has no {', '.join(missing)}")
    return _joined([_read_pickle(found[batch], path / batch) for batch in BATCHES])


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of arrays; refuses to call anything else, as a pickle from elsewhere could."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of CIFAR-10")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _read_pickle(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        batch = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], np.int64)
    except Exception as error:  # damaged pickles raise whatever their bytes happen to ask for
        raise UserError(f"{path}: is not a batch of CIFAR-10 (python version): {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), _PIXELS):
        raise UserError(
            f"{path}: has {len(labels)} labels and {pixels.dtype} pixels of shape {pixels.shape}, not uint8 N x 3072"
        )
    return pixels.reshape(_SHAPE), labels


def _read_binary(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not data or len(data) % (1 + _PIXELS):
        raise UserError(f"{path}: has {len(data)} bytes, not a multiple of 3073: is it whole?")
    records = np.frombuffer(data, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:].reshape(_SHAPE), records[:, 0].astype(np.int64)


def _joined(batches: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, ...]:
    *train, test = batches
    return np.concatenate([p for p, _ in train]), np.concatenate([n for _, n in train]), *test
