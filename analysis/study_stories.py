"""Tell what a study of scenarios/studies found: a paragraph and two pictures, from the files that `lifesim compare` wrote.

    python analysis/study_stories.py hot_cameras results/hot_cameras-comparison -o pictures
    python analysis/study_stories.py worn_meters results/worn_meters-comparison -o pictures
    python analysis/study_stories.py indoor_sensors results/indoor_sensors-comparison -o pictures

The commands that make the files stand at the head of each study. Every number of the paragraph is read from the files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from compare_schedules import (
    FONT,
    GREY,
    STYLES,
    differences,
    labels_of,
    mean_of,
    over_time,
    pair_of,
    pareto,
    percent,
    save,
    subtitle,
)
from matplotlib.figure import Figure

from lifesim.comparison.results import Comparison, read_comparison
from lifesim.errors import UserError

IN_SPEC = "in_spec_availability"


class Story(NamedTuple):
    """What a study found, in a paragraph, and two pictures by name."""

    paragraph: str
    pictures: dict[str, Figure]


def hot_cameras(comparison: Comparison) -> Story:
    """A calendar or a look: what a month between refreshes and a week between tests come to in the heat."""
    monthly, weekly, read = (
        in_spec(comparison, label) for label in ("blind_refresh:30d", "periodic:7d", "readback:7d")
    )
    test = pair_of(comparison, IN_SPEC, "periodic:30d")
    march = pair_of(comparison, IN_SPEC, "march_scrub:30d")
    better = pair_of(comparison, IN_SPEC, "periodic:7d")
    costs = {label: mean_of(comparison, "cost", label) for label in labels_of(comparison)}
    cheapest = min(costs, key=costs.get)
    paragraph = (
        f"Left alone, cameras are in spec {in_spec(comparison, 'never')} of the time; refreshed every half year {in_spec(comparison, 'blind_refresh:180d')}, every month "
        f"{monthly}. A test every month instead is {judged(test)} ({points(test)}): it looks as seldom as the calendar comes. A March test every "
        f"month is {judged(march)} either ({points(march)}; on the same cameras, pairing divides the variance by {march['variance_reduction']:.0f}), for "
        f"{mean_of(comparison, 'cell_cycles', 'march_scrub:30d') - mean_of(comparison, 'cell_cycles', 'blind_refresh:30d'):.0f} more writes a cell and year. A test every week is {better['verdict']} "
        f"({points(better)}): {weekly}, with {mean_of(comparison, 'refreshes', 'periodic:7d'):.1f} refreshes a year instead of {mean_of(comparison, 'refreshes', 'blind_refresh:30d'):.0f}; "
        f"so is reading back weekly ({read}, {mean_of(comparison, 'refreshes', 'readback:7d'):.1f} refreshes). At the prices of the scenario {cheapest} costs least: "
        f"{costs[cheapest]:.3f} {currency(comparison)} a camera and year, against {costs['blind_refresh:30d']:.3f} for the monthly calendar."
    )
    return Story(
        paragraph,
        {
            "differences": differences(comparison, without=["never", "blind_refresh:180d"]),
            "over_time": over_time(
                comparison,
                ["never", "blind_refresh:180d", "blind_refresh:30d", "periodic:30d", "periodic:7d"],
            ),
        },
    )


def worn_meters(comparison: Comparison) -> Story:
    """Looking more often, or at every cell, where wear is what kills."""
    base = comparison.manifest["baseline"]
    rows = {label: pair_of(comparison, IN_SPEC, label) for label in labels_of(comparison) if label != base}
    jobs = {label: mean_of(comparison, "cloud_jobs", label) for label in labels_of(comparison)}
    alike = [label for label, row in rows.items() if row["verdict"] in ("not told apart", "the same")]
    paragraph = (
        f"Left alone, meters are in spec {in_spec(comparison, 'never')} of the time; tested weekly {in_spec(comparison, base)}, with {jobs[base]:.1f} retrainings a meter and year. "
        f"Tested daily: {in_spec(comparison, 'periodic:1d')} ({judged(rows['periodic:1d'])}); monthly: {in_spec(comparison, 'periodic:30d')} ({judged(rows['periodic:30d'])}). "
        f"Reading the array back weekly finds every stuck cell and asks for {jobs['readback:7d'] / jobs[base]:.1f} times as many retrainings: {in_spec(comparison, 'readback:7d')} ({judged(rows['readback:7d'])}); "
        f"from 20 wrong cells on it asks for {jobs['readback at 20'] / jobs[base]:.1f} times as many: {in_spec(comparison, 'readback at 20')} ({judged(rows['readback at 20'])}). "
        f"Calling the cloud for every fifth stuck cell only: {in_spec(comparison, 'calls for 5')} ({judged(rows['calls for 5'])}), with {jobs['calls for 5'] / jobs[base]:.1f} times as many. "
        f"Not told apart from weekly tests: {', '.join(alike) or 'none'}."
    )
    return Story(
        paragraph,
        {"pareto": pareto(comparison, "cloud_jobs", IN_SPEC), "differences": differences(comparison)},
    )


def indoor_sensors(comparison: Comparison) -> Story:
    """Whether testing pays where next to nothing fails."""
    labels = labels_of(comparison)
    values = by_replication(comparison, "cost")
    untouched = int((by_replication(comparison, IN_SPEC)["never"] == 1).sum())
    costs = {label: mean_of(comparison, "cost", label) for label in labels}
    cheapest = min(costs, key=costs.get)
    never, weekly = pair_of(comparison, "cost", "never"), pair_of(comparison, "cost", "periodic:7d")
    paragraph = (
        f"In {untouched} of {len(values)} fleets no sensor is ever out of spec in its years; never tested, a fleet costs {values['never'].min():.2f} to {values['never'].max():.2f} {currency(comparison)} "
        f"a sensor and year, {costs['never']:.2f} on the mean. Of the schedules tried {cheapest} is cheapest, {costs[cheapest]:.2f}. Is that real? Against {comparison.manifest['baseline']}, weekly tests are "
        f"{weekly['verdict']} ({money(weekly, comparison)}): they cost what they cost in every fleet. Never testing is {judged(never)} ({money(never, comparison)}): what it costs hangs on "
        f"a few unlucky fleets, and {len(values)} of them do not settle it. A refresh a year instead of a test cures nothing that happens here."
    )
    return Story(
        paragraph, {"fleets": fleets(comparison, "cost"), "differences": differences(comparison, "cost")}
    )


STORIES: dict[str, Callable[[Comparison], Story]] = {
    "hot_cameras": hot_cameras,
    "worn_meters": worn_meters,
    "indoor_sensors": indoor_sensors,
}


# -- words --


def in_spec(comparison: Comparison, label: str) -> str:
    """Return the share of time in spec."""
    return percent(mean_of(comparison, IN_SPEC, label))


def judged(row) -> str:
    """Return a verdict that fits into a sentence."""
    return {
        "not told apart": "not told apart from it",
        "the same": "the same",
        "unknown": "of unknown worth",
    }.get(row["verdict"], row["verdict"])


def points(row) -> str:
    """Return a difference in points with half its interval."""
    return f"{row['difference'] * 100:+.3f} ± {(row['high'] - row['low']) * 50:.3f} points"


def money(row, comparison: Comparison) -> str:
    """Return a difference of costs with half its interval."""
    return f"{row['difference']:+.2f} ± {(row['high'] - row['low']) / 2:.2f} {currency(comparison)}"


def currency(comparison: Comparison) -> str:
    """Return the scenario's currency."""
    return comparison.manifest["currency"]


