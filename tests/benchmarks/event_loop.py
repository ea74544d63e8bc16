"""The event loop alone: devices without a network that fail at exponential times and are tested every week, lifesim against lifesim stepped and others."""

from __future__ import annotations

import json
import math
import random
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import simpy
from rich.console import Console

from lifesim.crossbar.cost import Cost
from lifesim.detection.schedules import Periodic, VisitCosts
from lifesim.fleet.device import Device, Surroundings, Unit
from lifesim.fleet.policy import Policy
from lifesim.fleet.power import NO_CUTS
from lifesim.fleet.records import DeviceRecord, Grid
from lifesim.fleet.simulation import piling_up
from lifesim.streams import stream_key
from lifesim.timeunits import NS_PER_S, S_PER_DAY, S_PER_YEAR
from tests.benchmarks import harness
from tests.support.exponential import NO_FAULTS, ExponentialTwin

_RIVAL = Path(__file__).with_name("rivals") / "cimba_model.py"
_MEANS_Y = (10.0, 2.0)
_WAYS = ("replications", "fleet")
_NOTE = (
    "ten years, a test of a minute every week, diagnosis and rewriting half an hour; CPU time on one core, without imports. lifesim keeps a record of "
    "every state, test and repair; SimPy and cimba count visits and repairs. cimba, fleet: all devices in one simulation, as lifesim has them; "
    "replications: every device a simulation of its own. Compiling cimba's model, once"
)


@dataclass(frozen=True, slots=True)
class Task:
    """A fleet: how many devices, for how long, how often tested, failing how often, and how long things take."""

    devices: int
    mean_s: float
    horizon_s: int = 10 * S_PER_YEAR
    interval_s: int = 7 * S_PER_DAY
    visit_s: int = 60
    diagnosis_s: int = 600
    programming_s: int = 1200


Counts = tuple[float, float]
"""Visits and repairs of all devices."""


def measure(
    repeats: int = 5, quick: bool = False, cimba_python: Path | None = None, console: Console | None = None
) -> list[harness.Row]:
    """Return rows of CPU seconds; without an interpreter that has cimba, a line says so and its rows are missing."""
    if cimba_python is None:
        (console or Console()).print(
            "event_loop: without cimba; --cimba-python PATH names an interpreter that has it"
        )
    rows = []
    for mean_y in _MEANS_Y:
        task = Task(100 if quick else 1000, mean_y * S_PER_YEAR)
        rows += _compare(task, f"{task.devices:,} devices, a failure in {mean_y:g} y", repeats, cimba_python)
    return rows


def _compare(task: Task, case: str, repeats: int, cimba_python: Path | None) -> list[harness.Row]:
    records = lived(task, stepped=False)
    if lived(task, stepped=True) != records:
        raise RuntimeError("stepped and skip-ahead leave different records")
    contenders = {
        "lifesim": lambda: lived(task, stepped=False),
        "lifesim, stepped": lambda: lived(task, stepped=True),
        "SimPy, stepped": lambda: inspected(task),
    }
    _check("lifesim", counts_of(records), task)
    _check("SimPy", inspected(task), task)
    times = {what: harness.Times([], []) for what in (*contenders, *(f"cimba, {way}" for way in _WAYS))}
    note = _NOTE
    with _Rival(cimba_python, task) as rival:
        first_s = {way: rival.run(way) for way in _WAYS} if cimba_python else {}
        for _ in range(repeats):
            for what, taken in harness.take_turns(contenders, 1, warm_up=False).items():
                times[what].cpu_s.extend(taken.cpu_s)
            for way in first_s:
                times[f"cimba, {way}"].cpu_s.append(rival.run(way))
    if first_s:
        once_s = first_s["replications"] - min(times["cimba, replications"].cpu_s)
        note = f"{_NOTE}, takes {once_s:.1f} s more and is not counted"
    return [
        harness.seconds_row(
            "event_loop", case, what, taken.cpu_s,
            ratio=harness.ratio(taken.cpu_s, times["lifesim, stepped"].cpu_s), ratio_to="lifesim, stepped", note=note,
        )
        for what, taken in times.items() if taken.cpu_s
    ]  # fmt: skip


