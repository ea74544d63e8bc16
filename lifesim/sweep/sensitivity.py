"""What a measure depends on: how much of its variance over the points each key accounts for, and how far each alone moves it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import sobol_indices

from lifesim.comparison.measures import MEASURES
from lifesim.experiment.tables import Table
from lifesim.streams import stream_key
from lifesim.sweep.dataset import means
from lifesim.sweep.plan import Plan, Point
from lifesim.sweep.schema import Grid, Sensitivity

COLUMNS = {
    "schedule": "label of the schedule",
    "measure": "measure, its mean over the replications",
    "key": "key that was varied",
    "method": "grid: first_order is exact for the grid; sobol: the estimators of Saltelli (2010), with bootstrap intervals; none: the design does not tell",
    "first_order": "share of the measure's variance over the points that the key accounts for alone",
    "first_order_low": "lower end of its 95 % interval, of which points were drawn",
    "first_order_high": "upper end",
    "total": "share of the variance that the key has a part in",
    "total_low": "lower end of its 95 % interval",
    "total_high": "upper end",
    "lowest": "lowest mean of the measure over the points that share a value of the key (of a range: a quarter of its points)",
    "lowest_at": "that value (the mean of these points' values)",
    "highest": "highest such mean",
    "highest_at": "its value",
}
"""Columns of sensitivity.csv."""

_CONFIDENCE = 0.95
_RESAMPLES = 499
_BINS = 4


def sensitivity_table(plan: Plan, directory: Path) -> Table:
    """Return sensitivity.csv of every measure that is known at all points and not the same at all."""
    points = list(plan.points())
    schedules = [form.label for form in plan.schedules]
    table: Table = {column: [] for column in COLUMNS}
    for measure in MEASURES:
        for schedule, values in zip(
            schedules, means(directory, measure, len(points), schedules), strict=True
        ):
            if np.isnan(values).any() or np.ptp(values) == 0.0:
                continue
            for row in _rows(plan, points, values):
                for column, value in ({"schedule": schedule, "measure": measure} | row).items():
                    table[column].append(value)
    return table


def _rows(plan: Plan, points: Sequence[Point], values: np.ndarray) -> list[dict[str, Any]]:
    design, n_keys = plan.file.design, len(plan.dimensions)
    levels = [by_level([point[i] for point in points], values) for i in range(n_keys)]
    indices: list[dict[str, Any]]
    match design:
        case Grid():
            indices = [{"method": "grid", "first_order": _main_effect(of_key, values)} for of_key in levels]
        case Sensitivity():
            indices = _sobol(values, n_keys, design)
        case _:
            indices = [{"method": "none"}] * n_keys
    rows = []
    for dimension, of_key, index in zip(plan.dimensions, levels, indices, strict=True):
        lowest, highest = (pick(of_key, key=lambda level: level[1]) for pick in (min, max))
        row = dict.fromkeys(list(COLUMNS)[2:]) | {"key": dimension.key} | index
        row |= {"lowest": lowest[1], "lowest_at": lowest[0], "highest": highest[1], "highest_at": highest[0]}
        rows.append(row)
    return rows


Level = tuple[Any, float, int]
"""A value of a key, the mean of the measure over the points that have it, and how many they are."""


def by_level(at: Sequence[Any], values: np.ndarray) -> list[Level]:
    """Return the mean of ``values`` for each value of a key, ascending; of more than a dozen numbers for each quarter of the points."""
    distinct = list(dict.fromkeys(at))
    if all(isinstance(value, float) for value in distinct):
        order = np.argsort(np.array(at), kind="stable")
        if len(distinct) > 3 * _BINS:
            parts = np.array_split(order, _BINS)
            return [
                (float(np.mean(np.array(at)[part])), float(np.mean(values[part])), len(part))
                for part in parts
            ]
        distinct = sorted(distinct)
    where = {value: np.array([i for i, v in enumerate(at) if v == value]) for value in distinct}
    return [(value, float(np.mean(values[of_value])), len(of_value)) for value, of_value in where.items()]


def _main_effect(levels: Sequence[Level], values: np.ndarray) -> float:
    """Return the variance of the means by value over the variance of all points: the first-order index over the grid."""
    effects = np.array([mean for _, mean, _ in levels]) - values.mean()
    weights = np.array([n for *_, n in levels]) / len(values)
    return float((weights * effects**2).sum() / values.var())


def _sobol(values: np.ndarray, n_keys: int, design: Sensitivity) -> list[dict[str, Any]]:
    """Return the indices of each key, with percentile bootstrap intervals over the points."""
    samples = values.reshape(n_keys + 2, design.base)
    rng = np.random.default_rng(stream_key("sweep", "bootstrap", design.seed))
    drawn = rng.integers(design.base, size=(_RESAMPLES, design.base))
    estimates = _indices(samples)
    with np.errstate(all="ignore"):  # a resample in which nothing differs
        spread = np.array([_indices(samples[:, rows]) for rows in drawn])
    low, high = np.nanquantile(spread, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2], axis=0)
    rows = []
    for key in range(n_keys):
        row: dict[str, Any] = {"method": "sobol"}
        for order, name in enumerate(("first_order", "total")):
            row |= {
                name: _known(estimates[order, key]),
                f"{name}_low": _known(low[order, key]),
                f"{name}_high": _known(high[order, key]),
            }
        rows.append(row)
    return rows


def _indices(samples: np.ndarray) -> np.ndarray:
    """Return first-order and total indices [2, keys] from the measure over both samples and over those with a key exchanged, [keys + 2, points]."""
    a, b, mixed = samples[0], samples[1], samples[2:]
    found = sobol_indices(func={"f_A": a[None], "f_B": b[None], "f_AB": mixed[:, None]}, n=len(a))
    return np.stack([found.first_order.reshape(-1), found.total_order.reshape(-1)])


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
