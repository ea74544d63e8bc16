"""Where a run's wall-clock time and memory go. It watches from outside: nothing that is simulated knows of it, or depends on it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

from lifesim.detection.schedules import Finding, Schedule

try:
    import resource
except ImportError:  # not on every system
    resource = None


class Stopwatch:
    """Seconds by name, added up over every stay in ``with stopwatch("name")``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class TimedSchedule:
    """A schedule whose reads, of tests and of baselines, are timed as "tests"."""

    def __init__(self, schedule: Schedule, stopwatch: Stopwatch):
        self._schedule = schedule
        self._stopwatch = stopwatch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._schedule, name)

    def first_finding(self, *asked: Any) -> Finding | None:
        with self._stopwatch("tests"):
            return self._schedule.first_finding(*asked)

    def next_visit(self, *asked: Any) -> int | None:
        with self._stopwatch("tests"):
            return self._schedule.next_visit(*asked)

    def set_baseline(self, *asked: Any) -> None:
        with self._stopwatch("tests"):
            self._schedule.set_baseline(*asked)


class TimedExecutor(Executor):
    """An executor whose work, as far as its caller has to wait for it, is timed under ``name``."""

    def __init__(self, executor: Executor, name: str, stopwatch: Stopwatch):
        self._executor = executor
        self._name = name
        self._stopwatch = stopwatch

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> _TimedFuture:
        with self._stopwatch(self._name):
            future = self._executor.submit(fn, *args, **kwargs)
        return _TimedFuture(future, self._name, self._stopwatch)


class _TimedFuture:
    def __init__(self, future: Future, name: str, stopwatch: Stopwatch):
        self._future = future
        self._name = name
        self._stopwatch = stopwatch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._future, name)

    def result(self, timeout: float | None = None) -> Any:
        with self._stopwatch(self._name):
            return self._future.result(timeout)


def peak_memory_bytes() -> int | None:
    """Return the most memory that this process has held at a time; None where the system does not say.

    Workers are not in it: what the system remembers of a process that has ended is that of whoever started it, if that was more.
    """
    if resource is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
