"""Files that are either whole or not there."""

import errno
import os
import stat

import pytest

from lifesim.files import atomic_write

OLD, NEW = b"old content", b"new " * 10_000


def fails(number):
    def raise_error(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return raise_error


class FullDisk:
    """A file on a disk that has room for ``room`` more bytes."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        self._file.write(data[: self._room])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()


def test_bytes_and_text(tmp_path):
    atomic_write(tmp_path / "a", NEW)
    assert (tmp_path / "a").read_bytes() == NEW
    atomic_write(str(tmp_path / "a"), "Zürich\n")
    assert (tmp_path / "a").read_bytes() == "Zürich\n".encode()
    assert os.listdir(tmp_path) == ["a"]


def test_the_folder_is_made(tmp_path):
    atomic_write(tmp_path / "one" / "two" / "a", b"")
    assert (tmp_path / "one" / "two" / "a").read_bytes() == b""


@pytest.mark.parametrize("before", [None, OLD])
@pytest.mark.parametrize("where", ["open", "write", "fsync", "replace", "interrupt"])
def test_whatever_fails_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, before, where):
    path = tmp_path / "a"
    if before is not None:
        path.write_bytes(before)
    expected = OSError
    if where == "write":
        fdopen = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda *args: FullDisk(fdopen(*args), 100))
    elif where == "interrupt":
        expected = KeyboardInterrupt

        def interrupted(handle):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupted)
    else:
        monkeypatch.setattr(os, where, fails(errno.ENOSPC))
    with pytest.raises(expected):
        atomic_write(path, NEW)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ([] if before is None else ["a"])
    if before is not None:
        assert path.read_bytes() == before


def test_text_that_cannot_be_encoded_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        atomic_write(tmp_path / "a", "\ud800")
    assert os.listdir(tmp_path) == []


def test_the_data_is_on_the_disk_before_the_name_points_to_it(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (done.append(("fsync", os.fstat(handle).st_size)), fsync(handle))
    )
    monkeypatch.setattr(os, "replace", lambda *args: (done.append("replace"), replace(*args)))
    atomic_write(tmp_path / "a", NEW)
    assert done == [("fsync", len(NEW)), "replace"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_result_has_the_permissions_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        atomic_write(tmp_path / "a", b"")
        (tmp_path / "b").touch()
        assert os.umask(umask) == umask, "the umask is as it was"
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
    assert modes[0] == modes[1] == 0o666 & ~umask


def test_a_folder_in_the_place_of_the_file_is_an_error_and_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        atomic_write(tmp_path / "a", b"")
    assert os.listdir(tmp_path) == ["a"] and os.listdir(tmp_path / "a") == []
