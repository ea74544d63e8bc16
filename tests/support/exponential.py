"""A device process with a twin that fails at exponential times, for tests and benchmarks.

pytest finds this folder through ``pythonpath`` in pyproject.toml.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import simpy

from lifesim.crossbar.cost import Cost, Writing
from lifesim.crossbar.faults import FaultMap
from lifesim.detection.schedules import Finding, Outcome, Periodic, Schedule, VisitCosts
from lifesim.fleet.device import Device, Surroundings, Unit
from lifesim.fleet.policy import Policy
from lifesim.fleet.records import DeviceRecord, Grid, State
from lifesim.streams import first_uniform

NO_FAULTS = FaultMap.empty(1)


class Programming(NamedTuple):
    """What decides everything until the next programming: its ordinal, its end, and when the device fails
    after it.
    """

    epoch: int
    time_ns: int
    failure_ns: int


class ExponentialTwin:
    """Fails ``mean_ns`` after a programming on average, independently at each; a test sees it at once, a
    refresh cures it.
    """

    sees_ahead = True

    def __init__(self, key: int, mean_ns: float, started_ns: int = 0):
        self.key = key
        self._mean_ns = mean_ns
        self.programming_ns = 0
        self._programming = self._program(0, started_ns)

    def snapshot(self) -> Programming:
        return self._programming

    def foresee(self, times_ns: Sequence[int]) -> None:
        pass

    def first_alarm(self, times_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        position = bisect_left(times_ns, self._programming.failure_ns)
        return Finding(position, Outcome.ALARM, reads=1) if position < len(times_ns) else None

    def read_goldens(self, time_ns: int) -> None:
        pass

    def knows_baseline(self, known: FaultMap) -> bool:
        return False

    def halt(self, time_ns: int) -> None:
        pass

    def diagnose(self, known: FaultMap) -> tuple[FaultMap, int]:
        return NO_FAULTS, 0

    def resume(self, time_ns: int) -> None:
        self._programming = self._programming._replace(time_ns=time_ns)

    def next_writing(self, changes_only: bool) -> Writing:
        return Writing(1, self.programming_ns)

    def interrupt(self, time_ns: int, done_ns: int, latency_ns: int, changes_only: bool) -> None:
        assert 0 < done_ns < latency_ns == self.programming_ns

    def program(self, time_ns: int) -> None:
        self._programming = self._program(self._programming.epoch + 1, time_ns)

    def _program(self, epoch: int, time_ns: int) -> Programming:
        # Keys are hashed again, so that neighbours are as good as any; hashing a tuple would take longer than all else that a repair does.
        life_ns = -math.log(first_uniform(self.key + epoch)) * self._mean_ns
        return Programming(epoch, time_ns, time_ns + math.ceil(life_ns))


class NoCuts:
    """A place where the power never goes."""

    def first_after(self, time_ns: int) -> None:
        return None


def live(
    twin,
    schedule: Schedule,
    grid: Grid | None,
    horizon_ns: int,
    *,
    stepped: bool,
    read_ns: int,
    diagnosis_ns: int,
    programming_ns: int,
    baseline_reads: int = 0,
    policy: Policy = Policy(offline_while_waiting=False, retire_after=1),  # noqa: B008 (frozen)
    service=None,
    power_cuts=NoCuts(),  # noqa: B008 (has no state)
    commissioned_ns: int = 0,
    rereads: int = 0,
    again_ns: int = 0,
) -> DeviceRecord:
    """Return the record of one device that lives until ``horizon_ns``.

    ``twin``: the device's, or a function of generation and time that makes one. ``service`` is called with
    the environment and the grid.
    """
    env = simpy.Environment(initial_time=0)
    read = Cost(read_ns, 0.0, 0)
    diagnosis, programming = Cost(diagnosis_ns, 0.0, 5), Cost(programming_ns, 0.0, 1)
    again = Cost(again_ns, 0.0, 1)
    costs = VisitCosts(read, read, diagnosis, programming, baseline_reads, rereads, again, check=read)

    def make_unit(number: int, generation: int, time_ns: int) -> Unit:
        made = twin(generation, time_ns) if callable(twin) else twin
        made.programming_ns = programming_ns
        return Unit(made, NO_FAULTS)

    around = Surroundings(
        env, make_unit, schedule, costs, policy, service and service(env, grid), horizon_ns, stepped
    )
    device = Device(around, 0, power_cuts, DeviceRecord("group", 0, grid, commissioned_ns))
    env.run(until=horizon_ns)
    device.finish()
    return device.record


def hidden_failure_record(
    key: int, mean_ns: float, interval_ns: int, visit_ns: int, down_ns: int, intervals: int, stepped: bool
):
    """Return the record of a device under periodic inspection of hidden failures.

    Visits of ``visit_ns`` every ``interval_ns``, the first ends after one interval; diagnosis and refresh
    together take ``down_ns``. Availability is :func:`up_ns` over the horizon.
    """
    grid = Grid(interval_ns - visit_ns, interval_ns, visit_ns)
    return live(
        ExponentialTwin(key, mean_ns), Periodic(interval_ns), grid, intervals * interval_ns, stepped=stepped,
        read_ns=visit_ns, diagnosis_ns=down_ns // 3, programming_ns=down_ns - down_ns // 3,
    )  # fmt: skip


def up_ns(record: DeviceRecord) -> int:
    """Return how long the device was serving and had not failed."""
    total, stretches = 0, iter(record.stretches)
    stretch = next(stretches)
    for segment in record.segments:
        if segment.state is not State.SERVING:
            continue
        while stretch.end_ns <= segment.start_ns:
            stretch = next(stretches)
        end_ns = max(segment.start_ns, min(segment.end_ns, stretch.snapshot.failure_ns))
        total += (
            end_ns - segment.start_ns - (record.grid.busy_ns(end_ns) - record.grid.busy_ns(segment.start_ns))
        )
    return total
