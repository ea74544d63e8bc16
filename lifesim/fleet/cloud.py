"""The cloud: a few workers who serve the fleet's jobs from one queue, first come first served or the worst first.

A heap instead of SimPy's PriorityResource, which sorts its whole queue at every request.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import simpy

from lifesim.fleet.clock import DISPATCH, wait
from lifesim.fleet.outages import Outages


@dataclass(slots=True, eq=False)
class Job:
    """One request of a device, its ``ordinal``-th (from 0).

    ``done`` happens, with the job as value, when a worker has finished it, or when it has ``expired``: no worker took it up in time.
    ``score`` says how bad the device is; only its order matters.
    """

    device: int
    ordinal: int
    submitted_ns: int
    payload: Any
    done: simpy.Event
    score: int = 0
    started_ns: int | None = None
    service_ns: int | None = None
    expired: bool = False

    @property
    def waiting_ns(self) -> int | None:
        """How long the job waited for a worker; None if none has taken it up."""
        return None if self.started_ns is None else self.started_ns - self.submitted_ns


@dataclass(slots=True)
class CloudTotals:
    """Counts over the run; ``waiting_ns`` is over the jobs that were started. submitted - started - expired jobs wait now."""

    submitted: int = 0
    started: int = 0
    finished: int = 0
    expired: int = 0
    waiting_ns: int = 0


@dataclass(slots=True)
class Cloud:
    """``workers`` equal workers and one queue.

    Its order is (time of submission, device, ordinal), after the score if the worst are served first. The jobs of one instant are
    collected; the last event of the instant hands them to free workers. So the order of service does not depend on the order in which
    SimPy happened to run the devices.

    Parameters
    ----------
    service_ns : time a worker takes for a job; called when the job starts, after ``on_start``
    on_start : called when a worker takes up a job, e.g. to attach the newest fault map and to start the retraining
    order : "fifo", or "worst_first": the highest score first
    expires_after_ns : a job that no worker has taken up so long after its submission leaves the queue; None: never
    outages : when the whole cloud is down: no job starts, those in progress pause
    """

    env: simpy.Environment
    workers: int
    service_ns: Callable[[Job], int]
    on_start: Callable[[Job], None]
    order: Literal["fifo", "worst_first"] = "fifo"
    expires_after_ns: int | None = None
    outages: Outages = field(default_factory=Outages)
    totals: CloudTotals = field(default_factory=CloudTotals, init=False)
    # (rank, number of the entry, job); stale if the job has started or expired, or has another rank by now
    _queue: list[tuple[tuple[int, ...], int, Job]] = field(default_factory=list, init=False)
    _entries: int = field(default=0, init=False)
    _ordinals: Counter[int] = field(default_factory=Counter, init=False)
    _busy_workers: int = field(default=0, init=False)
    _busy_ns: int = field(default=0, init=False)
    _busy_until_ns: int = field(default=0, init=False)
    _dispatch_due: bool = field(default=False, init=False)

    def submit(self, device: int, payload: Any = None, score: int = 0) -> Job:
        """Queue a job now and return it."""
        job = Job(device, self._ordinals[device], self.env.now, payload, self.env.event(), score)
        self._ordinals[device] += 1
        self.totals.submitted += 1
        if self.expires_after_ns is not None:
            self.env.timeout(self.expires_after_ns, job).callbacks.append(self._expire)
        self._enqueue(job)
        return job

    def rescore(self, job: Job, score: int) -> None:
        """Change the score of a job that may still wait."""
        if self.order == "worst_first" and score != job.score and job.started_ns is None and not job.expired:
            job.score = score
            self._enqueue(job)

    @property
    def busy_ns(self) -> int:
        """Worker time spent on jobs until now, unfinished ones included, pauses of the cloud, too."""
        return self._busy_ns + self._busy_workers * (self.env.now - self._busy_until_ns)

    def _enqueue(self, job: Job) -> None:
        heapq.heappush(self._queue, (self._rank(job), self._entries, job))
        self._entries += 1
        self._dispatch_later()

    def _rank(self, job: Job) -> tuple[int, ...]:
        first = -job.score if self.order == "worst_first" else 0
        return first, job.submitted_ns, job.device, job.ordinal

    def _next(self) -> Job | None:
        """Take the first job out of the queue."""
        while self._queue:
            rank, _, job = heapq.heappop(self._queue)
            if job.started_ns is None and not job.expired and rank == self._rank(job):
                return job
        return None

    def _dispatch_later(self) -> None:
        if self._queue and self._busy_workers < self.workers and not self._dispatch_due:
            self._dispatch_due = True
            wait(self.env, self.outages.up_from(self.env.now) - self.env.now, DISPATCH).callbacks.append(
                self._dispatch
            )

    def _dispatch(self, _: simpy.Event) -> None:
        self._dispatch_due = False
        while self._busy_workers < self.workers and (job := self._next()):
            self._engage(+1)
            job.started_ns = self.env.now
            self.totals.started += 1
            self.totals.waiting_ns += job.waiting_ns
            self.on_start(job)
            job.service_ns = self.service_ns(job)
            done_ns = self.outages.done_by(self.env.now, job.service_ns)
            self.env.timeout(done_ns - self.env.now, job).callbacks.append(self._finish)

    def _finish(self, event: simpy.Event) -> None:
        self._engage(-1)
        self.totals.finished += 1
        event.value.done.succeed(event.value)
        self._dispatch_later()

    def _expire(self, event: simpy.Event) -> None:
        job = event.value
        if job.started_ns is None:
            job.expired = True
            self.totals.expired += 1
            job.done.succeed(job)

    def _engage(self, change: int) -> None:
        self._busy_ns, self._busy_until_ns = self.busy_ns, self.env.now
        self._busy_workers += change


def queue_load(devices: int, interval_s: float, service_s: float, workers: int) -> float:
    """Return the load rho = N D / (c (tau + D)) of ``workers`` by devices that each call every ``interval_s`` on average.

    A device does not call again before it has been served, hence tau + D. From 0.9 the queue grows long; from 1 the workers
    cannot keep up.
    """
    return devices * service_s / (workers * (interval_s + service_s))
