"""A journal of what has been worked out: records that are only ever added, each of which says for itself whether it is whole.

    file    = MAGIC, record of the head, record, record, ...
    record  = length of key and contents (8 bytes), SHA-256 of length, key and contents (32), key (32), contents

A record is found by its key, a hash of all that its contents depend on. Whatever does not match its hash is not trusted: neither a record that was being written when the
process died, nor what follows a damaged one, of which nobody knows where it begins. Contents are bytes, and nothing in a file is ever executed: no pickles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from lifesim.errors import LifesimError, UserError

try:
    import fcntl
except ImportError:  # not on every system
    fcntl = None

MAGIC = b"lifesim journal 1\n"
KEY_BYTES = 32
_SIZE = struct.Struct("<Q")
_HASH_BYTES = 32
_FRONT = _SIZE.size + _HASH_BYTES
_HEAD_KEY = bytes(KEY_BYTES)


class Journal:
    """The journal at ``path``, of what ``about`` describes (names and values as text); made if there is none, and locked while it is open.

    ``dropped``: bytes at the end that did not match their hash and were cut off. Raises UserError for a file that is no journal or is about something else, or
    that another process has open, and OSError where it cannot be opened; nothing of such a file is changed.
    """

    def __init__(self, path: Path, about: Mapping[str, str]):
        self.path = path
        self.dropped = 0
        self._places: dict[bytes, tuple[int, int]] = {}  # key -> where its contents lie
        self._lock = threading.Lock()  # results come from threads of executors
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        try:
            self._keep_to_itself()
            self._end = self._read(dict(about))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def get(self, key: bytes) -> bytes | None:
        """Return what was kept under a key; None if nothing was, or if it is not what it was."""
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            begin, size = place
            self._file.seek(begin - KEY_BYTES - _FRONT)
            record = _next(self._file, _FRONT + KEY_BYTES + size)
        return None if record is None or record[0] != key else record[1]

    def add(self, key: bytes, contents: bytes) -> None:
        """Keep something, unless something is kept under this key. Raises LifesimError (the disk is full): then nothing of it is in the journal."""
        with self._lock:
            if key not in self._places:
                self._append(key, contents)

    def delete(self) -> None:
        """Remove the file: nobody needs it any more."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _append(self, key: bytes, contents: bytes) -> None:
        front = _SIZE.pack(KEY_BYTES + len(contents))
        digest = hashlib.sha256(front + key + contents).digest()
        record = memoryview(front + digest + key + contents)
        try:
            self._file.seek(self._end)
            written = 0
            while written < len(record):
                written += self._file.write(record[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise LifesimError(f"{self.path}: {error.strerror}; what is in it can be gone on with") from error
        if key != _HEAD_KEY:
            self._places[key] = self._end + _FRONT + KEY_BYTES, len(contents)
        self._end += len(record)

    def _keep_to_itself(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self.path}: is in use: another process is at work in this directory") from None
        except OSError:  # a file system without locks
            return

    def _read(self, about: dict[str, str]) -> int:
        """Read what is there, or begin; return where it ends."""
        size = os.fstat(self._file.fileno()).st_size
        begun = self._file.read(min(size, len(MAGIC)))
        if not MAGIC.startswith(begun):
            raise UserError(
                f"{self.path}: is no journal of lifesim; move it elsewhere, or use another directory"
            )
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as file:
            file.seek(len(MAGIC))
            head = _next(file, size) if len(begun) == len(MAGIC) else None
            if head is None or head[0] != _HEAD_KEY:  # not even begun, or damaged from the beginning
                end = 0
            else:
                _refuse_other(self.path, json.loads(head[1]), about)
                end = file.tell()
                for key, length in _records(file, size):
                    self._places[key] = file.tell() - length, length
                    end = file.tell()
        if end < size:
            self.dropped = size - end
            self._file.truncate(end)
        self._end = end
        if not end:
            self._file.seek(0)
            self._file.write(MAGIC)
            self._end = len(MAGIC)
            self._append(_HEAD_KEY, json.dumps(about).encode())
        return self._end


def _records(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Yield key and length of contents of each whole record; the file then stands at its end."""
    while (record := _next(file, size - file.tell())) is not None:
        yield record[0], len(record[1])


def _next(file: BinaryIO, left: int) -> tuple[bytes, bytes] | None:
    """Read a record of at most ``left`` bytes; None if there is none, or if it is not whole."""
    front = file.read(_FRONT) if left >= _FRONT else b""
    if len(front) < _FRONT:
        return None
    (length,) = _SIZE.unpack_from(front)
    if not KEY_BYTES <= length <= left - _FRONT:
        return None
    body = file.read(length)
    if hashlib.sha256(front[: _SIZE.size] + body).digest() != front[_SIZE.size :]:
        return None
    return body[:KEY_BYTES], body[KEY_BYTES:]


def _refuse_other(path: Path, there: dict[str, str], about: dict[str, str]) -> None:
    differing = [
        f"{name} {there.get(name, 'unknown')}, not {value}"
        for name, value in about.items()
        if there.get(name) != value
    ]
    if differing:
        raise UserError(
            f"{path}: is the journal of something else: {'; '.join(differing)}; use another directory, or --force to begin anew"
        )
