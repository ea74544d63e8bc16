"""Data sets from files: MNIST's IDX, CIFAR-10's three forms, fetched or not, whole or not."""

import functools
import gzip
import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading

import numpy as np
import pytest

from lifesim.errors import LifesimError, UserError
from lifesim.network import datasets
from lifesim.network.cifar import BATCHES
from lifesim.network.datasets import load_dataset
from lifesim.scenario.network import DataSource

MNIST_NAMES = [
    f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """No data of the user's, a cache of one's own, nothing remembered."""
    for name in ("LIFESIM_DATA_DIR", "LIFESIM_DATA_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIFESIM_CACHE_DIR", str(tmp_path / "cache"))
    load_dataset.cache_clear()
    yield
    load_dataset.cache_clear()


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def digits(count, seed):
    """Random pictures; every class ``count`` times, the nines once more."""
    labels = np.random.default_rng(seed).permutation(np.append(np.repeat(np.arange(10), count), 9))
    pictures = np.random.default_rng(seed + 1).integers(0, 256, (len(labels), 28, 28), np.uint8)
    return pictures, labels.astype(np.uint8)


@pytest.fixture
def mnist_files():
    return dict(zip(MNIST_NAMES, map(idx, (*digits(20, 1), *digits(4, 3))), strict=True))


def colour(count, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), count))
    return np.random.default_rng(seed + 1).integers(0, 256, (len(labels), 3072), np.uint8), labels


CIFAR = {batch: colour(4, seed) for seed, batch in enumerate(BATCHES)}


def pickled(pixels, labels):
    return pickle.dumps({b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"a batch"}, protocol=2)


