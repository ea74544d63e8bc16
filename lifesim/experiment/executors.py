"""Where long work runs: one ``concurrent.futures.Executor``, in this process or in others."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
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


def make_executor(workers: int) -> Executor:
    """Return an executor with ``workers`` spawned processes, or this process for one. Use it as a context manager."""
    if workers == 1:
        return InProcessExecutor()
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_prepare_worker)


def _prepare_worker() -> None:
    # One thread a worker: cores are not oversubscribed, and sums have one order. Ctrl-C is the parent's to handle.
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
