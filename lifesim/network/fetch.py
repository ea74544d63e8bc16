"""Data sets from the web: fetched once, checked, kept in the user's cache."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lifesim.errors import LifesimError

_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 16


def fetch(what: str, base_url: str, checksums: Mapping[str, str], directory: Path) -> list[Path]:
    """Return the files of ``checksums`` (name -> "md5:..." or SHA-256) in ``directory``, fetched from ``base_url`` where they are not.

    LIFESIM_DATA_URL, if it is set, is asked instead of ``base_url``. A bar shows the progress on a terminal. A file is kept only if its
    checksum is right. Raises LifesimError, with what to do by hand, if that fails.
    """
    import pooch  # here, as it takes a while, and only who fetches needs it

    url = (os.environ.get("LIFESIM_DATA_URL") or base_url).rstrip("/") + "/"
    pooch.get_logger().setLevel(logging.ERROR)  # what it would tell, the bar or the error does
    store = pooch.create(path=directory, base_url=url, registry=dict(checksums))
    paths = []
    for name in checksums:
        try:
            paths.append(Path(store.fetch(name, downloader=_download)))
        # requests' errors are OSErrors; pooch's own, for a wrong checksum, is a ValueError
        except (OSError, ValueError) as error:
            raise LifesimError(
                f"{what} cannot be fetched: {url}{name}: {_reason(error)}. Put {', '.join(checksums)} into a directory and name it: "
                "network.data_dir in the scenario, --data-dir, or LIFESIM_DATA_DIR; or set LIFESIM_DATA_URL to a mirror"
            ) from error
    return paths


def _download(url: str, path: str, _: Any) -> None:
    """Write what ``url`` gives into a file: pooch's protocol of a downloader, which checks and names the file afterwards."""
    import requests

    with requests.get(url, stream=True, timeout=_TIMEOUT_S) as response, open(path, "wb") as file:
        response.raise_for_status()
        with _bar(url.rsplit("/", 1)[1], int(response.headers.get("Content-Length", 0))) as advance:
            for chunk in response.iter_content(_CHUNK_BYTES):
                file.write(chunk)
                advance(len(chunk))


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code} {response.reason}"
    text = " ".join(str(error).split())
    if isinstance(error, ValueError) and "hash" in text:
        return "what came is damaged or another file: its checksum is wrong"
    if isinstance(error, OSError) and type(error).__module__.startswith("requests"):
        return f"no connection, or it broke ({type(error).__name__})"
    return text


@contextlib.contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told of every few bytes, and on a terminal shows them as a bar."""
    if not sys.stderr.isatty():
        yield lambda advance: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("fetching {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total or None)
        yield lambda advance: progress.update(task, advance=advance)
