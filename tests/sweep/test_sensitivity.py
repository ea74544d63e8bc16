"""Sensitivities against closed forms: functions whose indices are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lifesim.comparison.measures import MEASURES
from lifesim.sweep import dataset
from lifesim.sweep.dataset import Row
from lifesim.sweep.plan import load_plan
from lifesim.sweep.sensitivity import COLUMNS, by_level, sensitivity_table

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
A, B = "group.cameras.site.mean_c", "group.cameras.aet.pictures"
MEASURE = "tests"


def table_of(tmp_path: Path, design: str, vary: str, function) -> dict[str, dict]:
    """Return the rows of sensitivity.csv, by key, where the measure is a function of the point."""
    path = tmp_path / "sweep.toml"
    path.write_text(f'scenario = "{QUICKSTART}"\ndesign = {design}\nreplications = 2\n[vary]\n{vary}')
    plan = load_plan(path)
    rows = (
        Row(i, "scenario", r, point, dict.fromkeys(MEASURES) | {MEASURE: function(*point) + (r - 0.5)})
        for i, point in enumerate(plan.points())
        for r in range(2)
    )
    dataset.write(tmp_path, plan.dimensions, rows)
    table = sensitivity_table(plan, tmp_path)
    assert list(table) == list(COLUMNS) and set(table["measure"]) <= {MEASURE}
    return {row[2]: dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)}


def test_on_a_grid_main_effects_are_exact(tmp_path: Path) -> None:
    """f = 3 a + b over a in {-1, 0, 1}, b in {1, 3}: variances 9 * 2/3 = 6 and 1."""
    rows = table_of(
        tmp_path, '{ kind = "grid" }', f'"{A}" = [-1, 0, 1]\n"{B}" = [1, 3]', lambda a, b: 3 * a + b
    )
    assert rows[A]["first_order"] == pytest.approx(6 / 7) and rows[B]["first_order"] == pytest.approx(1 / 7)
    assert (rows[A]["lowest"], rows[A]["lowest_at"]) == pytest.approx((-1.0, -1.0))
    assert (rows[A]["highest"], rows[A]["highest_at"]) == pytest.approx((5.0, 1.0))
    assert rows[A]["method"] == "grid" and rows[A]["total"] is None


def test_a_product_on_a_grid_has_no_main_effect(tmp_path: Path) -> None:
    rows = table_of(
        tmp_path, '{ kind = "grid" }', f'"{A}" = [-1, 1]\n"{B}" = [1, 3]', lambda a, b: a * (b - 2)
    )
    assert rows[A]["first_order"] == pytest.approx(0) and rows[B]["first_order"] == pytest.approx(0)


def test_sobol_indices_are_those_of_a_known_function(tmp_path: Path) -> None:
    """f = x + y + x y with x, y uniform over [-1, 1]: variances 1/3, 1/3 and 1/9 of the interaction."""
    scale = f'"{A}" = {{ low = 20, high = 60 }}\n"group.cameras.schedule.interval_s" = {{ low = "1 d", high = "21 d" }}'

    def function(heat: float, interval: float) -> float:
        x, y = (heat - 40) / 20, (interval / 86_400 - 11) / 10
        return x + y + x * y

    rows = table_of(tmp_path, '{ kind = "sensitivity", base = 256 }', scale, function)
    for row in rows.values():
        assert row["method"] == "sobol"
        se = (row["first_order_high"] - row["first_order_low"]) / (2 * 1.96)
        assert abs(row["first_order"] - 3 / 7) < 3 * se and se < 0.1
        se = (row["total_high"] - row["total_low"]) / (2 * 1.96)
        assert abs(row["total"] - 4 / 7) < 3 * se and se < 0.1
    again = table_of(tmp_path, '{ kind = "sensitivity", base = 256 }', scale, function)
    assert again == rows


def test_other_designs_tell_how_far_a_key_moves_the_measure(tmp_path: Path) -> None:
    rows = table_of(
        tmp_path,
        '{ kind = "latin_hypercube", points = 100 }',
        f'"{A}" = {{ low = 0, high = 80 }}',
        lambda a: 2 * a,
    )
    assert rows[A]["method"] == "none" and rows[A]["first_order"] is None
    # The mean of the lowest and of the highest quarter of a line.
    assert rows[A]["lowest"] == pytest.approx(20, abs=1) and rows[A]["highest"] == pytest.approx(140, abs=1)


def test_what_is_the_same_everywhere_depends_on_nothing(tmp_path: Path) -> None:
    assert table_of(tmp_path, '{ kind = "grid" }', f'"{A}" = [1, 2]', lambda a: 5.0) == {}


def test_names_are_levels_in_the_order_of_the_file() -> None:
    levels = by_level(["indoor", "hot_box", "indoor"], np.array([1.0, 5.0, 2.0]))
    assert levels == [("indoor", 1.5, 2), ("hot_box", 5.0, 1)]
