"""The cloud: a few workers who serve the fleet's jobs first come, first served.

A heap instead of SimPy's PriorityResource, which sorts its whole queue at every request.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import simpy

from lifesim.fleet.clock import DISPATCH, wait


@dataclass(slots=True, eq=False)
class Job:
    """One request of a device, its ``ordinal``-th (from 0). ``done`` happens when a worker has finished it, with the job as value."""

    device: int
    ordinal: int
    submitted_ns: int
    payload: Any
    done: simpy.Event
    started_ns: int | None = None
    service_ns: int | None = None

    @property
    def waiting_ns(self) -> int | None:
        """How long the job waited for a worker; None while it still waits."""
        return None if self.started_ns is None else self.started_ns - self.submitted_ns


@dataclass(slots=True)
class CloudTotals:
    """Counts over the run; ``waiting_ns`` is over the jobs that were started. submitted - started jobs wait now."""

    submitted: int = 0
    started: int = 0
    finished: int = 0
    waiting_ns: int = 0


@dataclass(slots=True)
class Cloud:
    """``workers`` equal workers and one queue in the order of (time of submission, device, ordinal).

    The jobs of one instant are collected; the last event of the instant hands them to free workers. So the order of service
    does not depend on the order in which SimPy happened to run the devices.

    Parameters
    ----------
    service_ns : time a worker takes for a job; called when the job starts, after ``on_start``
    on_start : called when a worker takes up a job, e.g. to attach the newest fault map and to start the retraining
    """

    env: simpy.Environment
    workers: int
    service_ns: Callable[[Job], int]
    on_start: Callable[[Job], None]
    totals: CloudTotals = field(default_factory=CloudTotals, init=False)
    _queue: list[tuple[int, int, int, Job]] = field(default_factory=list, init=False)
    _ordinals: Counter[int] = field(default_factory=Counter, init=False)
    _busy_workers: int = field(default=0, init=False)
    _busy_ns: int = field(default=0, init=False)
    _busy_until_ns: int = field(default=0, init=False)
    _dispatch_due: bool = field(default=False, init=False)

    def submit(self, device: int, payload: Any = None) -> Job:
        """Queue a job now and return it."""
        job = Job(device, self._ordinals[device], self.env.now, payload, self.env.event())
        self._ordinals[device] += 1
        self.totals.submitted += 1
        heapq.heappush(self._queue, (job.submitted_ns, device, job.ordinal, job))
        self._dispatch_later()
        return job

    @property
    def waiting(self) -> int:
        """Jobs in the queue now."""
        return len(self._queue)

    @property
    def busy_workers(self) -> int:
        """Workers with a job now."""
        return self._busy_workers

    @property
    def busy_ns(self) -> int:
        """Worker time spent on jobs until now, unfinished ones included."""
        return self._busy_ns + self._busy_workers * (self.env.now - self._busy_until_ns)

    def _dispatch_later(self) -> None:
        if self._queue and self._busy_workers < self.workers and not self._dispatch_due:
            self._dispatch_due = True
            wait(self.env, 0, DISPATCH).callbacks.append(self._dispatch)

    def _dispatch(self, _: simpy.Event) -> None:
        self._dispatch_due = False
        while self._queue and self._busy_workers < self.workers:
            job = heapq.heappop(self._queue)[-1]
            self._engage(+1)
            job.started_ns = self.env.now
            self.totals.started += 1
            self.totals.waiting_ns += job.waiting_ns
            self.on_start(job)
            job.service_ns = self.service_ns(job)
            self.env.timeout(job.service_ns, job).callbacks.append(self._finish)

    def _finish(self, event: simpy.Event) -> None:
        self._engage(-1)
        self.totals.finished += 1
        event.value.done.succeed(event.value)
        self._dispatch_later()

    def _engage(self, change: int) -> None:
        self._busy_ns, self._busy_until_ns = self.busy_ns, self.env.now
        self._busy_workers += change


def queue_load(devices: int, interval_s: float, service_s: float, workers: int) -> float:
    """Return the load rho = N D / (c (tau + D)) of ``workers`` by devices that each call every ``interval_s`` on average.

    A device does not call again before it has been served, hence tau + D. From 0.9 the queue grows long; from 1 the workers
    cannot keep up.
    """
    return devices * service_s / (workers * (interval_s + service_s))
