"""One task of a sweep: one schedule at one point, one replication, one region. It is a pure function of a scenario, and its result is text."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from lifesim.comparison.measures import measure_regions, measured_scenario
from lifesim.comparison.sharing import SharingExecutor
from lifesim.errors import LifesimError
from lifesim.experiment.regions import region_of, simulate_region
from lifesim.experiment.totals import FleetTotals
from lifesim.experiment.versions import versions
from lifesim.scenario.load import canonical_json
from lifesim.scenario.models import Scenario

_FORMAT = "1"  # raised when what a task keeps changes


@dataclass(frozen=True, slots=True)
class Task:
    """A scenario, replication included, and which of its regions, counted from its first."""

    scenario: Scenario
    region: int

    @property
    def key(self) -> bytes:
        """A hash of all that shapes the result."""
        among = "alone" if self.scenario.regions.count == 1 else "among others"
        shaped_by = [canonical_json(region_of(self.scenario, self.region)), among, *versions(), _FORMAT]
        return hashlib.sha256("\x1f".join(shaped_by).encode()).digest()


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that has failed for itself: the error in a line, and where it came from."""

    error: str
    trace: str = ""


def run_tasks(tasks: Sequence[Task], device: str = "cpu") -> list[str | Failure]:
    """Run tasks that have replication and region in common one after another: what their fleets have in common is worked out once."""
    executor = SharingExecutor()
    results: list[str | Failure] = []
    for task in tasks:
        try:
            results.append(_run(task, executor, device))
        except Exception as error:
            message = " ".join(f"{type(error).__name__}: {error}".split())
            results.append(Failure(message, traceback.format_exc()))
    return results


def _run(task: Task, executor: SharingExecutor, device: str) -> str:
    if task.scenario.regions.count == 1:
        kept = measured_scenario(task.scenario, executor, device)
        return json.dumps(kept["measures"], separators=(",", ":"), allow_nan=False)
    return simulate_region(task.scenario, task.region, device=device, executor=executor).totals.encode()


def measures_of(scenario: Scenario, results: Sequence[str]) -> dict[str, float | None]:
    """Return the measures of a fleet from the results of its regions' tasks, in any order. Raises LifesimError for what are none."""
    if scenario.regions.count == 1:
        (only,) = results
        return json.loads(only)
    totals = FleetTotals.decode(results[0])
    for text in results[1:]:
        totals = totals + FleetTotals.decode(text)
    if totals.regions != scenario.regions.count:
        raise LifesimError(f"{totals.regions} regions instead of {scenario.regions.count}")
    return measure_regions(scenario, totals)["measures"]
