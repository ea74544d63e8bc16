"""What a comparison has found, and what it has not, in a few sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from lifesim.comparison.results import Comparison
from lifesim.comparison.statistics import holm, paired_difference
from lifesim.report.formats import half_width, shown

MEASURE = "in_spec_availability"
SLIGHT = 1e-4
"""Of in-spec availability: an hour a year. A difference that is surely smaller is taken for none, though eight replications may prove it."""
_REAL = 0.05
_CHEAPNESS = (
    ("cost", "is the cheapest"),
    ("tests", "has the fewest tests"),
    ("cell_cycles", "has the fewest write cycles"),
)


def findings(comparison: Comparison) -> Iterator[str]:
    """Say who is in spec most, who is as good, and which of these costs least. Says nothing of the numbers that is not in the files."""
    manifest = comparison.manifest
    labels = [entry["label"] for entry in manifest["schedules"]]
    means = comparison.frame("comparison").set_index(["measure", "schedule"])
    best = max(labels, key=lambda label: means.loc[(MEASURE, label), "mean"])
    row = means.loc[(MEASURE, best)]
    interval = "" if math.isnan(row["low"]) else f" ({half_width(row['low'], row['high'], '1')})"
    yield f"In spec most of the time: {best}, {shown(row['mean'], '1')}{interval}."
    if manifest["replications"] < 2:
        yield "One replication says nothing about chance: no difference here is proven."
        return
    slight, alike = _as_good(comparison, labels, best)
    if slight:
        yield f"Within {SLIGHT * 100:g} points of it: {_and(slight)}."
    if alike:
        yield f"Not told apart from it by {manifest['replications']} replications: {_and(alike)}."
    if len(labels) > 1 and not slight and not alike:
        yield "It is told apart from each of the others."
    if slight or alike:
        yield from _cheapest(manifest, means, [best, *slight, *alike])
    if not manifest["precise_enough"]:
        asked = ", ".join(f"{manifest['measures'][m]['title']} ± {w:g}" for m, w in manifest["until"].items())
        yield f"The precision that was asked for ({asked}) was not reached."


def _as_good(comparison: Comparison, labels: Sequence[str], best: str) -> tuple[list[str], list[str]]:
    """Return the schedules that are surely next to as good as the best, and others that are not told apart from it."""
    rows = comparison.frame("replications")
    values = rows[rows["measure"] == MEASURE].pivot(index="replication", columns="schedule", values="value")
    others = [label for label in labels if label != best]
    differences = {label: paired_difference(values[label], values[best]) for label in others}
    adjusted = dict(zip(others, holm([differences[label].p_value for label in others]), strict=True))
    slight = [label for label in others if differences[label].interval.low >= -SLIGHT]
    return slight, [label for label in others if label not in slight and not adjusted[label] < _REAL]


def _cheapest(manifest: dict[str, Any], means: Any, labels: Sequence[str]) -> Iterator[str]:
    for measure, text in _CHEAPNESS:
        if measure in manifest["measures"]:
            least = min(labels, key=lambda label: means.loc[(measure, label), "mean"])
            unit = manifest["measures"][measure]["unit"]
            yield f"Of these, {least} {text}: {shown(means.loc[(measure, least), 'mean'], unit)} {unit}."
            return


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