def write_cifar(directory, form):
    """Write the same pictures in one of the forms that CIFAR-10 is published in."""
    if form == "binary":
        for batch, (pixels, labels) in CIFAR.items():
            records = np.column_stack([labels.astype(np.uint8), pixels])
            (directory / f"{batch}.bin").write_bytes(records.tobytes())
    elif form == "archive":
        with tarfile.open(directory / "cifar-10-python.tar.gz", "w:gz") as archive:
            for batch, content in CIFAR.items():
                data = pickled(*content)
                member = tarfile.TarInfo(f"cifar-10-batches-py/{batch}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    else:
        for batch, content in CIFAR.items():
            (directory / batch).write_bytes(pickled(*content))


def write(directory, files, packed):
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (directory / (f"{name}.gz" if packed else name)).write_bytes(
            gzip.compress(data, mtime=0) if packed else data
        )
    return directory


# -- from a directory --


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_from_a_directory(tmp_path, mnist_files, packed):
    dataset = load_dataset(DataSource("mnist", str(write(tmp_path / "there", mnist_files, packed))))
    (train, train_labels), (test, test_labels) = digits(20, 1), digits(4, 3)
    assert np.array_equal(dataset.images[:, 0], np.concatenate([train, test]))
    assert np.array_equal(dataset.labels, np.concatenate([train_labels, test_labels]))
    assert dataset.images.dtype == np.uint8 and dataset.labels.dtype == np.int64


def test_parts_are_stratified_and_judge_by_official_test_pictures(tmp_path, mnist_files):
    dataset = load_dataset(DataSource("mnist", str(write(tmp_path, mnist_files, True))))
    assert {name: len(part) for name, part in dataset.split.items()} == {
        "train": 180, "validation": 20, "test": 20, "spec": 20,
    }  # fmt: skip
    for name, part in dataset.split.items():
        assert np.array_equal(np.bincount(dataset.labels[part]), [len(part) // 10] * 10)
        assert (part >= 201).all() if name in ("test", "spec") else (part < 201).all()
    everything = np.concatenate(list(dataset.split.values()))
    assert len(np.unique(everything)) == len(everything)


def test_the_environment_names_a_directory_for_all_data(tmp_path, mnist_files, monkeypatch):
    write(tmp_path / "data" / "mnist", mnist_files, True)
    (tmp_path / "data" / "cifar10").mkdir()
    write_cifar(tmp_path / "data" / "cifar10", "archive")
    monkeypatch.setenv("LIFESIM_DATA_DIR", str(tmp_path / "data"))
    assert load_dataset("mnist").images.shape == (242, 1, 28, 28)
    assert load_dataset("cifar10").images.shape == (240, 3, 32, 32)


@pytest.mark.parametrize("form", ["python", "archive", "binary"])
@pytest.mark.parametrize("folder", [False, True])
def test_cifar10_is_read_in_all_its_forms(tmp_path, form, folder):
    place = tmp_path
    if folder and form != "archive":
        place = tmp_path / {"python": "cifar-10-batches-py", "binary": "cifar-10-batches-bin"}[form]
        place.mkdir()
    write_cifar(place, form)
    dataset = load_dataset(DataSource("cifar10", str(tmp_path)))
    assert np.array_equal(dataset.images.reshape(-1, 3072), np.concatenate([p for p, _ in CIFAR.values()]))
    assert np.array_equal(dataset.labels, np.concatenate([n for _, n in CIFAR.values()]))
    # Of the red, the green and the blue pixels, each row by row.
    assert dataset.images[5, 1, 2, 3] == CIFAR["data_batch_1"][0][5][1024 + 2 * 32 + 3]


def test_a_directory_without_the_data_is_told_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="train-images-idx3-ubyte.*with or without .gz"):
        load_dataset(DataSource("mnist", str(tmp_path)))
    with pytest.raises(UserError, match="cifar-10-batches-bin"):
        load_dataset(DataSource("cifar10", str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (MNIST_NAMES[0], lambda data: data[:-1], "is it whole"),
        (MNIST_NAMES[1], lambda data: b"labels, surely", "not an IDX file"),
        (MNIST_NAMES[0], lambda data: b"", "not an IDX file"),
        (MNIST_NAMES[3], lambda data: idx(np.arange(41, dtype=np.uint8) % 10 + 1), "labels up to 10"),
        (MNIST_NAMES[3], lambda data: idx(np.zeros(3, np.uint8)), "3 labels"),
    ],
)
def test_files_that_are_not_mnist_are_refused(tmp_path, mnist_files, name, change, says):
    files = mnist_files | {name: change(mnist_files[name])}
    with pytest.raises(UserError, match=says):
        load_dataset(DataSource("mnist", str(write(tmp_path, files, True))))


def test_a_gzip_cut_short_is_refused(tmp_path, mnist_files):
    path = write(tmp_path, mnist_files, True) / f"{MNIST_NAMES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="cannot be read"):
        load_dataset(DataSource("mnist", str(tmp_path)))


class Mischief:
    def __reduce__(self):
        return (print, ("this must not be called",))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pickle.dumps({b"data": Mischief()}), "asks for builtins.print"),
        (pickle.dumps({b"data": 1}), "labels"),
        (pickled(np.zeros((3, 3071), np.uint8), np.zeros(3, int)), "N x 3072"),
        (b"\x80\x02", "not a batch"),
    ],
)
def test_files_that_are_not_cifar_are_refused_and_do_nothing(tmp_path, capsys, data, says):
    write_cifar(tmp_path, "python")
    (tmp_path / "data_batch_3").write_bytes(data)
    with pytest.raises(UserError, match=says):
        load_dataset(DataSource("cifar10", str(tmp_path)))
    assert not capsys.readouterr().out


def test_a_binary_batch_or_an_archive_cut_short_is_refused(tmp_path):
    write_cifar(tmp_path, "binary")
    whole = (tmp_path / "test_batch.bin").read_bytes()
    (tmp_path / "test_batch.bin").write_bytes(whole[:-1])
    with pytest.raises(UserError, match="is it whole"):
        load_dataset(DataSource("cifar10", str(tmp_path)))
    (tmp_path / "packed").mkdir()
    write_cifar(tmp_path / "packed", "archive")
    archive = tmp_path / "packed" / "cifar-10-python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(UserError, match="cannot be read"):
        load_dataset(DataSource("cifar10", str(tmp_path / "packed")))


