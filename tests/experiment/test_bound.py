"""Schedules on the same silicon: none of tests has less silent time than the oracle; some do worse than never testing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lifesim.experiment.run import run_to_directory
from lifesim.scenario.models import Scenario

RESOLUTION_S = 86_400.0
SCHEDULES = {
    "never": {},
    "periodic": {"interval_s": "20 d"},
    "adaptive": {"interval_s": "5 d"},
    "opportunistic": {"interval_s": "20 d", "full_interval_s": "100 d"},
    "hazard": {"interval_s": "5 d", "faults": 200},
    "readback": {"interval_s": "30 d", "alarm_cells": 500},
    "reload_verify": {"interval_s": "20 d", "alarm_cells": 40},
    "sentinel": {"interval_s": "1 d"},
    "march_scrub": {"interval_s": "60 d"},
    "blind_refresh": {"interval_s": "60 d"},
    "oracle": {},
}


def life_under(
    directory: Path, kind: str, days: int = 240, changes: dict | None = None, **keys
) -> pd.DataFrame:
    """Return what becomes of two devices under a schedule: the same two, cell by cell, under each."""
    group = {
        "count": 2, "network": "mlp", "site": "hot_box", "workload": {"reloads_per_day": {"fc2": 288, "fc3": 288}},
        "technology": {"preset": "rated_1e4", "endurance_scale_cycles": 4e5}, "aet": {"pictures": 4},
        "schedule": {"kind": kind, **keys}, **(changes or {}),
    }  # fmt: skip
    scenario = Scenario.model_validate(
        {
            "name": "bound", "seed": 11, "horizon_s": f"{days} d", "report_interval_s": "20 d",
            "spec": {"resolution_s": RESOLUTION_S}, "cloud": {"retraining": {"steps": 10}}, "group": {"g": group},
        }
    )  # fmt: skip
    return run_to_directory(scenario, directory / kind).devices


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    directory = tmp_path_factory.mktemp("bound")
    return {kind: life_under(directory, kind, **keys) for kind, keys in SCHEDULES.items()}


def test_the_oracle_notices_each_loss_within_the_resolution(lives: dict[str, pd.DataFrame]) -> None:
    oracle = lives["oracle"]
    assert oracle["alarms_true"].sum() >= 3
    assert (oracle["alarms_early"] == 0).all() and (oracle["alarms_false"] == 0).all()
    assert (oracle["out_silent_s"] <= oracle["alarms_true"] * RESOLUTION_S).all()


@pytest.mark.parametrize("kind", [kind for kind in SCHEDULES if kind != "oracle"])
def test_no_schedule_has_less_silent_time_than_the_oracle(kind: str, lives: dict[str, pd.DataFrame]) -> None:
    """Up to the resolution for each loss that the oracle notices: one that rewrites or alarms early may have no loss at all."""
    oracle, other = lives["oracle"], lives[kind]
    slack_s = oracle["alarms_true"] * RESOLUTION_S
    assert (other["out_silent_s"] + slack_s >= oracle["out_silent_s"]).all()


def test_the_bound_is_not_trivial(lives: dict[str, pd.DataFrame]) -> None:
    """Most schedules here are silent for longer than the oracle by far, in days."""
    silent_days = {kind: of["out_silent_s"].sum() / 86_400 for kind, of in lives.items()}
    assert silent_days["never"] > 50
    assert sum(days > 3 * silent_days["oracle"] for days in silent_days.values()) >= 4


def test_tests_that_wear_the_cells_out_are_worse_than_none(tmp_path: Path) -> None:
    """Resident cells that bear some thousand cycles and forget nothing: a March test a day breaks what nothing else would."""
    fragile = {
        "technology": {"preset": "rated_1e4", "endurance_scale_cycles": 1000, "retention_median_s": "1000 y"},
        "workload": {},
        "policy": {"call": {"kind": "every_n", "faults": 30_000}},
    }
    never, scrubbed = (
        life_under(tmp_path, kind, 100, fragile, **keys)
        for kind, keys in (("never", {}), ("march_scrub", {"interval_s": "1 d"}))
    )
    assert (never["in_spec_s"] == 100 * 86_400).all() and (
        never["cell_writes"] < scrubbed["cell_writes"]
    ).all()
    assert (scrubbed["in_spec_s"] < 0.6 * never["in_spec_s"]).all()
