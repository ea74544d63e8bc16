"""Draw the figures of RRAMedy's evaluation from the CSVs that ``lifesim paper`` wrote, the paper's own numbers in them as dashes.

    python analysis/paper_figures.py results/paper -o docs/paper

Figures whose CSV is not there are left out.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

matplotlib.use("Agg")

TITLES = {"mlp": "MLP", "lenet": "LeNet", "convnet_quick": "ConvNet-quick"}
INK = "#262626"
# Okabe and Ito's colours for all kinds of colour vision. Light: SDC-1; full: SDC-3 %.
ORIGIN, AET, LIGHT_ORIGIN, LIGHT_AET = "#E69F00", "#0072B2", "#F5D99B", "#9CC9E3"
THROUGH = "#CC79A7"
BARS = (
    ("origin", "same", "sdc1", LIGHT_ORIGIN, "Origin, SDC-1"),
    ("origin", "same", "sdc3", ORIGIN, "Origin, SDC-3 %"),
    ("aet", "chosen", "sdc1", LIGHT_AET, "AET, SDC-1"),
    ("aet", "chosen", "sdc3", AET, "AET, SDC-3 %"),
)
PICTURE_COUNTS = (1, 4)
_WIDTH = 0.2


def fig5(table: pd.DataFrame) -> Figure:
    """How far the confidence of the golden class moves: the share of faulty networks in which it moves by no more."""
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    rate = table["permanent_rate"].iloc[0]
    numbers = table[table["examples"].isna()].set_index("measure")["ours"]
    for axes, choice, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("chosen", "random"),
        ("the chosen picture", "64 random pictures"),
        strict=True,
    ):
        for examples, colour, label in (("origin", ORIGIN, "as it is"), ("aet", AET, "adversarial")):
            part = table[(table["examples"] == examples) & (table["choice"] == choice)]
            curve = part[part["measure"].str.startswith("deviation, quantile")]
            quantile = curve["measure"].str.extract(r"quantile ([\d.]+)")[0].astype(float)
            golden = part.set_index("measure")["ours"]["golden confidence"]
            axes.plot(
                100 * curve["ours"], 100 * quantile, color=colour, label=f"{label} (golden {golden:.0%})"
            )
        axes.axvline(3, color=INK, lw=0.8, ls=(0, (4, 3)))
        axes.annotate("3 %", (3, 4), xytext=(3, 0), textcoords="offset points", fontsize=8, color=INK)
        axes.set(xlabel="deviation of the confidence, points", title=title, xlim=(0, 100), ylim=(0, 101))
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        _plain(axes)
    figure.axes[0].set_ylabel("share of faulty networks, %")
    figure.suptitle(
        f"Fig. 5. LeNet with {rate:.2%} of its cells stuck: accuracy {numbers['accuracy without faults']:.1%} -> "
        f"{numbers['accuracy with faults']:.1%}",
        fontsize=10,
    )
    return figure


def detection(table: pd.DataFrame, title: str) -> Figure:
    """Shares of faulty networks that are seen: a column of panels for each condition, a row for each number of test pictures."""
    columns = list(dict.fromkeys(zip(table["condition"], table["theta"], strict=True)))
    names = [name for name in TITLES if name in set(table["network"])]
    figure = Figure(figsize=(2.2 + 2.3 * len(columns), 2.1 * len(PICTURE_COUNTS) + 0.9), layout="constrained")
    grid = figure.subplots(len(PICTURE_COUNTS), len(columns), sharex=True, sharey=True, squeeze=False)
    for row, count in zip(grid, PICTURE_COUNTS, strict=True):
        for axes, (condition, theta) in zip(row, columns, strict=True):
            part = table[
                (table["pictures"] == count) & (table["condition"] == condition) & (table["theta"] == theta)
            ]
            _bars(axes, part, names)
            _plain(axes)
        row[0].set_ylabel(f"detected, %\n{count} picture{'s' if count > 1 else ''}")
    for axes, (condition, theta) in zip(grid[0], columns, strict=True):
        faults = {"permanent": "permanent", "soft": "soft", "both": "permanent and soft"}[condition]
        axes.set_title(f"{faults} faults" + (f", theta {theta:g}" if theta else ""), fontsize=9)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3 if len(columns) > 1 else 2, frameon=False, fontsize=8
    )  # fmt: skip
    figure.suptitle(title, fontsize=10)
    return figure


def _bars(axes: Axes, part: pd.DataFrame, names: Sequence[str]) -> None:
    def of(name: str, examples: str, choice: str, criterion: str) -> pd.Series:
        found = part[
            (part["network"] == name)
            & (part["examples"] == examples)
            & (part["choice"] == choice)
            & (part["criterion"] == criterion)
        ]
        return found.iloc[0]

    for number, (examples, choice, criterion, colour, label) in enumerate(BARS):
        at = [i + (number - 1.5) * _WIDTH for i in range(len(names))]
        rows = [of(name, examples, choice, criterion) for name in names]
        values = [100 * row["ours"] for row in rows]
        errors = [
            [100 * (row["ours"] - row["low"]) for row in rows],
            [100 * (row["high"] - row["ours"]) for row in rows],
        ]
        axes.bar(at, values, _WIDTH * 0.92, color=colour, label=label)
        axes.errorbar(at, values, errors, fmt="none", ecolor=INK, elinewidth=0.8)
    for kind, marker, label, at in (
        ("origin", "o", "Origin, pictures chosen as well", -0.5),
        ("aet", "D", "AET, random pictures", 1.5),
    ):
        rows = [of(name, kind, "chosen" if kind == "origin" else "random", "sdc3") for name in names]
        axes.plot(
            [i + at * _WIDTH for i in range(len(names))],
            [100 * row["ours"] for row in rows],
            marker, mfc="white", mec=INK, ms=4, ls="none", label=label,
        )  # fmt: skip
    for i, name in enumerate(names):
        row = of(name, "aet", "chosen", "sdc3")
        if pd.notna(row["paper"]):
            axes.plot([i + 0.9 * _WIDTH, i + 2.1 * _WIDTH], [100 * row["paper"]] * 2, color="#D55E00", lw=2)
    axes.plot([], [], color="#D55E00", lw=2, label="the paper's text (AET, SDC-3 %)")
    axes.set_xticks(range(len(names)), [TITLES[name] for name in names], fontsize=8)
    axes.set_ylim(0, 104)


def fig11(table: pd.DataFrame) -> Figure:
    """Accuracy before and after retraining, mean and worst device, at each rate of stuck cells."""
    names = [name for name in TITLES if name in set(table["network"])]
    figure = Figure(figsize=(max(7, 1.5 + 2.7 * len(names)), 5), layout="constrained")
    grid = figure.subplots(2, len(names), sharey="col", squeeze=False)
    kinds = (
        ("masked", LIGHT_ORIGIN, "before", 0),
        ("masked and retrained", AET, "after masking retraining (Eq. 6)", 1),
        # Of these two a format has one at most.
        ("masked and retrained straight through", THROUGH, "masking retraining, straight through", 2),
        ("nearest codes and retrained", "#006D4F", None, 2),
        ("nearest codes", "#009E73", "nearest codes, no training", 3),
    )
    for row, cells in zip(grid, ("SLC", "MLC"), strict=True):
        for axes, name in zip(row, names, strict=True):
            part = table[(table["network"] == name) & (table["cells"] == cells)]
            groups = list(dict.fromkeys(zip(part["format"], part["permanent_rate"], strict=True)))
            for place, (format, rate) in enumerate(groups):
                of = part[(part["format"] == format) & (part["permanent_rate"] == rate)].set_index("measure")
                for what, colour, label, number in kinds:
                    if f"accuracy, {what}, mean" not in of.index:
                        continue
                    at = place + (number - 1.5) * 0.2
                    shown = label if format == "tightest" else None
                    axes.bar(
                        at,
                        100 * of["ours"][f"accuracy, {what}, mean"],
                        0.18,
                        color=colour,
                        label=shown,
                        hatch="///" if format != "tightest" else None,
                        ec="white",
                        lw=0,
                    )
                    worst = 100 * of["ours"][f"accuracy, {what}, worst device"]
                    axes.plot(
                        at, worst, "v", color=INK, ms=3.5,
                        label="worst device" if place == number == 0 else None, ls="none",
                    )  # fmt: skip
                tuned = 100 * of["ours"]["accuracy without faults, retrained as long"]
                axes.plot(
                    [place - 0.42, place + 0.42], [tuned - 2] * 2, color="#D55E00", lw=1.2,
                    label="2 points below no faults" if place == 0 else None,
                )  # fmt: skip
            axes.set_xticks(
                range(len(groups)),
                [f"{rate:.1%}" + ("" if f == "tightest" else f"\n{f}") for f, rate in groups],
                fontsize=8,
            )
            axes.set_title(f"{TITLES[name]}, {cells}", fontsize=9)
            axes.set_ylim(0, 104)
            _plain(axes)
        row[0].set_ylabel("accuracy, %")
    named = dict(
        pair[::-1] for axes in grid.flat for pair in zip(*axes.get_legend_handles_labels(), strict=True)
    )
    figure.legend(named.values(), named, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(
        "Fig. 11. Cells stuck, at the tightest format (hatched: Q3.12; dark green: nearest codes and retraining), before and after",
        fontsize=10,
    )
    return figure


def false_alarms(table: pd.DataFrame) -> Figure:
    """Shares of networks without faults that are accused, by read noise."""
    names = [name for name in TITLES if name in set(table["network"])]
    figure = Figure(figsize=(1.5 + 2.5 * len(names), 3.2), layout="constrained")
    colours = {1: "#56B4E9", 2: "#0072B2", 4: "#CC79A7", 16: "#D55E00"}
    grid = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(grid, names, strict=True):
        for count, colour in colours.items():
            for criterion, dashes in (("sdc1", (0, (2, 2))), ("sdc3", "-")):
                part = table[
                    (table["network"] == name)
                    & (table["examples"] == "aet")
                    & (table["criterion"] == criterion)
                    & (table["pictures"] == count)
                ]
                label = f"{count} picture{'s' if count > 1 else ''}" if criterion == "sdc3" else None
                axes.plot(
                    100 * part["noise_sigma"],
                    100 * part["ours"],
                    color=colour,
                    ls=dashes,
                    marker="o",
                    ms=3,
                    label=label,
                )
        axes.set_xscale("log")
        axes.set_xticks([0.1, 0.3, 1.0], ["0.1", "0.3", "1"])
        axes.minorticks_off()
        axes.set(title=TITLES[name], xlabel="read noise, % of each weight", ylim=(-2, 102))
        _plain(axes)
    grid[0].set_ylabel("falsely accused, %")
    grid[0].legend(frameon=False, fontsize=8, title="SDC-3 % (dotted: SDC-1)", title_fontsize=8)
    return figure


FIGURES = {
    "fig5": fig5,
    "fig7": lambda table: detection(table, "Fig. 7. One-bit cells"),
    "fig8": lambda table: detection(table, "Fig. 8. Two-bit cells, stuck"),
    "fig9": lambda table: detection(table, "Fig. 9. Two-bit cells, drifted (Eq. 8)"),
    "fig10": lambda table: detection(table, "Fig. 10. Two-bit cells, stuck and drifted"),
    "fig11": fig11,
    "false_alarms": false_alarms,
}


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E5E5E5", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def draw(directory: Path, output: Path) -> list[Path]:
    """Draw what there is a CSV for, and return the pictures. Raises ValueError if there is none."""
    drawn = []
    for name, make in FIGURES.items():
        try:
            table = pd.read_csv(directory / f"{name}.csv", keep_default_na=True)
        except FileNotFoundError:
            continue
        if table.empty:
            continue
        raw = io.BytesIO()
        make(table).savefig(raw, dpi=110, format="png")
        output.mkdir(parents=True, exist_ok=True)
        path = output / f"{name}.png"
        # Few colours: a palette makes the file a third as large.
        Image.open(raw).convert("RGB").quantize(128).save(path, optimize=True)
        drawn.append(path)
    if not drawn:
        raise ValueError(f"{directory}: has no CSV of a figure; the command paper writes them")
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR", help="results of the command paper")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where pictures go (default: DIR)")
    given = parser.parse_args(arguments)
    try:
        for path in draw(given.directory, given.output or given.directory):
            print(path)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
