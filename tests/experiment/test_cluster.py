"""A dask cluster as the executor: the same answers and errors, and clear words where it cannot be used."""

from __future__ import annotations

import gc
import operator
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lifesim.errors import LifesimError, UserError
from lifesim.experiment import cluster
from lifesim.experiment.cluster import DaskExecutor

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def executor(address: str) -> Iterator[DaskExecutor]:
    with DaskExecutor(address) as executor:
        yield executor


def faults_of_large_arrays(count: int) -> int:
    """Return the page faults that making and dropping so many arrays of 1 MB takes."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.ones(1 << 17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="how glibc maps memory")
def test_workers_use_the_memory_of_large_arrays_again(executor: DaskExecutor) -> None:
    """Mapped anew, each array would take 256 faults."""
    assert executor.submit(faults_of_large_arrays, 100).result() < 100 * 256 / 4


def test_tasks_run_in_other_processes_with_one_thread(executor: DaskExecutor) -> None:
    assert executor.workers == 2
    assert executor.submit(os.getpid).result() != os.getpid()
    assert executor.submit(torch.get_num_threads).result() == 1
    assert [f.result() for f in [executor.submit(operator.neg, i) for i in range(20)]] == [
        -i for i in range(20)
    ]


def test_a_task_is_run_each_time_that_it_is_asked_for(executor: DaskExecutor) -> None:
    assert len({executor.submit(os.urandom, 8).result() for _ in range(3)}) == 3


def test_a_failing_task_gives_its_error(executor: DaskExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        executor.submit(operator.truediv, 1, 0).result()


def _dies_once(flag: str, value: int) -> int:
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return value
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_whose_worker_is_killed_is_run_by_another(executor: DaskExecutor, tmp_path: Path) -> None:
    assert executor.submit(_dies_once, str(tmp_path / "died"), 3).result(timeout=60) == 3
    assert (tmp_path / "died").exists()


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_S", 0.2)
    before = [thing for thing in gc.get_objects() if type(thing) is distributed.Client]
    with pytest.raises(UserError, match="--executor dask:tcp://127.0.0.1:1: no dask scheduler answers"):
        DaskExecutor("tcp://127.0.0.1:1")
    with pytest.raises(UserError, match="no dask scheduler answers"):
        DaskExecutor("what://is this")
    left = [thing for thing in gc.get_objects() if type(thing) is distributed.Client and thing not in before]
    assert not left, (
        "clients that never connected must not be left: dask may wait for ever when they are collected"
    )


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r'pip install "lifesim\[dask\]"'):
        DaskExecutor("tcp://127.0.0.1:8786")


def test_a_worker_with_other_versions_is_refused(
    address: str, executor: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ("9.9.9", *cluster.versions()[1:])
    monkeypatch.setattr(cluster, "versions", lambda: here)
    with pytest.raises(UserError, match=r"worker tcp://.*: lifesim .* instead of 9\.9\.9"):
        DaskExecutor(address)
    with pytest.raises(LifesimError, match=r"a worker of the cluster has lifesim .* instead of 9\.9\.9"):
        executor.submit(operator.neg, 1).result()


def test_workers_with_several_threads_are_refused() -> None:
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as local,
        pytest.raises(UserError, match="has 2 threads; must be 1"),
    ):
        DaskExecutor(local.scheduler_address)
