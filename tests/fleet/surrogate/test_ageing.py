"""A surrogate's cells fail as those of the exact simulation do: as many in each bank, and of those that wear out the very same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lifesim.fleet.clock import to_ns
from lifesim.fleet.hardware import Hardware, make_silicon
from lifesim.fleet.silicon import Silicon
from lifesim.fleet.surrogate.ageing import Ageing
from lifesim.fleet.surrogate.harm import KINDS, PATHS, BankHarm
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Scenario

ROOT = Path(__file__).parents[3]
DAY_NS = 86_400 * 10**9


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario(ROOT / "scenarios" / "quickstart.toml")


@pytest.fixture(scope="module")
def silicon(scenario: Scenario) -> Silicon:
    group = scenario.group["cameras"]
    return make_silicon(group, Hardware.of(group), scenario, "cameras", 3)


@pytest.fixture(scope="module")
def ageing(scenario: Scenario, silicon: Silicon) -> Ageing:
    counted = [
        BankHarm(
            np.ones((KINDS, 2, bank.n_cells), np.float32), np.zeros((PATHS, 1)), np.zeros((KINDS, PATHS, 1)), np.ones(KINDS)
        )
        for bank in silicon.banks
    ]  # fmt: skip
    return Ageing(silicon, counted, 7, 0, to_ns(scenario.horizon_s))


@pytest.fixture(scope="module")
def times_ns(scenario: Scenario) -> np.ndarray:
    return np.linspace(DAY_NS, to_ns(scenario.horizon_s), 40).astype(np.int64)


def programmed(silicon: Silicon):
    from lifesim.crossbar.programming import Programmed

    return (Programmed(0, 0, 1),) * len(silicon.banks)


def test_the_same_cells_wear_out_at_the_same_reload(
    ageing: Ageing, silicon: Silicon, times_ns: np.ndarray
) -> None:
    assert len(ageing.when_ns) > 10, "or there is nothing to compare"
    for time_ns in times_ns.tolist():
        found = silicon.stuck_map(
            tuple(b.at(p, time_ns) for b, p in zip(silicon.banks, programmed(silicon), strict=True)), time_ns
        )
        assert ageing.fault_map(ageing.worn_by(time_ns)) == found


def test_as_many_cells_have_expired_in_each_bank(
    ageing: Ageing, silicon: Silicon, times_ns: np.ndarray
) -> None:
    by_bank = dict(ageing.expired(programmed(silicon), times_ns))
    exact = [
        [
            len(bank.faults_at(left, time_ns).expired)
            for bank, left in zip(silicon.banks, programmed(silicon), strict=True)
        ]
        for time_ns in times_ns.tolist()
    ]
    exact = np.array(exact)
    assert exact[-1, 0] > 1000 and set(by_bank) == {0}
    assert np.array_equal(by_bank[0], exact[:, 0]) and not exact[:, 1:].any()


def test_harm_adds_up_from_where_it_is_counted(ageing: Ageing, times_ns: np.ndarray) -> None:
    worn = np.array([ageing.worn_by(time_ns) for time_ns in times_ns.tolist()])
    assert np.array_equal(ageing.stuck_harm(0, 0, times_ns), worn)
    assert np.array_equal(ageing.stuck_harm(0, 8, times_ns), np.maximum(worn - 8, 0))
    assert ageing.worn_by_bank(int(times_ns[-1])).sum() == worn[-1]
