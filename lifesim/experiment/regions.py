"""A fleet of regions: each simulated alone, as a task of its own, and added to the others as it finishes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import TypeVar

import pyarrow as pa

from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.lives import Fidelity, Prepared, Progress, live, prepare
from lifesim.experiment.tables import Table, devices_table, events_table
from lifesim.experiment.totals import FleetTotals, totals_of
from lifesim.fleet.hardware import make_schedule
from lifesim.scenario.load import scenario_digest
from lifesim.scenario.models import Scenario

Result = TypeVar("Result")

_AHEAD = 2  # tasks a worker: one that it is at, one that waits for it


@dataclass(frozen=True, slots=True)
class RegionResult:
    """One region: what adds up, and what is told apart: the rows of devices.csv, and the trace as an Arrow table. ``cpu_s``: what it took."""

    number: int
    totals: FleetTotals
    devices: Table
    events: pa.Table
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RegionCost:
    """What one region came to, by measure, and the CPU time that it took."""

    measures: dict[str, float]
    cpu_s: float


_PREPARED: dict[str, Prepared] = {}
"""Of the scenario whose regions this process is at."""


def region_of(scenario: Scenario, number: int) -> Scenario:
    """Return one region of a scenario, ``number`` counting from its first, as a scenario of its own."""
    regions = scenario.regions.model_copy(update={"count": 1, "first": scenario.regions.first + number})
    return scenario.model_copy(update={"regions": regions})


def simulate_region(
    scenario: Scenario,
    number: int,
    *,
    stepped: bool = False,
    device: str = "cpu",
    fidelity: Fidelity = "exact",
    executor: Executor | None = None,
    progress: Progress = lambda share, doing: None,
) -> RegionResult:
    """Simulate one region of a scenario from 0 to the horizon, in this process alone unless there is an ``executor``.

    It is a pure function of the scenario and the number: whoever runs it, wherever, gets the same.
    """
    began_s = time.process_time()
    region = region_of(scenario, number)
    prepared = prepared_once(scenario, device, fidelity)
    lives = live(
        region,
        executor or InProcessExecutor(),
        stepped=stepped,
        device=device,
        fidelity=fidelity,
        progress=progress,
        among_others=scenario.regions.count > 1,
        # What a schedule of somebody's own remembers is nothing to another region.
        prepared=replace(
            prepared,
            plans={
                name: replace(plan, schedule=make_schedule(plan.group, region))
                for name, plan in prepared.plans.items()
            },
        ),
    )
    return RegionResult(
        number,
        totals_of(lives),
        devices_table(lives.accounts, lives.fleet.plans),
        events_table([(a.record, a.events) for a in lives.accounts]),
        time.process_time() - began_s,
    )


def prepared_once(scenario: Scenario, device: str, fidelity: Fidelity) -> Prepared:
    """Return what is the same in all regions: a process works it out once, as small regions take less time than that."""
    key = f"{scenario_digest(scenario)} {device} {fidelity}"
    if key not in _PREPARED:
        _PREPARED.clear()
        _PREPARED[key] = prepare(scenario, device, fidelity)
    return _PREPARED[key]


def results_in_order(
    submit: Callable[[int], Future[Result]], numbers: Sequence[int], workers: int
) -> Iterator[Result]:
    """Yield the results of what is submitted for each number, in order. A few are begun ahead, so that workers have work and few results wait."""
    begun: deque[Future[Result]] = deque()
    left = iter(numbers)
    try:
        while True:
            while (
                len(begun) < (_AHEAD * workers if workers > 1 else 1)
                and (number := next(left, None)) is not None
            ):
                begun.append(submit(number))
            if not begun:
                return
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
