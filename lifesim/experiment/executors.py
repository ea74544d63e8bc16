"""Where long work runs: one ``concurrent.futures.Executor``, in this process or in others."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import heapq
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from lifesim.errors import LifesimError

_STRIKES = 3
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_log = logging.getLogger("lifesim")


class InProcessExecutor(Executor):
    """Runs each task at once, in the caller; its futures are done when they are returned."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class SpawnedExecutor(ProcessPoolExecutor):
    """``workers`` spawned processes. Ctrl-C is the parent's to handle: they never see it, and what has not begun is not waited for."""

    def __init__(self, workers: int):
        super().__init__(workers, multiprocessing.get_context("spawn"), initializer=_prepare_worker)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        # A process that is started here inherits the mask; a handler of its own would come too late, after its imports.
        with _without_interrupts(), _one_thread_each():
            return super().submit(fn, *args, **kwargs)

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.shutdown(wait=True, cancel_futures=kind is not None)


class Background(Executor):
    """Passes tasks on to ``executor``, only ``at_a_time`` of them at any time: nobody else's has to queue behind more than these."""

    def __init__(self, executor: Executor, at_a_time: int):
        self._executor = executor
        self._at_a_time = at_a_time
        self._running = 0
        self._waiting: deque[tuple[Future, Callable[[], Future]]] = deque()
        self._lock = threading.Lock()  # a task ends in a thread of the executor's

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        with self._lock:
            self._waiting.append((future, functools.partial(self._executor.submit, fn, *args, **kwargs)))
        self._pass_on()
        return future

    def widen(self, at_a_time: int) -> None:
        """From now on there may be so many at a time."""
        self._at_a_time = at_a_time
        self._pass_on()

    def _pass_on(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._running >= self._at_a_time:
                    return
                self._running += 1
                future, begin = self._waiting.popleft()
            try:
                inner = begin()
            except Exception as error:  # such as of a pool that has lost a worker
                inner = Future()
                inner.set_exception(error)
            inner.add_done_callback(functools.partial(self._done, future))

    def _done(self, future: Future, inner: Future) -> None:
        with self._lock:
            self._running -= 1
        if inner.cancelled():
            future.cancel()
            return
        error = inner.exception()
        if error is None:
            future.set_result(inner.result())
        else:
            future.set_exception(error)
        self._pass_on()


@dataclass(slots=True, order=True)
class _Task:
    """``strikes``: how often the pool broke while it was in it."""

    number: int
    work: Callable[[Executor], Future] = field(compare=False)
    future: Future = field(compare=False)
    begun: bool = field(default=False, compare=False)
    strikes: int = field(default=0, compare=False)


class SteadyExecutor(Executor):
    """Passes tasks on to a pool, ``at_a_time`` of them, and to a new one where a process of it has died: what was in it is run again.

    A task that was in a pool that broke need not have broken it. So it is run again with others once, and then alone; if the pool breaks again, it is
    the task's doing and the task fails.
    """

    def __init__(self, make_pool: Callable[[], Executor], at_a_time: int):
        self._make_pool = make_pool
        self._at_a_time = at_a_time
        self._pool: Executor | None = None
        self._waiting: list[_Task] = []  # a heap, by number: in the order of submission
        self._running: set[int] = set()
        self._alone = False
        self._submitted = 0
        self._closed = False
        self._lock = threading.RLock()  # a task ends in a thread of the pool's

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._submitted += 1
            heapq.heappush(
                self._waiting,
                _Task(self._submitted, lambda pool: pool.submit(fn, *args, **kwargs), future),
            )
            self._pass_on()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            waiting = [task.future for task in self._waiting]
            if cancel_futures:
                self._waiting = []
        for future in waiting:
            if cancel_futures:
                future.cancel()
            elif wait:
                concurrent.futures.wait([future])
        with self._lock:
            self._closed, pool = True, self._pool
        if pool is not None:
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.shutdown(wait=True, cancel_futures=kind is not None)

    def _pass_on(self) -> None:
        while self._waiting and len(self._running) < self._at_a_time and not self._alone:
            alone = self._waiting[0].strikes >= _STRIKES - 1
            if alone and self._running:
                return
            task = heapq.heappop(self._waiting)
            if not (task.begun or task.future.set_running_or_notify_cancel()):
                continue
            task.begun = True
            self._pool = pool = self._pool or self._make_pool()
            self._running.add(task.number)
            self._alone = alone
            try:
                inner = task.work(pool)
            except BrokenExecutor:  # it broke before the task was in it
                self._running.discard(task.number)
                self._alone, self._pool = False, None
                heapq.heappush(self._waiting, task)
                pool.shutdown(wait=False)
                continue
            inner.add_done_callback(functools.partial(self._done, task, pool))

    def _done(self, task: _Task, pool: Executor, inner: Future) -> None:
        with self._lock:
            self._running.discard(task.number)
            self._alone = False
            error = None if inner.cancelled() else inner.exception()
            if isinstance(error, BrokenExecutor) and not self._closed:
                task.strikes += 1
                if self._pool is pool:
                    self._pool = None
                    pool.shutdown(wait=False)
                    _log.warning("a worker process has died; what it was at is run again")
                if task.strikes < _STRIKES:
                    heapq.heappush(self._waiting, task)
                    self._pass_on()
                    return
                error = LifesimError(
                    "the process died each time that this was run, alone at last: out of memory?"
                )
            self._pass_on()
        if inner.cancelled():
            task.future.set_exception(CancelledError())
        elif error is None:
            task.future.set_result(inner.result())
        else:
            task.future.set_exception(error)


def make_executor(workers: int) -> Executor:
    """Return an executor with ``workers`` spawned processes, or this process for one. Use it as a context manager.

    A process that dies is replaced, and what it was at is run again.
    """
    if workers == 1:
        return InProcessExecutor()
    return SteadyExecutor(functools.partial(SpawnedExecutor, workers), 2 * workers)


def use_one_thread() -> None:
    """Compute with one thread in this process: cores are not oversubscribed, and sums have one order."""
    torch.set_num_threads(1)


def _prepare_worker() -> None:
    use_one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have processes that are started in the block use one thread for what reads its number at their start."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block, in this thread and in the processes that it starts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
