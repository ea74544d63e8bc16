"""Draw a comparison of schedules: pictures and a table, from the files that `lifesim compare` wrote.

    python analysis/compare_schedules.py results/quickstart-comparison -o pictures

writes over_time.png (accuracy and time in spec, with 95 % bands over replications), differences.png, pareto.png, undetected.png and wear.png, and prints a table.
`lifesim report` makes an interactive page of the same files. Other scripts here draw with the functions below.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lifesim.comparison.results import Comparison, read_comparison
from lifesim.errors import UserError

matplotlib.use("Agg")

S_PER_YEAR = 365 * 86_400  # of lifesim: a year is 365 days
S_PER_DAY = 86_400

# Okabe and Ito's colours for all kinds of colour vision, told apart by dashes, too.
STYLES = (
    ("#0072B2", "-"),
    ("#009E73", (0, (6, 1.5))),
    ("#D55E00", (0, (1.5, 1.2))),
    ("#4D4D4D", (0, (5, 1.5, 1.2, 1.5))),
    ("#CC79A7", (0, (3, 3))),
    ("#E69F00", (0, (8, 2, 2, 2, 2, 2))),
    ("#56B4E9", (0, (1, 2.5))),
    ("#8C4A2F", (0, (4, 1))),
)
INK, GREY = "#262626", "#555555"
FONT = {"font.family": "DejaVu Sans", "font.size": 11, "text.color": INK, "axes.labelcolor": INK}


def labels_of(comparison: Comparison) -> list[str]:
    """Return the schedules in the order in which they were asked for."""
    return [entry["label"] for entry in comparison.manifest["schedules"]]


def mean_of(comparison: Comparison, measure: str, label: str) -> float:
    """Return a schedule's mean of a measure."""
    rows = comparison.frame("comparison").set_index(["measure", "schedule"])
    return float(rows.loc[(measure, label), "mean"])


def pair_of(comparison: Comparison, measure: str, label: str) -> pd.Series:
    """Return the row of pairs.csv of a schedule and a measure."""
    return comparison.frame("pairs").set_index(["measure", "schedule"]).loc[(measure, label)]


