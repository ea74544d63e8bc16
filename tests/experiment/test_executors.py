"""Where work runs: the same answers and the same errors in this process and in others."""

from __future__ import annotations

import functools
import operator
import os
import signal
import subprocess
import sys
from concurrent.futures import CancelledError, Executor, Future
from pathlib import Path

import pytest
import torch

from lifesim.errors import LifesimError
from lifesim.experiment.executors import Background, InProcessExecutor, SteadyExecutor, make_executor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def spawned():
    with make_executor(2) as executor:
        yield executor


def test_one_worker_is_this_process() -> None:
    with make_executor(1) as executor:
        assert isinstance(executor, InProcessExecutor)
        assert executor.submit(os.getpid).result() == os.getpid()


def test_workers_are_other_processes_with_one_thread(spawned) -> None:
    assert spawned.submit(os.getpid).result() != os.getpid()
    assert spawned.submit(torch.get_num_threads).result() == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_task_gives_its_error(workers: int, spawned) -> None:
    executor = spawned if workers == 2 else InProcessExecutor()
    future = executor.submit(operator.truediv, 1, 0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        future.result()
    assert executor.submit(operator.add, 1, 1).result() == 2


def test_ctrl_c_in_a_task_of_this_process_is_no_result() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        InProcessExecutor().submit(interrupted)


def test_a_worker_never_sees_ctrl_c(spawned) -> None:
    pid = spawned.submit(os.getpid).result()
    os.kill(pid, signal.SIGINT)
    assert spawned.submit(operator.add, 1, 1).result() == 2


def test_ctrl_c_of_the_caller_is_as_it_was(spawned) -> None:
    spawned.submit(int).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_what_has_not_begun_is_cancelled_when_the_block_is_left_by_an_exception() -> None:
    waiting = []
    with pytest.raises(KeyboardInterrupt), make_executor(2) as executor:
        waiting = [executor.submit(int) for _ in range(200)]
        raise KeyboardInterrupt
    assert all(future.done() for future in waiting)
    with pytest.raises(CancelledError):
        waiting[-1].result()


def test_ctrl_c_while_workers_start_prints_nothing() -> None:
    """The whole process group gets the signal, as from a terminal, while the workers still import."""
    code = (
        "import os, signal, sys\n"
        "from lifesim.experiment.executors import make_executor\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        with make_executor(2) as executor:\n"
        "            future = executor.submit(int)\n"
        "            os.killpg(0, signal.SIGINT)\n"
        "            future.result()\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


class Held(Executor):
    """Whose tasks begin and end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[tuple[Future, object]] = []

    def submit(self, fn, /, *args, **kwargs) -> Future:
        self.begun.append((Future(), functools.partial(fn, *args, **kwargs)))
        return self.begun[-1][0]

    def end(self, number: int) -> None:
        future, work = self.begun[number]
        try:
            future.set_result(work())
        except ZeroDivisionError as error:
            future.set_exception(error)


def test_tasks_in_the_background_are_begun_in_their_order_and_few_at_a_time() -> None:
    held = Held()
    background = Background(held, 2)
    futures = [background.submit(operator.truediv, 1, i) for i in range(6)]
    assert len(held.begun) == 2 and not any(f.done() for f in futures)
    held.end(1)
    assert len(held.begun) == 3 and futures[1].result() == 1.0
    held.end(0)
    with pytest.raises(ZeroDivisionError):
        futures[0].result()
    assert len(held.begun) == 4
    background.widen(4)
    assert len(held.begun) == 6
    for number in range(2, 6):
        held.end(number)
    assert [f.result() for f in futures[1:]] == [1 / i for i in range(1, 6)]


def test_a_task_that_cannot_be_begun_in_the_background_gives_the_error() -> None:
    class Broken(Executor):
        def submit(self, fn, /, *args, **kwargs) -> Future:
            raise RuntimeError("no worker is left")

    background = Background(Broken(), 1)
    for future in [background.submit(operator.neg, i) for i in range(3)]:
        with pytest.raises(RuntimeError, match="no worker is left"):
            future.result()


def test_many_tasks_in_the_background_of_this_process() -> None:
    background = Background(InProcessExecutor(), 1)
    assert [background.submit(operator.neg, i).result() for i in range(2000)] == [-i for i in range(2000)]


# -- processes that die --


def _dies_once(flag: str, value: int) -> int:
    """Kill the process in which it runs, unless it has done so before."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return value
    os.kill(os.getpid(), signal.SIGKILL)


def _dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_dead_worker_was_at_is_run_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with make_executor(2) as executor:
        futures = [
            executor.submit(_dies_once, str(tmp_path / "died"), i)
            if i == 3
            else executor.submit(operator.neg, i)
            for i in range(8)
        ]
        assert [future.result() for future in futures] == [0, -1, -2, 3, -4, -5, -6, -7]
    assert (tmp_path / "died").exists()
    assert caplog.messages == ["a worker process has died; what it was at is run again"]


def test_a_task_that_kills_every_worker_fails_and_no_other_does() -> None:
    with make_executor(2) as executor:
        deadly = executor.submit(_dies)
        futures = [executor.submit(operator.neg, i) for i in range(6)]
        with pytest.raises(LifesimError, match="died each time"):
            deadly.result()
        assert [future.result() for future in futures] == [-i for i in range(6)]
        assert executor.submit(operator.neg, 7).result() == -7


def test_steady_tasks_begin_in_order_and_can_be_cancelled_before() -> None:
    held = Held()
    steady = SteadyExecutor(lambda: held, 2)
    futures = [steady.submit(operator.truediv, 1, i) for i in range(5)]
    assert len(held.begun) == 2 and futures[3].cancel() and not futures[0].cancel()
    for number in range(4):
        held.end(number)
    with pytest.raises(ZeroDivisionError):
        futures[0].result()
    assert [futures[i].result() for i in (1, 2, 4)] == [1.0, 0.5, 0.25]
    steady.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        steady.submit(operator.neg, 1)


def test_processes_compute_with_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with make_executor(2) as executor:
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
        assert executor.submit(torch.get_num_threads).result() == 1
    assert os.environ["OMP_NUM_THREADS"] == "7"
