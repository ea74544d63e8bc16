"""Pictures of a sweep: which key moves a measure how far (tornado), and the measure over two keys (heat map)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lifesim.comparison.measures import MEASURES
from lifesim.experiment.tables import Table
from lifesim.files import atomic_write
from lifesim.scenario.units import readable_duration
from lifesim.sweep.dataset import means
from lifesim.sweep.plan import Plan
from lifesim.sweep.sensitivity import by_level

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 8


def draw(plan: Plan, directory: Path, table: Table) -> list[str]:
    """Draw what the sweep file asks for and return the names of the files; nothing without matplotlib, or where nothing differs."""
    for pattern in ("tornado_*.png", "heatmap_*.png"):
        for path in directory.glob(pattern):
            path.unlink()
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return []
    names = []
    for measure in plan.file.plot:
        rows = [
            dict(zip(table, row, strict=True))
            for row in zip(*table.values(), strict=True)
            if row[1] == measure
        ]
        if not rows:
            continue
        figures = {f"tornado_{measure}.png": _tornado(plan, measure, rows)}
        if len(plan.dimensions) > 1:
            figures[f"heatmap_{measure}.png"] = _heat_map(plan, directory, measure, rows)
        for name, figure in figures.items():
            sink = io.BytesIO()
            # Without the date and the version of the program: the same numbers, the same bytes.
            figure.savefig(sink, dpi=120, metadata={"Software": None})
            atomic_write(directory / name, sink.getvalue())
            names.append(name)
    return names


def _axes(panels: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * panels, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, panels, squeeze=False)[0]))


def _tornado(plan: Plan, measure: str, rows: Sequence[dict[str, Any]]) -> Figure:
    schedules = list(dict.fromkeys(row["schedule"] for row in rows))
    figure, axes = _axes(len(schedules), 6.0, 1.2 + 0.5 * len(plan.dimensions))
    for ax, schedule in zip(axes, schedules, strict=True):
        of_schedule = sorted(
            (row for row in rows if row["schedule"] == schedule),
            key=lambda row: row["highest"] - row["lowest"],
        )
        for at, row in enumerate(of_schedule):
            ax.barh(at, row["highest"] - row["lowest"], left=row["lowest"], color="#4477aa", height=0.6)
            for end, side in (("lowest", "right"), ("highest", "left")):
                ax.annotate(
                    f" {_short(row[f'{end}_at'], row['key'])} ",
                    (row[end], at),
                    ha=side,
                    va="center",
                    fontsize=8,
                )
        ax.set_yticks(range(len(of_schedule)), [row["key"] for row in of_schedule])
        ax.set_xlabel(_label(measure))
        ax.set_title(schedule, fontsize=10)
        ax.use_sticky_edges = False
        ax.margins(x=0.25)
    return figure


def _heat_map(plan: Plan, directory: Path, measure: str, rows: Sequence[dict[str, Any]]) -> Figure:
    """Draw the measure over the two keys that move it most."""
    moves = {d.key: 0.0 for d in plan.dimensions}
    for row in rows:
        moves[row["key"]] += row["highest"] - row["lowest"]
    first, second = sorted(range(len(plan.dimensions)), key=lambda i: -moves[plan.dimensions[i].key])[:2]
    points = list(plan.points())
    schedules = list(dict.fromkeys(row["schedule"] for row in rows))
    values = means(directory, measure, len(points), [form.label for form in plan.schedules])
    shown = [values[[form.label for form in plan.schedules].index(schedule)] for schedule in schedules]
    figure, axes = _axes(len(schedules), 5.5, 4.5)
    columns, x_labels = _cells([point[first] for point in points], plan.dimensions[first].key)
    lines, y_labels = _cells([point[second] for point in points], plan.dimensions[second].key)
    low, high = (pick(float(pick(each)) for each in shown) for pick in (min, max))
    for ax, schedule, of_schedule in zip(axes, schedules, shown, strict=True):
        sums, counts = np.zeros((2, len(y_labels), len(x_labels)))
        np.add.at(sums, (lines, columns), of_schedule)
        np.add.at(counts, (lines, columns), 1.0)
        with np.errstate(invalid="ignore"):
            image = ax.imshow(
                sums / counts, origin="lower", aspect="auto", cmap="viridis", vmin=low, vmax=high
            )
        ax.set_xticks(range(len(x_labels)), x_labels, rotation=45, ha="right", fontsize=8)
        ax.set_yticks(range(len(y_labels)), y_labels, fontsize=8)
        ax.set_xlabel(plan.dimensions[first].key)
        ax.set_ylabel(plan.dimensions[second].key)
        ax.set_title(schedule, fontsize=10)
    figure.colorbar(image, ax=axes, label=_label(measure))
    return figure


def _cells(at: Sequence[Any], key: str) -> tuple[np.ndarray, list[str]]:
    """Return in which cell of an axis each point lies, and the labels of the cells: values, or equal parts of the points where there are many."""
    levels = by_level(at, np.zeros(len(at)))
    names = [value for value, *_ in levels]
    if set(names) >= set(at):
        return np.array([names.index(value) for value in at]), [_short(name, key) for name in names]
    order = np.argsort(np.array(at), kind="stable")
    cell = np.empty(len(at), int)
    labels = []
    for number, part in enumerate(np.array_split(order, _BINS)):
        cell[part] = number
        labels.append(_short(float(np.mean(np.array(at)[part])), key))
    return cell, labels


def _label(measure: str) -> str:
    unit = MEASURES[measure].unit
    return MEASURES[measure].title + (f" ({unit})" if unit not in ("", "1") else "")


def _short(value: Any, key: str) -> str:
    if not isinstance(value, float):
        return str(value)
    return readable_duration(value) if key.endswith("_s") else f"{value:.4g}"
