"""Every schedule in a fleet: skip-ahead as stepped, and what each adds to the ledgers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifesim.experiment.results import FILES, Result
from lifesim.experiment.run import run_to_directory
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Scenario

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario(HERE / "schedules.toml")


@pytest.fixture(scope="module")
def result(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Do not write to it."""
    directory = tmp_path_factory.mktemp("schedules") / "skip-ahead"
    run_to_directory(scenario, directory)
    return Result(directory)


def test_stepped_and_skip_ahead_write_the_same_bytes(
    scenario: Scenario, result: Result, tmp_path: Path
) -> None:
    run_to_directory(scenario, tmp_path / "stepped", stepped=True)
    for name in FILES:
        if name != "manifest.json":
            assert (tmp_path / "stepped" / name).read_bytes() == (result.directory / name).read_bytes(), name
