"""Periodic inspection of hidden failures in cimba (compiled models on an engine in C), as its user would write it. Run by an interpreter that has cimba.

    PYTHON tests/benchmarks/rivals/cimba_model.py TASK_JSON

Talks in lines: each line read is one of the ways below; each line written says as JSON how much CPU time all devices took, from configured models to
results, and what happened. Imports are not timed; the first go of a way compiles it, which lasts until it is asked for the second time.

"fleet": all devices in one simulation. "replications": every device a simulation of its own, which is all that devices without a cloud need.
"""

from __future__ import annotations

import json
import sys
import time

import cimba as cb
from cimba import random

TASK = json.loads(sys.argv[1])


class Device(cb.Model):
    phase: cb.Param[float] = 0.0
    interval: cb.Param[float] = TASK["interval_s"]
    visit: cb.Param[float] = TASK["visit_s"]
    diagnosis: cb.Param[float] = TASK["diagnosis_s"]
    programming: cb.Param[float] = TASK["programming_s"]
    mean: cb.Param[float] = TASK["mean_s"]
    visits: cb.Output[float]
    repairs: cb.Output[float]

    @cb.process
    def live(self):
        self.visits = 0.0
        self.repairs = 0.0
        begin = self.phase
        failure = random.exponential(self.mean)
        cb.hold(begin)
        while True:
            cb.hold(self.visit)
            self.visits += 1.0
            if failure <= cb.now():
                cb.hold(self.diagnosis)
                cb.hold(self.programming)
                self.repairs += 1.0
                failure = cb.now() + random.exponential(self.mean)
            begin += self.interval
            cb.hold(begin - cb.now())


class Fleet(cb.Model):
    devices: list[Device]


def device(phase_s: float) -> Device:
    made = Device()
    made.phase = phase_s
    return made


def experiment(way: str, go: int) -> tuple[float, float]:
    """Return visits and repairs of all devices."""
    window, n = cb.Window(duration=TASK["horizon_s"]), TASK["devices"]
    if way == "replications":
        one = device(TASK["interval_s"] / 2)
        results = cb.Experiment(one, replications=n, window=window, seed=go).run(workers=1)
        return float(results[one].visits.values.sum()), float(results[one].repairs.values.sum())
    fleet = Fleet()
    fleet.devices = [device(TASK["interval_s"] * slot / n) for slot in range(n)]
    results = cb.Experiment(fleet, window=window, seed=go).run(workers=1)
    counts = [(results[d].visits.values.sum(), results[d].repairs.values.sum()) for d in fleet.devices]
    return float(sum(v for v, _ in counts)), float(sum(r for _, r in counts))


if __name__ == "__main__":
    for go, line in enumerate(sys.stdin, start=1):
        began = time.process_time()
        visits, repairs = experiment(line.strip(), go)
        reply = {"cpu_s": time.process_time() - began, "visits": visits, "repairs": repairs}
        print(json.dumps(reply), flush=True)
