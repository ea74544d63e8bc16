"""What the fleets of one replication have in common is worked out once: retrainings of the same model around the same faults.

Schedules see the same cells fail. As long as their diagnoses have found the same ones in the same order, the cloud is asked for the same retraining under each of them; a
retraining is a pure function of its task, so its message can be kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from lifesim.experiment.content import content_key
from lifesim.experiment.executors import InProcessExecutor
from lifesim.fleet.redeployment import Retraining, prepare

MOST_KEPT = 2000
"""Messages, of some 10 to 30 kB each."""


class SharingExecutor(InProcessExecutor):
    """Runs each task at once, in the caller, but a retraining that it has run before. Counts ``asked`` and ``shared`` retrainings."""

    def __init__(self, most_kept: int = MOST_KEPT):
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._most_kept = most_kept
        self.asked = self.shared = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        if fn is not prepare:
            return super().submit(fn, *args, **kwargs)
        return super().submit(self._prepare, *args)

    def _prepare(self, task: Retraining) -> bytes:
        key = content_key(task)
        self.asked += 1
        if key in self._kept:
            self.shared += 1
            self._kept.move_to_end(key)
            return self._kept[key]
        message = self._kept[key] = prepare(task)
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return message