def table(comparison: Comparison) -> str:
    """Return a Markdown table of what the schedules achieve and what they cost."""
    measures = [
        name
        for name in ("in_spec_availability", "silent_share", "undetected_p95_s", "tests", "cloud_jobs", "cell_cycles", "sent_bytes", "cost")
        if name in comparison.manifest["measures"]
    ]  # fmt: skip
    described = comparison.manifest["measures"]
    baseline = comparison.manifest["baseline"]
    head = [
        "schedule",
        *(f"{described[m]['title']} ({described[m]['unit']})".replace(" (1)", "") for m in measures),
        f"in spec, less {baseline}",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for label in labels_of(comparison):
        cells = [label, *(_number(m, mean_of(comparison, m, label)) for m in measures)]
        cells.append(
            "" if label == baseline else _difference(pair_of(comparison, "in_spec_availability", label))
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(measure: str, value: float) -> str:
    if np.isnan(value):
        return ""
    if measure in ("in_spec_availability", "silent_share"):
        return f"{value:.3%}"
    return f"{value / S_PER_DAY:.3g} d" if measure.endswith("_s") else f"{value:.3g}"


def _difference(row: pd.Series) -> str:
    points = f"{row['difference'] * 100:+.3f}"
    if np.isnan(row["low"]):
        return f"{points} points"
    return f"{points} ± {(row['high'] - row['low']) * 50:.3f} points, {row['verdict']}"


# -- pictures --


def over_time(
    comparison: Comparison, labels: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Return the picture of the fleet's years: accuracy above, share of the time in spec below."""
    labels = list(labels or labels_of(comparison))[: len(STYLES)]
    with matplotlib.rc_context(FONT):
        figure = Figure(figsize=(9, 6.4), facecolor="white")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.12, 1))
        figure.subplots_adjust(left=0.085, right=0.74, top=0.845, bottom=0.085, hspace=0.2)
        _curve(above, comparison, "accuracy_p05", labels, width=0.9, solid=True, band=False)
        _curve(above, comparison, "accuracy_mean", labels, width=2.6)
        _heading(above, "Accuracy of the fleet: mean (thick) and 5th percentile (thin), in %")
        ends = _curve(below, comparison, "in_spec_availability", labels, width=2.4)
        _heading(below, "Share of the devices' time in spec, in %")
        between = "\n" if len(labels) < 6 else ", "
        overall = [
            f"{label}{between}{percent(mean_of(comparison, 'in_spec_availability', label))} overall"
            for label in labels
        ]
        _label_ends(below, ends, overall)
        below.set_xlim(0, comparison.frame("curves")["time_s"].max() / S_PER_YEAR)
        below.set_xlabel("years since deployment")
        _title(figure, comparison, title or finding(comparison, labels))
    return figure


def _curve(
    axes: Axes,
    comparison: Comparison,
    curve: str,
    labels: Sequence[str],
    width: float,
    solid: bool = False,
    band: bool = True,
) -> list[float]:
    """Draw a curve of each schedule and return where they end."""
    rows = comparison.frame("curves")
    rows, ends = rows[rows["curve"] == curve], []
    for number, label in reversed(list(enumerate(labels))):
        own, (colour, dashes) = rows[rows["schedule"] == label], STYLES[number]
        years = own["time_s"] / S_PER_YEAR
        axes.plot(years, own["mean"] * 100, color=colour, linestyle="-" if solid else dashes, linewidth=width)
        if band and own["low"].notna().any():
            axes.fill_between(
                years,
                own["low"].clip(0, 1) * 100,
                own["high"].clip(0, 1) * 100,
                color=colour,
                alpha=0.13,
                linewidth=0,
            )
        ends.insert(0, float(own["mean"].iloc[-1]) * 100)
    shown = rows[rows["schedule"].isin(labels)]["mean"] * 100
    low, high = axes.get_ylim() if axes.lines[len(labels) :] else (np.inf, -np.inf)
    axes.set_ylim(min(low, shown.min()), max(high, shown.max()))
    _plain(axes)
    return ends


def pareto(comparison: Comparison, x: str, y: str, title: str | None = None) -> Figure:
    """Return every schedule by two measures, and the line through those that no other beats."""
    rows = comparison.frame("comparison").set_index(["measure", "schedule"])
    points = comparison.frame("pareto")
    front = points[
        (points["on_front"] == 1)
        & (((points["x"] == x) & (points["y"] == y)) | ((points["x"] == y) & (points["y"] == x)))
    ]["schedule"]
    with matplotlib.rc_context(FONT):
        figure = Figure(figsize=(9, 5.6), facecolor="white")
        axes = figure.subplots()
        figure.subplots_adjust(left=0.1, right=0.74, top=0.83, bottom=0.12)
        scale = {name: _scale(comparison, name) for name in (x, y)}
        placed = []
        for number, label in enumerate(labels_of(comparison)):
            a, b = rows.loc[(x, label)], rows.loc[(y, label)]
            if np.isnan(a["mean"]) or np.isnan(b["mean"]):
                continue
            colour, on_front = STYLES[number % len(STYLES)][0], label in set(front)
            for row, name, draw in ((a, x, "xerr"), (b, y, "yerr")):
                half = 0.0 if np.isnan(row["low"]) else (row["high"] - row["low"]) / 2 * scale[name][0]
                axes.errorbar(
                    a["mean"] * scale[x][0],
                    b["mean"] * scale[y][0],
                    **{draw: half},
                    color=colour,
                    alpha=0.5,
                    capsize=3,
                )
            at = a["mean"] * scale[x][0], b["mean"] * scale[y][0]
            axes.plot(
                *at,
                "o",
                markersize=9,
                markerfacecolor=colour if on_front else "white",
                color=colour,
                markeredgewidth=2,
            )
            axes.lines[-1].set_label(label)
            if on_front:
                placed.append(at)
        if len(placed) > 1:
            axes.plot(*zip(*sorted(placed), strict=True), ":", color=GREY, linewidth=1.2, zorder=0)
        for name, set_label in ((x, axes.set_xlabel), (y, axes.set_ylabel)):
            set_label(f"{comparison.manifest['measures'][name]['title']} ({scale[name][1]})")
        _plain(axes)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=9.5)
        _title(
            figure,
            comparison,
            title or "What it takes to be better: filled, no other schedule beats it in both",
        )
    return figure


