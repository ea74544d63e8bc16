"""What the page draws: plotly traces and layouts as plain values. Colours are numbers here; the page has a light and a dark one for each."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lifesim.comparison.results import Comparison
from lifesim.comparison.schema import VERDICTS
from lifesim.timeunits import S_PER_DAY, S_PER_YEAR

COLOURS = 8
"""Colours that the page has; further schedules take them again, with other dashes."""
DASHES = ("solid", "dash", "dot", "dashdot")
_PERCENT = 100.0
_POINTS_OF_A_DISTRIBUTION = 400


@dataclass(frozen=True)
class Figure:
    """``choices``: measures to choose from, for figures that show one or two at a time; each (name, title). ``files``: the CSVs that hold its numbers."""

    name: str
    title: str
    note: str
    files: tuple[str, ...]
    data: list[dict[str, Any]] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def figures(comparison: Comparison) -> list[Figure]:
    """Return the figures of the page, in order."""
    labels = [entry["label"] for entry in comparison.manifest["schedules"]]
    return [
        _differences(comparison),
        _over_time(comparison, labels, "in_spec_availability", "Share of time in spec", "time in spec (%)"),
        _accuracy(comparison, labels),
        _pareto(comparison),
        _undetected(comparison, labels),
        _wear(comparison, labels),
    ]


def _over_time(comparison: Comparison, labels: Sequence[str], curve: str, title: str, axis: str) -> Figure:
    rows = comparison.frame("curves")
    rows = rows[rows["curve"] == curve]
    data = []
    for number, label in enumerate(labels):
        data += _band(rows[rows["schedule"] == label], number, label)
    return Figure(
        f"curve-{curve}",
        title,
        "Mean of the fleets in each report period; bands are its 95 % intervals over replications. A click on a name hides it.",
        ("curves.csv",),
        data,
        _layout("years since the start", axis),
    )


def _accuracy(comparison: Comparison, labels: Sequence[str]) -> Figure:
    rows = comparison.frame("curves")
    mean, low = (rows[rows["curve"] == curve] for curve in ("accuracy_mean", "accuracy_p05"))
    data = []
    for number, label in enumerate(labels):
        data += _band(mean[mean["schedule"] == label], number, label)
        worst = low[low["schedule"] == label]
        data.append(
            _line(worst, number, label)
            | {"line": {"width": 1, "dash": "dot"}, "showlegend": False, "opacity": 0.8}
        )
    return Figure(
        "accuracy",
        "Accuracy over time",
        "Thick: mean accuracy of the fleet. Dotted: its 5th percentile, what the worst devices do. Bands: 95 % intervals of the mean over replications.",
        ("curves.csv",),
        data,
        _layout("years since the start", "accuracy (%)"),
    )


def _line(rows: pd.DataFrame, number: int, label: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _list(rows["time_s"] / S_PER_YEAR),
        "y": _list(rows["mean"] * _PERCENT),
        "name": html.escape(label),
        "legendgroup": str(number),
        "line": {"width": 2.4, "dash": DASHES[number // COLOURS % len(DASHES)]},
        "meta": {"colour": number % COLOURS},
        "hovertemplate": "%{y:.3f} %<extra>%{fullData.name}</extra>",
    }


def _band(rows: pd.DataFrame, number: int, label: str) -> list[dict[str, Any]]:
    line = _line(rows, number, label)
    bounded = rows.dropna(subset=["low", "high"])
    if bounded.empty:
        return [line]
    x = bounded["time_s"] / S_PER_YEAR
    # A share is not below 0 or above 1, whatever Student says.
    low, high = ((bounded[end].clip(0, 1) * _PERCENT) for end in ("low", "high"))
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": _list(pd.concat([x, x[::-1]])),
        "y": _list(pd.concat([high, low[::-1]])),
        "fill": "toself",
        "line": {"width": 0},
        "legendgroup": line["legendgroup"],
        "showlegend": False,
        "hoverinfo": "skip",
        "meta": {"band": number % COLOURS},
    }
    return [band, line]


def _differences(comparison: Comparison) -> Figure:
    pairs, measures = comparison.frame("pairs"), comparison.manifest["measures"]
    present = list(dict.fromkeys(pairs["measure"]))
    return Figure(
        "differences",
        f"What changes against {comparison.manifest['baseline']}",
        "Paired differences on the same devices, with 95 % intervals. Filled: real after Holm's correction; hollow: not told apart from chance. Triangles point to what lies beyond the axis; a double click shows all.",
        ("pairs.csv", "replications.csv"),
        layout={
            "xaxis": {"zeroline": True},
            "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"},
        },
        choices={"measure": [(name, measures[name]["title"]) for name in present]},
    )


def _pareto(comparison: Comparison) -> Figure:
    points, measures = comparison.frame("pareto"), comparison.manifest["measures"]
    present = list(dict.fromkeys([*points["x"], *points["y"]]))
    titles = [(name, measures[name]["title"]) for name in present]
    return Figure(
        "pareto",
        "What it takes to be better",
        "Each schedule by two measures of your choice, with 95 % intervals. The line joins those that no other beats in both: the Pareto front of the means.",
        ("comparison.csv", "pareto.csv"),
        choices={"x": titles, "y": titles},
    )


def _undetected(comparison: Comparison, labels: Sequence[str]) -> Figure:
    rows = comparison.frame("spells")
    data = []
    for number, label in enumerate(labels):
        spells = rows[rows["schedule"] == label].groupby("length_s")["spells"].sum()
        if spells.empty:
            continue
        x, y = exceedance(spells.index.to_numpy(), spells.to_numpy())
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": (x / S_PER_DAY).tolist(),
                "y": (y * _PERCENT).tolist(),
                "name": html.escape(label),
                "line": {"width": 2.4, "shape": "hv", "dash": DASHES[number // COLOURS % len(DASHES)]},
                "meta": {"colour": number % COLOURS},
                "hovertemplate": "%{y:.1f} % last longer than %{x:.3g} d<extra>%{fullData.name}</extra>",
            }
        )
    layout = _layout("days", "spells that last longer (%)")
    layout["xaxis"] |= {"type": "log"}
    layout["yaxis"] |= {"range": [-2, 102]}
    return Figure(
        "undetected",
        "How long a loss goes unnoticed",
        "From leaving the spec until an alarm; spells that end otherwise (cured by a refresh on the clock, or the end of the simulation) count with their length.",
        ("spells.csv",),
        data,
        layout,
    )


def exceedance(lengths: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at which ``lengths`` (ascending) which share of all lasts longer, from 1 at the shortest on; thinned out where there are very many."""
    left = 1.0 - np.cumsum(counts) / counts.sum()
    x, y = np.concatenate([lengths[:1], lengths]), np.concatenate([[1.0], left])
    if len(x) > _POINTS_OF_A_DISTRIBUTION:
        some = np.unique(np.linspace(0, len(x) - 1, _POINTS_OF_A_DISTRIBUTION).round().astype(int))
        x, y = x[some], y[some]
    return x, y


