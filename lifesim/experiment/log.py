"""The operator's log: what a run does and when, one JSON object a line. The fleet's own trace is another matter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from lifesim.errors import UserError


@contextlib.contextmanager
def open_log(path: str | Path | None, **context: Any) -> Iterator[Any]:
    """Give a logger that adds to the file at ``path``, or that drops everything; ``context`` stands in every line.

    Raises UserError if the file cannot be written.
    """
    if path is None:
        yield structlog.wrap_logger(None, processors=[_drop])
        return
    try:
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(f"--log-json {path}: cannot be written: {error.strerror}") from error
    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(),
    ]
    with file:
        yield structlog.wrap_logger(structlog.WriteLogger(file), processors=processors).bind(**context)


def _drop(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    raise structlog.DropEvent
