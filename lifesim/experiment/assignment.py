"""What a run is to do, on what and with whom: handed to whichever way of running it needs."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from lifesim.experiment.directory import ResultDirectory
from lifesim.experiment.lives import Fidelity, Progress
from lifesim.fleet.outlook import Outlook
from lifesim.fleet.records import DeviceRecord
from lifesim.scenario.models import Scenario


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """A scenario and what is ``expected`` of it, where its results go, who works, and how.

    executor, workers
        What long work is submitted to, and how many tasks it does at once.
    stepped, device, fidelity
        As of :func:`lifesim.experiment.lives.live`.
    log
        A structured log.
    records
        Filled, by a run of one region, with the record of each device before the start, for whoever has to interrupt.
    """

    scenario: Scenario
    expected: Outlook
    output: ResultDirectory
    executor: Executor
    workers: int
    stepped: bool
    device: str
    fidelity: Fidelity
    progress: Progress
    log: Any
    records: list[DeviceRecord] = field(default_factory=list)

    def notes(self, surrogates: dict[str, Any]) -> dict[str, Any]:
        """Return what the summary says besides of a run in which something was predicted."""
        return {} if self.fidelity == "exact" else {"fidelity": self.fidelity, "surrogates": surrogates}
