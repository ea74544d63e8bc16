"""Files that are either whole or not there: written beside their place, then moved onto it; and where those go that can be made again."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import platformdirs


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write ``data`` so that ``path`` holds all of it or what it held before, whatever happens in between.

    Text is written as UTF-8. The folder is made if need be. Raises OSError (disk full, no permission); the unfinished file is removed.
    """
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Give a file to write to, piece by piece, that takes its place at ``path`` when the block ends; as :func:`atomic_write`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        # Like any new file's, its permissions follow the process's umask.
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def cache_directory() -> Path:
    """Where trained networks and fetched data lie: LIFESIM_CACHE_DIR if it is set, otherwise the user's cache directory."""
    return Path(
        os.environ.get("LIFESIM_CACHE_DIR") or platformdirs.user_cache_dir("lifesim", appauthor=False)
    )
