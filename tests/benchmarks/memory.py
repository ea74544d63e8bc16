"""The memory of a device: idle, with tests every week and nothing to do yet; and of each cell that fails."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifesim.crossbar.programming import Programmed
from lifesim.experiment.executors import InProcessExecutor
from lifesim.fleet.clock import to_ns
from lifesim.fleet.hardware import make_silicon
from lifesim.fleet.simulation import make_plans, simulate
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Scenario
from lifesim.timeunits import S_PER_DAY
from tests.benchmarks import harness
from tests.benchmarks.processes import ROOT

_DEVICES, _FEW = 2000, 50
_DEVICE_BYTES, _CELL_BYTES = 4000, 12
_NOTE = (
    "idle: serving, baseline read, the first window of weekly tests announced; what a fleet of twice as many devices takes more, per device (traced: "
    "allocations of Python and numpy; resident: pages of the process, beyond those of a fleet of 50). What devices share, such as networks, "
    "temperature tables (70 kB for each tenth of a degree that a place is off), is not in it. Faulty cell: what order statistics of all failures take"
)


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet of which every device is idle, and by when (days) cells have failed."""

    name: str
    scenario: str
    group: str
    settings: tuple[str, ...]
    failed_days: int


CASES = (
    Case(
        "LeNet, resident", "lenet_hot_box", "boxes",
        ("group.boxes.workload={reloads_per_day={}}", "group.boxes.schedule.interval_s=7 d"), 730,
    ),
    Case("MLP of quickstart", "quickstart", "cameras", (), 365),
)  # fmt: skip


class _Alive(Exception):
    """The fleet is at work: time to look."""


def measure(repeats: int = 1, quick: bool = False) -> list[harness.Row]:
    """Return rows of bytes. Every number is counted once, whatever ``repeats``: it is the same each time, but for resident pages, of which allocators keep more or fewer."""
    rows = []
    for case in CASES:
        taken = _measured(case, _DEVICES // 20 if quick else _DEVICES)
        whole = (taken["traced"] + taken["cells"] * taken["per_cell"]) / (
            _DEVICE_BYTES + taken["cells"] * _CELL_BYTES
        )
        values = {
            "idle device, traced": (taken["traced"], "B"),
            "idle device, resident": (taken["resident"], "B"),
            "each faulty cell": (taken["per_cell"], "B"),
            "device with its faulty cells, of 4 kB and 12 B a cell": (100 * whole, "%"),
        }
        rows += [
            {
                "benchmark": "memory",
                "case": f"{case.name}; {taken['cells']:,.0f} faulty cells a device",
                "what": what,
                "value": value,
                "unit": unit,
                "repeats": 1,
                "note": _NOTE,
            }
            for what, (value, unit) in values.items()
        ]
    return rows


def _measured(case: Case, devices: int) -> dict[str, float]:
    """Measure in a process of its own, in which nothing else has left memory behind."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", case.name, str(devices)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def idle_bytes(case: Case, devices: int, held: Callable[[], int]) -> int:
    """Return what ``held`` says while a fleet of so many idle devices is alive."""
    scenario = _scenario(case, devices)
    plans = make_plans(scenario)
    seen: list[int] = []

    def look(now_ns: int) -> None:
        gc.collect()
        seen.append(held())
        raise _Alive

    with contextlib.suppress(_Alive):
        simulate(scenario, plans, InProcessExecutor(), on_progress=look)
    return seen[0]


def bytes_of_failures(case: Case, devices: int) -> tuple[float, float]:
    """Return how many cells a device has lost at the case's time, and how many bytes each takes."""
    scenario = _scenario(case, devices)
    (plan,) = make_plans(scenario).values()
    fleet = [make_silicon(plan.group, plan.hardware, scenario, plan.name, slot) for slot in range(devices)]
    time_ns = to_ns(case.failed_days * S_PER_DAY)

    def lost(at_ns: int) -> int:
        cells = 0
        for silicon in fleet:
            held = silicon.held_at(plan.model, (Programmed(0, 0, 1),) * len(silicon.banks), at_ns)
            cells += sum(len(f.stuck) + len(f.expired) for f in held.faults)
        return cells

    lost(0)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cells = lost(time_ns)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return cells / devices, taken / cells


def _scenario(case: Case, devices: int) -> Scenario:
    settings = (
        f"group.{case.group}.count={devices}", f"group.{case.group}.technology.read_noise=0",
        # Looked at after a 200th of it, when every device has been looked into its first visits.
        "horizon_s=4 y",
    )  # fmt: skip
    technology = f"group.{case.group}.technology={{preset='rated_1e4'}}"
    return load_scenario(
        ROOT / "scenarios" / f"{case.scenario}.toml", [technology, *case.settings, *settings]
    )


def _resident_bytes() -> int:
    """Return the bytes that the process alone has written to; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:"))


def _report(case: Case, devices: int) -> dict[str, Any]:
    few = idle_bytes(case, _FEW, _resident_bytes)
    resident = (idle_bytes(case, devices + _FEW, _resident_bytes) - few) / devices
    tracemalloc.start()
    traced = [
        idle_bytes(case, n, lambda: tracemalloc.get_traced_memory()[0]) for n in (devices // 2, devices)
    ]
    tracemalloc.stop()
    cells, per_cell = bytes_of_failures(case, max(_FEW, devices // 20))
    return {
        "traced": (traced[1] - traced[0]) / (devices - devices // 2),
        "resident": resident,
        "cells": cells,
        "per_cell": per_cell,
    }


if __name__ == "__main__":
    print(json.dumps(_report(next(c for c in CASES if c.name == sys.argv[1]), int(sys.argv[2]))))
