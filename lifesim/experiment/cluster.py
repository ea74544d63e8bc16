"""Work on a cluster: tasks go to the workers of a dask scheduler, which are told apart from this process by nothing but where they are."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from lifesim.errors import LifesimError, UserError
from lifesim.experiment.executors import use_one_thread
from lifesim.experiment.versions import difference, versions

_OPTION = "--executor"
_CONNECT_S = 10
_FIRST_WORKER_S = 60
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGE_BYTES = 1 << 25  # glibc's own highest on 64 bits


class DaskExecutor(Executor):
    """The workers of the dask scheduler at ``address``. Use it as a context manager.

    A task whose worker dies is run on another; one that has taken down so many as the scheduler allows (three by default) fails. Raises UserError where nobody
    answers, where no worker is there within a minute, and for workers whose results would not be these: with other versions, or more than one thread.
    """

    def __init__(self, address: str):
        try:
            from distributed import Client
        except ImportError:
            raise UserError(
                f'{_OPTION} dask:{address}: dask is not installed; pip install "lifesim[dask]"'
            ) from None
        where = f"{_OPTION} dask:{address}"
        problem = ""
        try:
            self._client = Client(address, timeout=f"{_CONNECT_S}s", set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            problem = str(error) or type(error).__name__
        if problem:
            # The client that could not connect closes itself when it is collected. Where that happens while dask starts another event loop, it waits for a lock
            # of its own thread for ever: so it is collected now.
            gc.collect()
            raise UserError(
                f"{where}: no dask scheduler answers there; must be such as dask:tcp://10.0.0.1:8786 ({problem})"
            )
        try:
            self._client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
            for worker, problem in self._client.run(_problem, versions()).items():
                if problem:
                    raise UserError(f"{where}: worker {worker}: {problem}")
            for worker, threads in self._client.nthreads().items():
                if threads != 1:
                    raise UserError(
                        f"{where}: worker {worker} has {threads} threads; must be 1 (dask worker --nthreads 1 --nworkers N)"
                    )
        except TimeoutError:
            self._client.close()
            raise UserError(f"{where}: the scheduler has no workers") from None
        except ImportError as error:
            self._client.close()
            raise UserError(f"{where}: lifesim is not installed on the workers ({error})") from None
        except BaseException:
            self._client.close()
            raise
        self.workers = len(self._client.nthreads())
        self._executor = self._client.get_executor(pure=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        return self._executor.submit(_run, versions(), fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            self._executor.shutdown(wait=wait and not cancel_futures)
        self._client.close()

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.shutdown(cancel_futures=kind is not None)


def _run(expected: tuple[str, ...], fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a task as in a process of our own. Workers may have come later than the executor, so each says what it is."""
    problem = _problem(expected)
    if problem:
        raise LifesimError(f"a worker of the cluster has {problem}")
    use_one_thread()
    _keep_large_blocks()
    return fn(*args, **kwargs)


@functools.cache
def _keep_large_blocks() -> None:
    """Have this process use the memory of freed arrays again, as glibc learns to do by itself where nothing is set.

    dask sets ``MALLOC_TRIM_THRESHOLD_`` for its workers to 64 kB, with which the threshold for mappings stays at 128 kB, too (mallopt(3)): every larger array is
    mapped and cleared anew, and a task takes a third longer.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)  # as mallopt(3) has it


def _problem(expected: tuple[str, ...]) -> str:
    return difference(expected, versions())
