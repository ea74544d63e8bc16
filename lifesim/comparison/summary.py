"""What a comparison came to, as lines of text for a person."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lifesim.comparison.results import Comparison
from lifesim.timeunits import S_PER_DAY

_COLUMNS = {
    "in_spec_availability": "in spec",
    "silent_share": "silent",
    "undetected_mean_s": "undetected",
    "tests": "tests/y",
    "cloud_jobs": "jobs/y",
    "cell_cycles": "cycles/y",
    "cost": "cost/y",
}


def summary_text(comparison: Comparison) -> str:
    """Return the comparison's main measures, a line a schedule, and what of the differences is real."""
    manifest = comparison.manifest
    labels = [entry["label"] for entry in manifest["schedules"]]
    replications = f"{manifest['replications']} replication{'s' * (manifest['replications'] != 1)} each"
    lines = [f"{manifest['scenario']} (seed {manifest['seed']}): {len(labels)} schedules, {replications}", ""]
    lines += _aligned(_means(comparison, labels))
    lines += ["", f"In spec, against {manifest['baseline']} on the same devices (95 % interval):"]
    lines += _aligned(_differences(comparison))
    if not manifest["precise_enough"]:
        asked = ", ".join(f"{measure} +- {width:g}" for measure, width in manifest["until"].items())
        lines.append(f"Not as precise as was asked ({asked}) after {replications}.")
    return "\n".join(lines)


def _means(comparison: Comparison, labels: Sequence[str]) -> list[list[str]]:
    """Return a heading and a row a schedule."""
    means = comparison.frame("comparison").set_index(["measure", "schedule"])["mean"]
    shown = [measure for measure in _COLUMNS if measure in comparison.manifest["measures"]]
    rows = [["", *(_COLUMNS[measure] for measure in shown)]]
    for label in labels:
        rows.append([label, *(_short(measure, means[measure, label]) for measure in shown)])
    return rows


def _differences(comparison: Comparison) -> list[list[str]]:
    pairs = comparison.frame("pairs")
    rows = []
    for row in pairs[pairs["measure"] == "in_spec_availability"].itertuples():
        interval = "" if math.isnan(row.low) else f"({_points(row.low)} to {_points(row.high)})"
        factor = row.variance_reduction
        gain = "" if math.isnan(factor) else f"pairing divides the variance by {factor:.3g}"
        rows.append([row.schedule, f"{_points(row.difference)} points", interval, row.verdict, gain])
    return rows


def _points(share: float) -> str:
    """Return a difference of shares in hundredths: a real one may be a millionth of a point, and then says so."""
    return f"{share * 100:+.3g}"


def _short(measure: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    if measure in ("in_spec_availability", "silent_share"):
        return f"{value:.3%}"
    return f"{value / S_PER_DAY:.3g} d" if measure.endswith("_s") else f"{value:.3g}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
