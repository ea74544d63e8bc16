"""The schedule of docs/schedules.md, from a file in the working directory, in a fleet."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lifesim.errors import UserError
from lifesim.experiment.results import FILES
from lifesim.experiment.run import run_to_directory
from lifesim.fleet.outlook import outlook
from lifesim.scenario.models import Regions, Scenario

PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"


def scenario_with(schedule: dict) -> Scenario:
    group = {"count": 2, "network": "mlp", "technology": "rated_1e4", "site": "hot_box", "schedule": schedule}
    return Scenario.model_validate(
        {"name": "own", "horizon_s": "120 d", "report_interval_s": "60 d", "group": {"g": group}}
    )


@pytest.fixture
def bathtub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "bathtub.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return {
        "kind": "custom",
        "class": "bathtub:Bathtub",
        "interval_s": "1 d",
        "options": {"seldom": 14, "often": 5},
    }


def test_it_runs_stepped_as_skipping_ahead_and_tests_when_it_says(bathtub: dict, tmp_path: Path) -> None:
    scenario = scenario_with(bathtub)
    results = [
        run_to_directory(scenario, tmp_path / str(stepped), stepped=stepped) for stepped in (False, True)
    ]
    for name in set(FILES) - {"manifest.json"}:
        assert (tmp_path / "False" / name).read_bytes() == (tmp_path / "True" / name).read_bytes()
    devices: pd.DataFrame = results[0].devices
    # Five in as many days or one more, and then one a fortnight.
    assert np.array_equal(devices["tests"], [5 + (120 - 5) // 14] * 2)
    assert results[0].summary["groups"]["g"]["schedule"] == "custom"


def test_the_outlook_knows_it(bathtub: dict) -> None:
    (group,) = outlook(scenario_with(bathtub)).groups
    assert group.duty.interval_s == 14 * 86_400 and group.duty.cycles_per_year == 0


def test_its_timing_is_checked(bathtub: dict) -> None:
    with pytest.raises(
        UserError, match=r"group\.g\.schedule\.interval_s = 0\.001: must be longer than a visit of custom"
    ):
        outlook(scenario_with(bathtub | {"interval_s": "1 ms"}))


def test_what_is_no_dotted_name_is_refused_when_the_file_is_read() -> None:
    with pytest.raises(ValueError, match='must be a dotted name such as "package.module:Class"'):
        scenario_with({"kind": "custom", "class": "bathtub.py"})


def test_the_order_of_options_means_nothing(bathtub: dict) -> None:
    turned = bathtub | {"options": dict(reversed(bathtub["options"].items()))}
    assert scenario_with(bathtub).model_dump_json() == scenario_with(turned).model_dump_json()


def test_what_it_remembers_is_nothing_to_another_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiring.py").write_text(
        "from lifesim.detection.schedules import BlindRefresh\n\n\n"
        "class Tiring(BlindRefresh):\n"
        "    '''Rewrites three times, and then no more.'''\n"
        "    left = 3\n\n"
        "    def __init__(self, interval_ns):\n"
        "        super().__init__(interval_ns)\n\n"
        "    def first_finding(self, device, ends_ns, least_score=0, first=None):\n"
        "        left = self.__dict__.setdefault('left', 3)\n"
        "        self.__dict__['left'] = left - 1\n"
        "        return super().first_finding(device, ends_ns) if left > 0 else None\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    scenario = scenario_with({"kind": "custom", "class": "tiring:Tiring", "interval_s": "7 d"})
    scenario = scenario.model_copy(update={"regions": Regions(count=2)})
    devices = run_to_directory(scenario, tmp_path / "two").devices
    assert devices.groupby("region")["refreshes"].sum().tolist() == [3, 3]
