"""Sweep files: which points they mean, and clear words for those that mean none."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from lifesim.errors import UserError
from lifesim.sweep.plan import load_plan

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "scenarios" / "quickstart.toml"


def plan_of(tmp_path: Path, text: str, before: str = ""):
    path = tmp_path / "sweep.toml"
    path.write_text(f'scenario = "{QUICKSTART}"\n{before}\n{text}', encoding="utf-8")
    return load_plan(path)


HEAT, OFTEN = '"group.cameras.site.mean_c"', '"group.*.schedule.interval_s"'


def test_a_grid_has_every_combination_in_the_keys_own_units(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f'[vary]\n{HEAT} = [30, 45.5]\n{OFTEN} = ["1 d", "2 d", 604800]')
    assert list(plan.points()) == list(product([30.0, 45.5], [86_400.0, 172_800.0, 604_800.0]))
    scenario = plan.scenario((45.5, 172_800.0), plan.schedules[0])
    assert scenario.group["cameras"].site.mean_c == 45.5
    assert scenario.group["cameras"].schedule.interval_s == 172_800.0


def test_keys_may_be_tables_and_values_names(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, '[vary.group.cameras]\nsite = ["indoor", "hot_box"]\ncount = [1, 2]')
    assert list(plan.points()) == [("indoor", 1.0), ("indoor", 2.0), ("hot_box", 1.0), ("hot_box", 2.0)]
    assert plan.scenario(("indoor", 2.0), plan.schedules[0]).group["cameras"].site.preset == "indoor"


def test_a_list_takes_values_together(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path, f'[vary]\n{HEAT} = [30, 40]\n{OFTEN} = ["1 d", "2 d"]', 'design = { kind = "list" }'
    )
    assert list(plan.points()) == [(30.0, 86_400.0), (40.0, 172_800.0)]


def test_each_slice_of_a_latin_hypercube_s_ranges_holds_a_point(tmp_path: Path) -> None:
    ranges = f'[vary]\n{HEAT} = {{ low = 20, high = 60 }}\n{OFTEN} = {{ low = "1 d", high = "100 d", scale = "log" }}'
    plan = plan_of(tmp_path, ranges, 'design = { kind = "latin_hypercube", points = 10, seed = 3 }')
    points = np.array(list(plan.points()))
    assert sorted(((points[:, 0] - 20) // 4).tolist()) == list(range(10))
    assert sorted((np.log10(points[:, 1] / 86_400.0) * 5 // 1).tolist()) == list(range(10))
    assert list(plan.points()) == list(map(tuple, points.tolist()))
    other = plan_of(tmp_path, ranges, 'design = { kind = "latin_hypercube", points = 10, seed = 4 }')
    assert list(other.points()) != list(plan.points())


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        f'[vary]\n"group.*.aet.pictures" = {{ low = 4, high = 8 }}\n{HEAT} = {{ low = 30, high = 31 }}',
        'design = { kind = "sobol", points = 16 }',
    )
    pictures, heat = zip(*plan.points(), strict=True)
    assert set(pictures) == {4.0, 5.0, 6.0, 7.0, 8.0}
    assert not any(value.is_integer() for value in heat)


def test_a_sensitivity_design_mixes_two_samples(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        f'[vary]\n{HEAT} = {{ low = 20, high = 60 }}\n"group.*.aet.pictures" = {{ low = 4, high = 32 }}',
        'design = { kind = "sensitivity", base = 4 }',
    )
    points = np.array(list(plan.points())).reshape(4, 4, 2)
    a, b, first, second = points
    assert np.array_equal(first[:, 0], b[:, 0]) and np.array_equal(first[:, 1], a[:, 1])
    assert np.array_equal(second[:, 0], a[:, 0]) and np.array_equal(second[:, 1], b[:, 1])


def test_schedules_are_those_of_a_comparison(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"[vary]\n{HEAT} = [30]", 'schedules = "never,weekly=periodic:7d"')
    assert [form.label for form in plan.schedules] == ["never", "weekly"]
    assert plan.scenario((30.0,), plan.schedules[0]).group["cameras"].schedule.kind == "never"


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        (f"[vary]\n{HEAT} = [30]", 'design = { kind = "gird" }', 'design.kind = "gird": must be one of "grid".*did you mean'),
        (f"[vary]\n{HEAT} = [30]", "replication = 3", "replication = 3: unknown key; allowed: .*did you mean 'replications'"),
        (f"[vary]\n{HEAT} = [30]", "replications = 0", "replications = 0: must be a whole number from 1"),
        (f"[vary]\n{HEAT} = [30]", 'schedules = "nver"', "sweep.toml: schedules: .*no schedule \"nver\".*did you mean 'never'"),
        (f"[vary]\n{HEAT} = [30]", 'plot = ["acuracy_mean"]', "plot.*no measure acuracy_mean; .*did you mean 'accuracy_mean'"),
        (f"[vary]\n{HEAT} = [30]", 'set = ["horizon_s=5 parsecs"]', r"--set: horizon_s = \"5 parsecs\""),
        ("", "", "vary: is missing"),
        ('[vary]\n"group.cameras.site.men_c" = [3]', "", "vary: group.cameras.site.men_c = 3: unknown key.*did you mean 'mean_c'"),
        ('[vary]\n"group.camera.count" = [3]', "", "vary: group.camera.count: no group .*did you mean 'cameras'"),
        (f"[vary]\n{HEAT} = 30", "", "mean_c\" = 30: must be a list of values"),
        (f"[vary]\n{HEAT} = [30, 500]", "", "vary: group.cameras.site.mean_c = 500: must be"),
        (f"[vary]\n{HEAT} = [30, 30.0]", "", "a value stands there twice"),
        (f"[vary]\n{HEAT} = [30, 40]\n{OFTEN} = [9]", 'design = { kind = "list" }', "equally many values of every key; given: .* 2, .* 1"),
        (f"[vary]\n{HEAT} = [30]", 'design = { kind = "sobol", points = 8 }', "must be a range, such as"),
        (f"[vary]\n{HEAT} = {{ low = 3 }}", 'design = { kind = "sobol", points = 8 }', "must be a range, such as"),
        (f"[vary]\n{HEAT} = {{ low = 9, high = 3 }}", 'design = { kind = "sobol", points = 8 }', "low must be below high"),
        (f'[vary]\n{HEAT} = {{ low = -9, high = 3, scale = "log" }}', 'design = { kind = "sobol", points = 8 }', "low must be above 0"),
        (f"[vary]\n{HEAT} = {{ low = 1, high = 3 }}", 'design = { kind = "sobol", points = 60 }', "design.points = 60: must be a power of two, such as 32 or 64"),
        ('[vary]\n"group.cameras.site" = { low = "indoor", high = "hot_box" }', 'design = { kind = "sobol", points = 8 }', "a key that takes a number"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_said_clearly(tmp_path: Path, text: str, before: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        plan_of(tmp_path, text, before)
    assert re.search(expected, str(error.value)), error.value
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "scenarios" / "sweeps").glob("*.toml")), ids=lambda path: path.stem
)
def test_shipped_sweeps_load(path: Path) -> None:
    plan = load_plan(path)
    for point in plan.points():
        for schedule in plan.schedules:
            plan.scenario(point, schedule)


def test_settings_come_after_the_file_s_own(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(
        f'scenario = "{QUICKSTART}"\nset = ["group.cameras.count=2"]\n[vary]\n{HEAT} = [30, 40]', "utf-8"
    )
    plan = load_plan(path, ["group.cameras.count=5", "horizon_s=1 y"])
    scenario = plan.scenario((30.0,), plan.schedules[0])
    assert scenario.group["cameras"].count == 5 and scenario.horizon_s == 365 * 86_400
    with pytest.raises(UserError, match=r"--set: group\.camera\.count: no group"):
        load_plan(path, ["group.camera.count=5"])
