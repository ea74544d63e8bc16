"""Pieces of work that are kept: each a function with what shapes its result, done once, found again after an interruption."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifesim.files import atomic_write

FOLDER = "cells"


@dataclass(frozen=True, slots=True)
class Task:
    """``function(*arguments)`` returns plain values (JSON); ``shaped_by`` (JSON as well) is all that they depend on.

    ``weight`` says how long it takes, relative to others, for the progress and for what is begun first.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    shaped_by: dict[str, Any]
    weight: float = 1.0

    @property
    def fingerprint(self) -> str:
        """A hash of what shapes the result."""
        what = json.dumps([self.name, self.function.__name__, self.shaped_by], sort_keys=True)
        return hashlib.blake2b(what.encode(), digest_size=16).hexdigest()

    def path(self, directory: Path) -> Path:
        """Return the file that keeps the result in a result directory."""
        return directory / FOLDER / f"{self.name}.json"

    def kept(self, directory: Path) -> Any:
        """Return the result if it is there; raises LookupError if not, or if something else shaped what is there."""
        try:
            found = json.loads(self.path(directory).read_text(encoding="utf-8"))
            if found["fingerprint"] == self.fingerprint:
                return found["result"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise LookupError(self.name)


def work(task: Task, directory: Path) -> Any:
    """Do a task and keep its result. What comes back has been through JSON, as that of a task found again has."""
    result = task.function(*task.arguments)
    text = json.dumps({"fingerprint": task.fingerprint, "shaped_by": task.shaped_by, "result": result})
    atomic_write(task.path(directory), text + "\n")
    return json.loads(text)["result"]