def _wear(comparison: Comparison, labels: Sequence[str]) -> Figure:
    rows = comparison.frame("wear")
    several = rows["group"].nunique() > 1
    data = []
    for number, label in enumerate(labels):
        of_schedule = rows[rows["schedule"] == label]
        where = of_schedule["group"] + ": " + of_schedule["layers"] if several else of_schedule["layers"]
        data.append(
            {
                "type": "bar",
                "x": [html.escape(text) for text in where],
                "y": _list(of_schedule["stuck_cells_mean"]),
                "name": html.escape(label),
                "customdata": _list(of_schedule["operations_mean"]),
                "marker": {},
                "meta": {"bar": number % COLOURS},
                "hovertemplate": "%{y:.3g} stuck cells after %{customdata:.3g} operations a cell<extra>%{fullData.name}</extra>",
            }
        )
    return Figure(
        "wear",
        "Wear at the end",
        "Stuck cells of a device when it was last in use, by the layers that pass through them; hover for the programming operations behind it.",
        ("wear.csv",),
        data,
        _layout("layer", "stuck cells a device") | {"barmode": "group"},
    )


def choices_data(comparison: Comparison) -> dict[str, Any]:
    """Return what figures with choices draw from: differences by measure, means by measure, Pareto fronts by two measures."""
    pairs, means, points = (comparison.frame(name) for name in ("pairs", "comparison", "pareto"))
    labels = [entry["label"] for entry in comparison.manifest["schedules"]]
    number = {label: i for i, label in enumerate(labels)}
    real = {verdict for verdict in VERDICTS if verdict in ("better", "worse")}
    differences: dict[str, list[dict[str, Any]]] = {}
    for row in pairs.itertuples():
        differences.setdefault(row.measure, []).append(
            {"schedule": number[row.schedule], "difference": _or_none(row.difference), "low": _or_none(row.low), "high": _or_none(row.high),
             "verdict": row.verdict, "real": row.verdict in real, "p_holm": _or_none(row.p_holm)}
        )  # fmt: skip
    by_measure: dict[str, dict[int, list[float | None]]] = {}
    for row in means.itertuples():
        by_measure.setdefault(row.measure, {})[number[row.schedule]] = [
            _or_none(v) for v in (row.mean, row.low, row.high)
        ]
    fronts: dict[str, list[int]] = {}
    for row in points[points["on_front"] == 1].itertuples():
        fronts.setdefault(f"{row.x}|{row.y}", []).append(number[row.schedule])
    return {
        "labels": [html.escape(label) for label in labels],
        "measures": comparison.manifest["measures"],
        "baseline": number[comparison.manifest["baseline"]],
        "differences": differences,
        "means": by_measure,
        "fronts": fronts,
    }


def _layout(x: str, y: str) -> dict[str, Any]:
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}, "automargin": True}}


def _list(values: pd.Series) -> list[float | None]:
    return [_or_none(value) for value in values]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
