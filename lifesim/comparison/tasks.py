"""One task of a comparison: one schedule, one replication. Its result lies under a name that is a hash of all that shaped it, so it is found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifesim.comparison.measures import measured_scenario
from lifesim.comparison.sharing import SharingExecutor
from lifesim.experiment.versions import versions
from lifesim.files import atomic_write
from lifesim.scenario.load import canonical_json
from lifesim.scenario.models import Scenario

TASKS = "tasks"
_STOP = "stop"
_FORMAT = 1  # raised when what a task keeps changes


@dataclass(frozen=True)
class Task:
    """A scenario to run, replication included, and the file that its result goes to."""

    scenario: Scenario
    path: Path

    def result(self) -> dict[str, Any] | None:
        """Return what the task kept (:func:`measured_scenario`), None if it has not finished."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def make_task(scenario: Scenario, replication: int, directory: Path) -> Task:
    """Return the task of a scenario in one replication, counted from that of the scenario."""
    drawn = scenario.model_copy(update={"replication": scenario.replication + replication})
    shaped_by = "\x1f".join([canonical_json(drawn), *versions(), str(_FORMAT)])
    return Task(drawn, directory / TASKS / f"{hashlib.sha256(shaped_by.encode()).hexdigest()[:32]}.json")


def run_tasks(tasks: Sequence[Task], device: str = "cpu", on_task: Callable[[], None] = lambda: None) -> None:
    """Run tasks one after another and write each one's result as it finishes; those that have one are left alone.

    Tasks of one replication belong together: what their fleets have in common is worked out once. Between two tasks it is looked whether
    whoever asked has given up (:func:`stop_tasks`).
    """
    executor = SharingExecutor()
    for task in tasks:
        if (task.path.parent / _STOP).exists():
            return
        if task.result() is None:
            kept = measured_scenario(task.scenario, executor, device)
            atomic_write(task.path, json.dumps(kept, separators=(",", ":"), allow_nan=False) + "\n")
        on_task()


def stop_tasks(directory: Path) -> None:
    """Ask whoever runs tasks of this directory to stop after the one that they are at."""
    atomic_write(directory / TASKS / _STOP, "")


def allow_tasks(directory: Path) -> None:
    """Take back :func:`stop_tasks`."""
    (directory / TASKS / _STOP).unlink(missing_ok=True)