def differences(
    comparison: Comparison,
    measure: str = "in_spec_availability",
    title: str | None = None,
    without: Sequence[str] = (),
) -> Figure:
    """Return the paired differences to the baseline with their intervals; hollow: not told apart. ``without``: what is too far off to draw."""
    rows = comparison.frame("pairs")
    rows = rows[(rows["measure"] == measure) & ~rows["schedule"].isin(without)].dropna(subset=["difference"])
    factor, unit = _scale(comparison, measure)
    order = labels_of(comparison)
    with matplotlib.rc_context(FONT):
        figure = Figure(figsize=(9, 1.9 + 0.42 * max(2, len(rows))), facecolor="white")
        axes = figure.subplots()
        figure.subplots_adjust(
            left=0.26, right=0.97, top=1 - 1.15 / figure.get_figheight(), bottom=0.65 / figure.get_figheight()
        )
        axes.axvline(0, color=GREY, linewidth=0.9)
        for place, row in enumerate(rows.itertuples()):
            colour, real = (
                STYLES[order.index(row.schedule) % len(STYLES)][0],
                row.verdict in ("better", "worse"),
            )
            half = 0.0 if np.isnan(row.low) else (row.high - row.low) / 2 * factor
            axes.errorbar(row.difference * factor, place, xerr=half, color=colour, capsize=4, linewidth=2)
            axes.plot(
                row.difference * factor,
                place,
                "o",
                markersize=9,
                color=colour,
                markerfacecolor=colour if real else "white",
                markeredgewidth=2,
            )
        axes.set_yticks(range(len(rows)), rows["schedule"])
        axes.invert_yaxis()
        title_of = comparison.manifest["measures"][measure]["title"]
        axes.set_xlabel(
            f"{title_of}: difference to {comparison.manifest['baseline']} ({'points' if unit == '%' else unit})"
        )
        _plain(axes, "x")
        _title(figure, comparison, title or "On the same devices: filled, the difference is real")
    return figure


def undetected(comparison: Comparison, title: str | None = None) -> Figure:
    """Return how long losses go unnoticed: the share of silent spells that last longer."""
    rows = comparison.frame("spells")
    with matplotlib.rc_context(FONT):
        figure = Figure(figsize=(9, 5.2), facecolor="white")
        axes = figure.subplots()
        figure.subplots_adjust(left=0.085, right=0.97, top=0.82, bottom=0.12)
        for number, label in enumerate(labels_of(comparison)):
            own = rows[rows["schedule"] == label].groupby("length_s")["spells"].sum()
            if own.empty:
                continue
            colour, dashes = STYLES[number % len(STYLES)]
            left = 100 * (1 - own.cumsum() / own.sum())
            days = np.concatenate([own.index[:1], own.index]) / S_PER_DAY
            axes.plot(days, np.concatenate([[100.0], left]), drawstyle="steps-post", color=colour, linestyle=dashes, linewidth=2.2,
                      label=f"{label} ({own.sum():,})")  # fmt: skip
        if axes.lines:
            axes.set_xscale("log")
            axes.legend(frameon=False, fontsize=9.5, title="schedule (silent spells)")
        axes.set_xlabel("days from leaving the spec until an alarm, a cure by the clock, or the end")
        axes.set_ylabel("last longer (%)")
        _plain(axes)
        _title(figure, comparison, title or "How long a loss goes unnoticed")
    return figure


def wear(comparison: Comparison, title: str | None = None) -> Figure:
    """Return the stuck cells of a device at the end, by layer and schedule."""
    rows, labels = comparison.frame("wear"), labels_of(comparison)
    places = rows["group"] + ": " + rows["layers"] if rows["group"].nunique() > 1 else rows["layers"]
    names = list(dict.fromkeys(places))
    with matplotlib.rc_context(FONT):
        figure = Figure(figsize=(9, 5.0), facecolor="white")
        axes = figure.subplots()
        figure.subplots_adjust(left=0.085, right=0.76, top=0.82, bottom=0.1)
        width = 0.85 / len(labels)
        for number, label in enumerate(labels):
            own = rows[rows["schedule"] == label]
            at = [
                names.index(place) + (number - (len(labels) - 1) / 2) * width for place in places[own.index]
            ]
            axes.bar(
                at, own["stuck_cells_mean"], width * 0.92, color=STYLES[number % len(STYLES)][0], label=label
            )
        axes.set_xticks(range(len(names)), names)
        axes.set_ylabel("stuck cells a device")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, fontsize=9.5)
        _plain(axes)
        _title(figure, comparison, title or "Wear at the end")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the picture as a PNG with a palette: a third of the size, and nothing to be seen of it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=133, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        path, format="PNG", optimize=True
    )


