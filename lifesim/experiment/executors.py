"""Where long work runs: one ``concurrent.futures.Executor``, in this process or in others."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import Any

import torch


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
        with _without_interrupts():
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


def make_executor(workers: int) -> Executor:
    """Return an executor with ``workers`` spawned processes, or this process for one. Use it as a context manager."""
    if workers == 1:
        return InProcessExecutor()
    return SpawnedExecutor(workers)


def _prepare_worker() -> None:
    # One thread a worker: cores are not oversubscribed, and sums have one order.
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
