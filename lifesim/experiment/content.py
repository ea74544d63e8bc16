"""A hash of what a piece of work depends on: equal for equal contents, in whatever process they were put together."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel

from lifesim.crossbar.faults import FaultMap
from lifesim.crossbar.overlay import Written
from lifesim.network.datasets import load_dataset
from lifesim.network.model import Model
from lifesim.scenario.network import DataSource


def content_key(*values: Any) -> bytes:
    """Return a 32-byte hash of values and all that they hold. Raises TypeError for what nothing is known of, such as a function."""
    digest = hashlib.sha256()
    _feed(digest, values)
    return digest.digest()


def _feed(digest: Any, value: Any) -> None:
    match value:
        case None | bool() | int() | float() | str():
            _say(digest, type(value).__name__, repr(value).encode())
        case enum.Enum():
            _say(digest, type(value).__qualname__, value.name.encode())
        case bytes():
            _say(digest, "bytes", value)
        case np.ndarray():
            _say(
                digest,
                f"{value.dtype.str}{value.shape}",
                np.ascontiguousarray(value).data.cast("B") if value.size else b"",
            )
        case np.generic():
            _say(digest, value.dtype.str, value.tobytes())
        case Model():
            _say(digest, "Model", value.digest)
        case FaultMap():
            _say(digest, "FaultMap", value.digest())
            _feed(digest, value.encoding)
        case DataSource():  # the files behind a name may have changed
            _say(digest, "DataSource", load_dataset(value).digest)
        case Written():
            levels = value.levels_from(0) if callable(value.levels) else value.levels
            _feed(digest, ("Written", value.cells, levels, value.first_cell))
        case BaseModel():
            _say(digest, type(value).__qualname__, value.model_dump_json().encode())
        case _ if is_dataclass(value):
            _say(digest, type(value).__qualname__, b"")
            for field in fields(value):
                _feed(digest, getattr(value, field.name))
        case Mapping():
            _say(digest, "mapping", str(len(value)).encode())
            for key, of_key in value.items():
                _feed(digest, key)
                _feed(digest, of_key)
        case Sequence():
            _say(digest, "sequence", str(len(value)).encode())
            for item in value:
                _feed(digest, item)
        case _:
            raise TypeError(f"nothing is known of what {type(value).__name__} holds")


def _say(digest: Any, kind: str, contents: Any) -> None:
    # With its length, so that no contents can pose as what follows them.
    digest.update(f"{kind} {len(contents)} ".encode())
    digest.update(contents)
