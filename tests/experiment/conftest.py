"""A small fleet to which everything happens, lived through once per session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from lifesim.experiment.accounting import DeviceAccount, account
from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.lives import report_times_ns
from lifesim.experiment.observation import Observed, Observer
from lifesim.experiment.results import Result
from lifesim.experiment.run import run_to_directory
from lifesim.fleet import connections
from lifesim.fleet.build import Plan
from lifesim.fleet.clock import to_ns
from lifesim.fleet.link import Link
from lifesim.fleet.retraining_service import Desk, RetrainingService
from lifesim.fleet.simulation import FleetRecord, make_plans, simulate
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Scenario

FLEET = Path(__file__).with_name("fleet.toml")


@dataclass(frozen=True)
class Lived:
    """A run taken apart; ``links``, by number of the devices that have ever called the cloud, are in no file."""

    scenario: Scenario
    plans: dict[str, Plan]
    edges_ns: list[int]
    fleet: FleetRecord
    links: dict[int, Link]
    observed: list[Observed]
    accounts: list[DeviceAccount]

    @property
    def plain(self) -> list[DeviceAccount]:
        """Those from the start to the end, without power cuts, replacements, tolerated alarms or nearest codes: simple enough to count again."""
        return [
            a
            for a in self.accounts
            if a.record.group not in ("careful", "frugal", "fitted", "best", "summed")
        ]


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    return load_scenario(FLEET)


@pytest.fixture(scope="session")
def lived(scenario: Scenario) -> Lived:
    links: dict[int, Link] = {}

    class NotedService(RetrainingService):
        def open_desk(self, desk: Desk) -> None:
            super().open_desk(desk)
            links[desk.device.number] = desk.link

    plans, edges_ns, executor = make_plans(scenario), report_times_ns(scenario), InProcessExecutor()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "RetrainingService", NotedService)
        fleet = simulate(scenario, plans, executor)
    observer = Observer(plans, fleet.devices, edges_ns, executor)
    observed = observer.observed(fleet.horizon_ns, to_ns(scenario.spec.resolution_s))
    accounts = [account(r, o, plans[r.group], edges_ns) for r, o in zip(fleet.devices, observed, strict=True)]
    return Lived(scenario, plans, edges_ns, fleet, links, observed, accounts)


@pytest.fixture(scope="session")
def run_directory(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not write to it."""
    directory = tmp_path_factory.mktemp("run") / "fleet"
    run_to_directory(scenario, directory, stepped=True, workers=2)
    return directory


@pytest.fixture(scope="session")
def result(run_directory: Path) -> Result:
    return Result(run_directory)
