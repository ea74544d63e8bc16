"""What is watched gives what it gave; how long it took is nobody's business here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lifesim.experiment import stopwatch as module
from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.stopwatch import Stopwatch, TimedExecutor, TimedSchedule, peak_memory_bytes


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """A stopwatch in a world in which every look at the clock takes a second."""
    ticks = iter(range(1000))
    monkeypatch.setattr(module.time, "perf_counter", lambda: float(next(ticks)))
    return Stopwatch()


def test_stays_add_up_by_name_even_if_they_end_badly(watch: Stopwatch) -> None:
    with watch("a"):
        pass
    with watch("a"), watch("b"):
        pass
    with pytest.raises(KeyError), watch("b"):
        {}["missing"]
    assert watch.seconds == {"a": 1 + 3, "b": 1 + 1}


class Schedule:
    interval_ns = 7

    def visit_cost(self, costs: str) -> str:
        return f"of {costs}"

    def first_finding(self, device: str, ends_ns: list[int]) -> tuple:
        return device, ends_ns

    def set_baseline(self, device: list, time_ns: int) -> None:
        device.append(time_ns)


def test_a_timed_schedule_is_the_schedule(watch: Stopwatch) -> None:
    timed, baselines = TimedSchedule(Schedule(), watch), []
    assert (timed.interval_ns, timed.visit_cost("reads")) == (7, "of reads")
    assert timed.first_finding("device", [1]) == ("device", [1])
    timed.set_baseline(baselines, 5)
    assert baselines == [5]
    assert watch.seconds == {"tests": 2.0}


@pytest.mark.parametrize("inner", [InProcessExecutor, lambda: ThreadPoolExecutor(1)])
def test_a_timed_executor_answers_and_fails_as_the_executor_does(watch: Stopwatch, inner) -> None:
    with inner() as executor:
        timed = TimedExecutor(executor, "work", watch)
        assert timed.submit(pow, 2, 5).result() == 32
        failing = timed.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            failing.result()
        assert failing.done()
    assert watch.seconds == {"work": 4.0}


def test_memory_is_counted_in_bytes() -> None:
    peak = peak_memory_bytes()
    assert peak is None or peak > 10_000_000