def test_too_few_pictures_are_refused(tmp_path):
    files = dict(zip(MNIST_NAMES, map(idx, (*digits(9, 1), *digits(4, 3))), strict=True))
    with pytest.raises(UserError, match="too few pictures: 9"):
        load_dataset(DataSource("mnist", str(write(tmp_path, files, False))))


# -- fetched --


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A mirror on this machine that serves a folder and counts what it is asked for."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        promised = 0  # bytes beyond what there is

        def do_GET(self):
            asked.append(self.path.lstrip("/"))
            super().do_GET()

        def send_header(self, keyword, value):
            if keyword == "Content-Length":
                value = str(int(value) + Handler.promised)
            super().send_header(keyword, value)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as mirror:
        thread = threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("LIFESIM_DATA_URL", f"http://127.0.0.1:{mirror.server_port}")
        mirror.folder, mirror.asked, mirror.handler = folder, asked, Handler
        yield mirror
        mirror.shutdown()
        thread.join()


@pytest.fixture
def published(server, mnist_files, monkeypatch):
    """The small MNIST is the one that is published."""
    write(server.folder, mnist_files, True)
    sums = {
        f"{name}.gz": "md5:" + hashlib.md5((server.folder / f"{name}.gz").read_bytes()).hexdigest()
        for name in MNIST_NAMES
    }
    monkeypatch.setattr(datasets, "_MNIST_CHECKSUMS", sums)
    return server


def test_what_is_nowhere_is_fetched_once(published):
    assert load_dataset("mnist").images.shape == (242, 1, 28, 28)
    assert sorted(published.asked) == sorted(f"{name}.gz" for name in MNIST_NAMES)
    load_dataset.cache_clear()
    load_dataset("mnist")
    assert len(published.asked) == 4


def test_a_terminal_sees_how_far_it_is(published, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    load_dataset("mnist")
    shown = capsys.readouterr().err
    assert "fetching train-images-idx3-ubyte.gz" in shown and "B/s" in shown


def kept():
    return [path.name for path in (datasets.cache_directory() / "data" / "mnist").iterdir()]


@pytest.mark.parametrize("trouble", ["wrong checksum", "cut short", "connection breaks", "not there"])
def test_trouble_leaves_nothing_and_says_what_to_do(published, trouble):
    path = published.folder / f"{MNIST_NAMES[2]}.gz"
    match trouble:
        case "wrong checksum":
            path.write_bytes(gzip.compress(b"another file"))
            says = "checksum is wrong"
        case "cut short":
            path.write_bytes(path.read_bytes()[:-1])
            says = "checksum is wrong"
        case "connection breaks":
            published.handler.promised = 1000
            says = "no connection, or it broke"
        case "not there":
            path.unlink()
            says = "404"
    with pytest.raises(LifesimError, match=says) as caught:
        load_dataset("mnist")
    message = str(caught.value)
    assert "\n" not in message
    for hint in (
        *MNIST_NAMES,
        "network.data_dir",
        "--data-dir",
        "LIFESIM_DATA_DIR",
        "LIFESIM_DATA_URL",
        "http://127",
    ):
        assert hint in message
    assert path.name not in kept() and not [name for name in kept() if name.startswith("tmp")]


def test_a_second_try_takes_up_where_the_first_failed(published):
    path = published.folder / f"{MNIST_NAMES[2]}.gz"
    whole = path.read_bytes()
    path.unlink()
    with pytest.raises(LifesimError):
        load_dataset("mnist")
    path.write_bytes(whole)
    load_dataset("mnist")
    assert published.asked.count(path.name) == 2
    assert published.asked.count(f"{MNIST_NAMES[0]}.gz") == 1


def test_offline_is_told_what_to_do(monkeypatch):
    monkeypatch.setenv("LIFESIM_DATA_URL", "http://127.0.0.1:9")  # nobody listens to the discard port
    with pytest.raises(
        LifesimError, match="cifar10 cannot be fetched.*no connection.*cifar-10-python.tar.gz"
    ):
        load_dataset("cifar10")