@piling_up()
def lived(task: Task, stepped: bool) -> list[DeviceRecord]:
    """Return the records of a fleet under lifesim's device process."""
    env = simpy.Environment(initial_time=0)
    horizon_ns = task.horizon_s * NS_PER_S
    read, diagnosis, programming = (
        Cost(seconds * NS_PER_S, 0.0, 0) for seconds in (task.visit_s, task.diagnosis_s, task.programming_s)
    )

    def make_unit(number: int, generation: int, time_ns: int) -> Unit:
        twin = ExponentialTwin(stream_key("event loop", number), task.mean_s * NS_PER_S, time_ns)
        twin.programming_ns = programming.latency_ns
        return Unit(twin, NO_FAULTS)

    around = Surroundings(
        env,
        make_unit,
        Periodic(task.interval_s * NS_PER_S),
        VisitCosts(read, read, diagnosis, programming, 0, 0),
        Policy(offline_while_waiting=False, retire_after=1),
        None,
        horizon_ns,
        stepped,
    )
    devices = [_device(task, around, slot) for slot in range(task.devices)]
    env.run(until=horizon_ns)
    for device in devices:
        device.finish()
    return [device.record for device in devices]


def _device(task: Task, around: Surroundings, slot: int) -> Device:
    interval_ns = around.schedule.interval_ns
    grid = Grid(interval_ns * slot // task.devices, interval_ns, around.visit_ns)
    return Device(around, slot, NO_CUTS, DeviceRecord("devices", slot, grid))


def counts_of(records: list[DeviceRecord]) -> Counts:
    """Return the visits and repairs that a fleet's records show."""
    quiet = sum(s.end_visit - s.first_visit for record in records for s in record.segments)
    kinds = [event.kind for record in records for event in record.events]
    return quiet + kinds.count("alarm"), kinds.count("refresh")


def inspected(task: Task) -> Counts:
    """Return visits and repairs of the same fleet, written down in SimPy with a wait for everything that lasts."""
    env, rng, counts = simpy.Environment(), random.Random(1), [0, 0]

    def device(phase_s: float):
        begin_s, failure_s = phase_s, rng.expovariate(1 / task.mean_s)
        yield env.timeout(begin_s)
        while True:
            yield env.timeout(task.visit_s)
            counts[0] += 1
            if failure_s <= env.now:
                yield env.timeout(task.diagnosis_s)
                yield env.timeout(task.programming_s)
                counts[1] += 1
                failure_s = env.now + rng.expovariate(1 / task.mean_s)
            begin_s += task.interval_s
            yield env.timeout(begin_s - env.now)

    for slot in range(task.devices):
        env.process(device(task.interval_s * slot / task.devices))
    env.run(until=task.horizon_s)
    return counts[0], counts[1]


def _check(what: str, counts: Counts, task: Task) -> None:
    """RuntimeError for a model that visits or fails unlike the task, beyond five standard errors."""
    visits, repairs = counts
    most = task.devices * math.ceil(task.horizon_s / task.interval_s)
    # A failure waits for its visit; all else of the time the device may fail.
    waiting_s = task.interval_s / 2 + task.visit_s + task.diagnosis_s + task.programming_s
    expected = task.devices * task.horizon_s / (task.mean_s + waiting_s)
    if not (most - 2 * task.devices <= visits <= most and abs(repairs - expected) < 5 * math.sqrt(expected)):
        raise RuntimeError(
            f"{what}: {visits} visits and {repairs} repairs, not about {most} and {expected:.0f}"
        )


class _Rival:
    """The interpreter that has cimba, waiting for its turns; nothing without one."""

    def __init__(self, python: Path | None, task: Task) -> None:
        self._python = python
        self._task = task

    def __enter__(self) -> _Rival:
        if self._python is not None:
            self._process = subprocess.Popen(
                [str(self._python), str(_RIVAL), json.dumps(asdict(self._task))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        if self._python is not None:
            self._process.communicate()

    def run(self, way: str) -> float:
        """Let all devices live; return the CPU seconds that it took."""
        self._process.stdin.write(f"{way}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the interpreter with cimba has stopped; see above")
        reply = json.loads(line)
        _check("cimba", (reply["visits"], reply["repairs"]), self._task)
        return reply["cpu_s"]


if __name__ == "__main__":
    print(measure())
