"""Compare schedules on the same silicon: one picture and one table, from the files that runs wrote.

    python analysis/compare_schedules.py -o docs/quickstart.png \\
        "weekly self-test + retraining=results/periodic" "never=results/never"

Each argument is LABEL=DIRECTORY, the directory of a finished ``lifesim run``. The runs must differ in
their schedules only: then each device has the same cells with the same limits in all of them, and devices are
compared pairwise. The first run is what the others are compared with.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

matplotlib.use("Agg")

S_PER_YEAR = 365 * 86_400  # of lifesim: a year is 365 days

# Okabe and Ito's colours for all kinds of colour vision, told apart by dashes, too.
STYLES = (
    ("#0072B2", "-"),
    ("#009E73", (0, (6, 1.5))),
    ("#D55E00", (0, (1.5, 1.2))),
    ("#4D4D4D", (0, (5, 1.5, 1.2, 1.5))),
    ("#CC79A7", (0, (3, 3))),
    ("#E69F00", (0, (8, 2, 2, 2, 2, 2))),
)
INK = "#262626"


@dataclass(frozen=True)
class Run:
    """What one run left behind."""

    label: str
    fleet: pd.DataFrame
    devices: pd.DataFrame
    summary: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def in_spec(self) -> float:
        """Share of all device time in spec."""
        return self.summary["in_spec_availability"]


def read_run(argument: str) -> Run:
    """Return the run that LABEL=DIRECTORY names. Raises ValueError if there is no finished one."""
    label, equals, name = argument.partition("=")
    if not (label and equals and name):
        raise ValueError(f"{argument}: must be LABEL=DIRECTORY")
    directory = Path(name)
    try:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{directory}: no manifest.json: not the result directory of a run") from None
    if manifest["status"] != "finished":
        raise ValueError(f"{directory}: the run is {manifest['status']}, not finished")
    return Run(
        label,
        pd.read_csv(directory / "fleet.csv"),
        pd.read_csv(directory / "devices.csv", dtype={"group": str}),
        json.loads((directory / "summary.json").read_text(encoding="utf-8")),
        manifest,
    )


def same_silicon(runs: Sequence[Run]) -> None:
    """Raise ValueError unless the runs differ in nothing but their schedules."""

    def without_schedules(run: Run) -> dict[str, Any]:
        scenario = {key: value for key, value in run.manifest["scenario"].items() if key != "name"}
        groups = {
            name: {key: value for key, value in group.items() if key != "schedule"}
            for name, group in scenario["group"].items()
        }
        return {**scenario, "group": groups, "versions": run.manifest["versions"]}

    first = without_schedules(runs[0])
    for run in runs[1:]:
        other = without_schedules(run)
        differing = [key for key in first if first[key] != other.get(key)]
        if differing:
            raise ValueError(
                f"{run.label} and {runs[0].label} differ in {', '.join(differing)}: not the same silicon"
            )


def table(runs: Sequence[Run]) -> str:
    """Return a Markdown table of what the schedules achieve and what they cost.

    The difference in in-spec share is the mean over devices, each paired with itself in the first run, with
    Student's 95 % interval.
    """
    years = runs[0].summary["horizon_s"] / S_PER_YEAR
    device_years = runs[0].summary["devices"] * years
    head = (
        "schedule",
        "in spec",
        f"less than {runs[0].label}",
        "silent",
        "lowest accuracy",
        "alarms true / early / false",
    )
    head += (
        "March C-",
        "refreshes",
        "retrainings",
        "cell writes per device and year",
        "kB per device and year",
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for run in runs:
        counts = run.summary["counts"]
        cells = (
            run.label,
            f"{run.in_spec:.3%}",
            "" if run is runs[0] else _paired_difference(runs[0], run),
            f"{run.summary['out_silent_share']:.3%}",
            f"{run.devices['accuracy_min'].min():.3f}",
            " / ".join(f"{counts[f'alarms_{kind}']:,}" for kind in ("true", "early", "false")),
            f"{counts['diagnoses']:,}",
            f"{counts['refreshes']:,}",
            f"{counts['retrainings']:,}",
            f"{counts['cell_writes'] / device_years:.3g}",
            f"{(counts['uplink_sent_bytes'] + counts['downlink_sent_bytes']) / device_years / 1e3:.3g}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _paired_difference(first: Run, other: Run) -> str:
    difference = first.devices["in_spec_availability"] - other.devices["in_spec_availability"]
    count = len(difference)
    if count < 2:
        return f"{difference.mean() * 100:.2f} points"
    half_width = stats.t.ppf(0.975, count - 1) * difference.std(ddof=1) / math.sqrt(count)
    return f"{difference.mean() * 100:.2f} ± {half_width * 100:.2f} points"


def draw(runs: Sequence[Run], title: str | None = None) -> Figure:
    """Return the picture: accuracy above, share of the fleet in spec below."""
    with matplotlib.rc_context(
        {"font.family": "DejaVu Sans", "font.size": 11, "text.color": INK, "axes.labelcolor": INK}
    ):
        figure = Figure(figsize=(9, 6.4), facecolor="white")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.12, 1))
        figure.subplots_adjust(left=0.085, right=0.76, top=0.845, bottom=0.085, hspace=0.2)
        _draw_accuracy(above, runs)
        _draw_in_spec(below, runs)
        years = runs[0].fleet["time_s"].iloc[-1] / S_PER_YEAR
        below.set_xlim(0, years)
        below.set_xlabel("years since deployment")
        figure.text(0.012, 0.972, title or finding(runs), fontsize=14.5, fontweight="bold", va="top")
        figure.text(0.012, 0.92, _subtitle(runs), fontsize=10, va="top", color="#555555")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the picture as a PNG with a palette: a third of the size, and nothing to be seen of it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=133, format="png")
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        path, format="PNG", optimize=True
    )


def finding(runs: Sequence[Run]) -> str:
    """Say in a line who is in spec most and least."""
    ranked = sorted(runs, key=lambda run: run.in_spec)
    best, worst = ranked[-1], ranked[0]
    with_best = f"{_percent(best.in_spec)} of the time with {best.label}"
    return f"In spec {with_best}, {_percent(worst.in_spec)} with {worst.label}"


def _subtitle(runs: Sequence[Run]) -> str:
    summary = runs[0].summary
    return (
        f"{summary['devices']} devices, {summary['horizon_s'] / S_PER_YEAR:g} years, the same silicon under "
        f"{len(runs)} schedules ({summary['scenario']}, seed {summary['seed']})"
    )


def _draw_accuracy(axes: Axes, runs: Sequence[Run]) -> None:
    lowest, highest = 1.0, 0.0
    for run, (colour, dashes) in reversed(list(zip(runs, STYLES, strict=False))):
        lowest = min(lowest, run.fleet["accuracy_p05"].min())
        highest = max(highest, run.fleet["accuracy_mean"].max())
        years = run.fleet["time_s"] / S_PER_YEAR
        axes.plot(years, run.fleet["accuracy_p05"] * 100, color=colour, linewidth=0.9)
        axes.plot(years, run.fleet["accuracy_mean"] * 100, color=colour, linestyle=dashes, linewidth=2.6)
    required = {group["required_accuracy"] for group in runs[0].summary["groups"].values()}
    if len(required) == 1:
        limit = required.pop() * 100
        axes.axhspan(limit, 100, color="#0072B2", alpha=0.1, linewidth=0)
        axes.annotate(
            "in spec", (0.012, limit), xycoords=("axes fraction", "data"),
            xytext=(0, 3), textcoords="offset points", fontsize=9.5, color="#555555",
        )  # fmt: skip
    axes.set_ylim(lowest * 100, highest * 100)
    axes.set_ylabel("accuracy (%)")
    _heading(axes, "Accuracy of the fleet: mean (thick) and 5th percentile (thin)")
    _label_ends(
        axes, runs, [run.fleet["accuracy_mean"].iloc[-1] * 100 for run in runs], [run.label for run in runs]
    )
    _plain(axes)


def _draw_in_spec(axes: Axes, runs: Sequence[Run]) -> None:
    for run, (colour, dashes) in reversed(list(zip(runs, STYLES, strict=False))):
        shares = run.fleet["in_spec_share"] * 100
        axes.plot(run.fleet["time_s"] / S_PER_YEAR, shares, color=colour, linestyle=dashes, linewidth=2.4)
    axes.set_ylabel("time in spec (%)")
    period_d = runs[0].fleet["time_s"].iloc[1] / 86_400
    _heading(axes, f"Share of the devices' time in spec, in periods of {period_d:g} days")
    ends = [run.fleet["in_spec_share"].iloc[-1] * 100 for run in runs]
    _label_ends(axes, runs, ends, [f"{_percent(run.in_spec)} overall" for run in runs])
    _plain(axes)


def _label_ends(axes: Axes, runs: Sequence[Run], values: Sequence[float], texts: Sequence[str]) -> None:
    """Write a label beside the end of each line, pushed apart where lines end close together."""
    low, high = axes.get_ylim()
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    axes.set_ylim(low, high)
    gap = 0.115 * (high - low)
    order = sorted(
        range(len(runs)), key=lambda i: (round(4 * values[i] / gap), -i)
    )  # ends that look equal: first run on top
    places = [values[i] for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    overshoot = max(0.0, places[-1] - (high - 0.3 * gap))
    places[-1] -= overshoot
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - gap)
    for i, place in zip(order, places, strict=True):
        axes.annotate(
            texts[i], (1, values[i]), xycoords=("axes fraction", "data"),
            xytext=(1.035, place), textcoords=("axes fraction", "data"), va="center", fontsize=10.5,
            color=STYLES[i][0], fontweight="bold", annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": STYLES[i][0], "linewidth": 0.8,
                "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5),
            },
        )  # fmt: skip


def _heading(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10.5, color=INK, pad=6)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
    axes.set_axisbelow(True)


def _percent(share: float) -> str:
    """Return a share with as many digits as it takes to tell it from 100 %."""
    digits = 1 if share < 0.995 else 2
    return f"{share * 100:.{digits}f} %"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", metavar="LABEL=DIRECTORY")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PNG")
    parser.add_argument("--title", help="instead of the sentence that the numbers give")
    given = parser.parse_args(arguments)
    try:
        if len(given.runs) > len(STYLES):
            raise ValueError(f"at most {len(STYLES)} runs can be told apart")
        runs = [read_run(argument) for argument in given.runs]
        same_silicon(runs)
    except ValueError as error:
        print(f"compare_schedules: error: {error}", file=sys.stderr)
        return 2
    save(draw(runs, given.title), given.output)
    print(table(runs))
    print(f"Written to {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
