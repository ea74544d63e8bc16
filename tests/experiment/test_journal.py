"""The journal: what is kept is found, and whatever has happened to the file, nothing is found that was not kept."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifesim.errors import LifesimError, UserError
from lifesim.experiment.journal import MAGIC, Journal

ABOUT = {"scenario": "a", "lifesim": "1"}


def key(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


KEPT = {key(n): bytes([n]) * (n * 7) for n in range(6)}


def filled(path: Path) -> Path:
    with Journal(path, ABOUT) as journal:
        for each, contents in KEPT.items():
            journal.add(each, contents)
    return path


def found(path: Path) -> dict[bytes, bytes]:
    with Journal(path, ABOUT) as journal:
        return {each: journal.get(each) for each in KEPT if each in journal}


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    path = filled(tmp_path / "new" / "journal")
    assert found(path) == KEPT
    with Journal(path, ABOUT) as journal:
        assert (len(journal), journal.dropped, journal.get(key(99))) == (6, 0, None)
        journal.add(key(3), b"something else")
        assert journal.get(key(3)) == KEPT[key(3)]
        journal.add(key(99), b"")
        assert journal.get(key(99)) == b""
        journal.delete()
    assert not path.exists()


@pytest.mark.parametrize("cut", range(1, 260, 3))
def test_of_a_file_cut_anywhere_the_whole_records_are_found(tmp_path: Path, cut: int) -> None:
    path = filled(tmp_path / "journal")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    there = found(path)
    assert there.items() <= KEPT.items() and list(there) == list(KEPT)[: len(there)]
    assert len(there) >= 6 - (cut // 72 + 1)
    # What is added after it is found with it, and the file is what it would have been.
    with Journal(path, ABOUT) as journal:
        for each, contents in KEPT.items():
            journal.add(each, contents)
    assert path.read_bytes() == whole


@given(at=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_of_a_damaged_file_nothing_is_found_that_was_not_kept(tmp_path_factory, at: int, flip: int) -> None:
    path = filled(tmp_path_factory.mktemp("damaged") / "journal")
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= flip
    path.write_bytes(data)
    if at % len(data) < len(MAGIC):
        with pytest.raises(UserError, match="no journal"):
            found(path)
        assert path.read_bytes() == data
    else:
        assert found(path).items() <= KEPT.items()


def test_damage_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal")
    with Journal(path, ABOUT) as journal:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        assert journal.get(key(5)) is None and journal.get(key(4)) == KEPT[key(4)]


@pytest.mark.parametrize(
    "contents", [b"PK\x03\x04 a zip", b"time_s,devices\n", b"lifesim journal 9\n" + bytes(200)]
)
def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(contents)
    with pytest.raises(UserError, match=r"journal: is no journal of lifesim"):
        Journal(path, ABOUT)
    assert path.read_bytes() == contents


def test_a_journal_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"lifesim 1, not 2; use another directory"):
        Journal(path, ABOUT | {"lifesim": "2"})
    assert path.read_bytes() == before and found(path) == KEPT


def test_two_processes_cannot_write_at_once(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal")
    code = f"from pathlib import Path; from lifesim.experiment.journal import Journal; Journal(Path({str(path)!r}), {ABOUT})"
    with Journal(path, ABOUT):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is in use" in done.stderr


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes half of a record and then no more."""
    path = filled(tmp_path / "journal")
    journal = Journal(path, ABOUT)

    class Full:
        def __init__(self, file) -> None:
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data) -> int:
            if len(data) > 50:
                return self._file.write(data[:50])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    whole, file = path.read_bytes(), journal._file
    journal._file = Full(file)
    with pytest.raises(LifesimError, match="journal: No space left"):
        journal.add(key(77), b"x" * 20)
    assert path.read_bytes() == whole and key(77) not in journal
    journal._file = file
    journal.add(key(77), b"there is room again")
    file.close()
    with Journal(path, ABOUT) as again:
        assert again.get(key(77)) == b"there is room again" and again.dropped == 0