def finding(comparison: Comparison, labels: Sequence[str]) -> str:
    """Say in a line who is in spec most and least."""
    ranked = sorted(labels, key=lambda label: mean_of(comparison, "in_spec_availability", label))
    most, least = (mean_of(comparison, "in_spec_availability", label) for label in (ranked[-1], ranked[0]))
    return f"In spec {percent(most)} of the time with {ranked[-1]}, {percent(least)} with {ranked[0]}"


def percent(share: float) -> str:
    """Return a share with as many digits as it takes to tell it from 100 %, three at most."""
    left = 1 - share
    text = f"{share * 100:.{1 if left > 0.005 else 2 if left > 0.0005 else 3}f}"
    return "> 99.999 %" if text == "100.000" and left > 0 else f"{text} %"


def subtitle(comparison: Comparison) -> str:
    """Return what was compared, in a line."""
    manifest = comparison.manifest
    scenario = manifest["schedules"][0]["scenario"]
    devices = sum(group["count"] for group in scenario["group"].values())
    return (
        f"{devices} devices, {scenario['horizon_s'] / S_PER_YEAR:g} years, {manifest['replications']} replications, the same silicon under "
        f"{len(manifest['schedules'])} schedules ({manifest['scenario']}, seed {manifest['seed']})"
    )


def _title(figure: Figure, comparison: Comparison, title: str) -> None:
    inch = 1 / figure.get_figheight()
    figure.text(0.012, 1 - 0.18 * inch, title, fontsize=14.5, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.52 * inch, subtitle(comparison), fontsize=10, va="top", color=GREY)


def _label_ends(axes: Axes, values: Sequence[float], texts: Sequence[str]) -> None:
    """Write a label beside the end of each line, pushed apart where lines end close together."""
    low, high = axes.get_ylim()
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    axes.set_ylim(low, high)
    gap = (high - low) * (0.2 if len(values) < 6 else 0.115)
    order = sorted(
        range(len(values)), key=lambda i: (round(4 * values[i] / gap), -i)
    )  # ends that look equal: the first on top
    places = [values[i] for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    places[-1] -= max(0.0, places[-1] - (high - 0.3 * gap))
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - gap)
    for i, place in zip(order, places, strict=True):
        axes.annotate(
            texts[i], (1, values[i]), xycoords=("axes fraction", "data"),
            xytext=(1.035, place), textcoords=("axes fraction", "data"), va="center", fontsize=9,
            color=STYLES[i][0], fontweight="bold", annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": STYLES[i][0], "linewidth": 0.8,
                "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5),
            },
        )  # fmt: skip


def _heading(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10.5, color=INK, pad=6)


def _plain(axes: Axes, grid: str = "y") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)


def _scale(comparison: Comparison, measure: str) -> tuple[float, str]:
    """Return in what a measure is drawn: shares in percent, seconds in days."""
    unit = comparison.manifest["measures"][measure]["unit"]
    return (100.0, "%") if unit == "1" else (1 / S_PER_DAY, "d") if unit == "s" else (1.0, unit)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="of a finished `lifesim compare`")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where the pictures go"
    )
    parser.add_argument("--across", default="tests", metavar="MEASURE", help="measure across in pareto.png")
    given = parser.parse_args(arguments)
    try:
        comparison = read_comparison(given.directory)
    except UserError as error:
        print(f"compare_schedules: error: {error}", file=sys.stderr)
        return 2
    if given.across not in comparison.manifest["measures"]:
        print(
            f"compare_schedules: error: --across {given.across}: allowed: {', '.join(comparison.manifest['measures'])}",
            file=sys.stderr,
        )
        return 2
    pictures = {
        "over_time": over_time(comparison),
        "differences": differences(comparison),
        "pareto": pareto(comparison, given.across, "in_spec_availability"),
        "undetected": undetected(comparison),
        "wear": wear(comparison),
    }
    for name, figure in pictures.items():
        save(figure, given.output / f"{name}.png")
    print(table(comparison))
    print(f"Written to {given.output}: {', '.join(f'{name}.png' for name in pictures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
