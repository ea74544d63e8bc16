"""What the fleets of one replication have in common is worked out once: retrainings of the same model around the same faults.

Schedules see the same cells fail. As long as their diagnoses have found the same ones in the same order, the cloud is asked for the same retraining under each of them; a
retraining is a pure function of its task, so its message can be kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import fields
from typing import Any

import numpy as np

from lifesim.experiment.executors import InProcessExecutor
from lifesim.fleet.redeployment import Agreement, Retraining, prepare

MOST_KEPT = 2000
"""Messages, of some 10 to 30 kB each."""


class SharingExecutor(InProcessExecutor):
    """Runs each task at once, in the caller, but a retraining that it has run before. Counts ``asked`` and ``shared`` retrainings."""

    def __init__(self, most_kept: int = MOST_KEPT):
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._most_kept = most_kept
        self.asked = self.shared = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if fn is not prepare:
            return super().submit(fn, *args, **kwargs)
        return super().submit(self._prepare, *args)

    def _prepare(self, task: Retraining) -> bytes:
        key = content(task)
        self.asked += 1
        if key in self._kept:
            self.shared += 1
            self._kept.move_to_end(key)
            return self._kept[key]
        message = self._kept[key] = prepare(task)
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return message


def content(task: Retraining) -> Hashable:
    """Return what a retraining's message depends on: equal for tasks that are equal, though not the same objects."""
    return tuple(_content(getattr(task, field.name)) for field in fields(task))


def _content(value: Any) -> Hashable:
    match value:
        case np.ndarray():
            return value.dtype.str, value.shape, value.tobytes()
        case Agreement():  # follows from the clean model, and from the data and the settings, which are the task's
            return "agreement", value.clean
        case _:
            return value