# -- a picture of its own --


def by_replication(comparison: Comparison, measure: str):
    """Return a measure's values, a row a replication and a column a schedule."""
    rows = comparison.frame("replications")
    return rows[rows["measure"] == measure].pivot(index="replication", columns="schedule", values="value")


def fleets(comparison: Comparison, measure: str) -> Figure:
    """Return a measure of every single fleet, a line a fleet through all schedules: how much of a mean is one fleet's."""
    values, labels = by_replication(comparison, measure), labels_of(comparison)
    with matplotlib.rc_context(FONT):
        figure = Figure(figsize=(9, 5.2), facecolor="white")
        axes = figure.subplots()
        figure.subplots_adjust(left=0.1, right=0.97, top=0.82, bottom=0.12)
        for number, (replication, row) in enumerate(values[labels].iterrows()):
            axes.plot(
                range(len(labels)),
                row,
                "o-",
                color=STYLES[number % len(STYLES)][0],
                linewidth=1.2,
                markersize=5,
                alpha=0.8,
                label=f"fleet {replication}",
            )
        axes.plot(
            range(len(labels)),
            values[labels].mean(),
            "_",
            color="black",
            markersize=34,
            markeredgewidth=2.5,
            label="mean",
        )
        if (values > 0).all(axis=None) and values.max(axis=None) > 30 * values.min(axis=None):
            axes.set_yscale("log")
        axes.set_xticks(range(len(labels)), labels, fontsize=9.5)
        described = comparison.manifest["measures"][measure]
        axes.set_ylabel(f"{described['title']} ({described['unit']})")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e3e3e3", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8.5, ncols=3)
        inch = 1 / figure.get_figheight()
        figure.text(
            0.012,
            1 - 0.18 * inch,
            "The same fleets under every schedule, one line each",
            fontsize=14.5,
            fontweight="bold",
            va="top",
        )
        figure.text(0.012, 1 - 0.52 * inch, subtitle(comparison), fontsize=10, va="top", color=GREY)
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("study", choices=sorted(STORIES))
    parser.add_argument("directory", type=Path, metavar="DIR", help="of its comparison")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where the pictures go"
    )
    given = parser.parse_args(arguments)
    try:
        comparison = read_comparison(given.directory)
        story = STORIES[given.study](comparison)
    except (UserError, KeyError) as error:
        what = (
            f"has no {error}; the head of the study says with which schedules to compare"
            if isinstance(error, KeyError)
            else error
        )
        print(f"study_stories: error: {given.directory}: {what}", file=sys.stderr)
        return 2
    for name, figure in story.pictures.items():
        save(figure, given.output / f"{given.study}_{name}.png")
    print(story.paragraph)
    print(f"Written to {given.output}: {', '.join(f'{given.study}_{name}.png' for name in story.pictures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
