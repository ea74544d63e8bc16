"""What a comparison came to, in lines for a person."""

from __future__ import annotations

import math

from lifesim.comparison.results import Comparison
from lifesim.timeunits import S_PER_DAY

_SHOWN = (
    "in_spec_availability",
    "silent_share",
    "undetected_mean_s",
    "tests",
    "cloud_jobs",
    "cell_cycles",
    "cost",
)


def summary_text(comparison: Comparison) -> str:
    """Return the comparison's main measures, a line a schedule, and what of the differences is real."""
    manifest = comparison.manifest
    means = comparison.frame("comparison").set_index(["measure", "schedule"])
    pairs = comparison.frame("pairs")
    pairs = pairs[pairs["measure"] == "in_spec_availability"].set_index("schedule")
    labels = [entry["label"] for entry in manifest["schedules"]]
    width = max(map(len, labels))
    lines = [
        f"{manifest['scenario']} (seed {manifest['seed']}): {len(labels)} schedules, {manifest['replications']} replications each",
        "",
    ]
    for label in labels:
        parts = [f"  {label:<{width}}"]
        for measure in _SHOWN:
            if (measure, label) in means.index and not math.isnan(mean := means.loc[measure, label]["mean"]):
                parts.append(f"{manifest['measures'][measure]['title'].lower()} {_short(measure, mean)}")
        lines.append("  ".join(parts[:2]) + "; " + ", ".join(parts[2:]))
    lines += ["", f"In-spec availability against {manifest['baseline']}:"]
    for label, row in pairs.iterrows():
        interval = "" if math.isnan(row["low"]) else f" ({row['low'] * 100:+.3f} to {row['high'] * 100:+.3f})"
        factor = row["variance_reduction"]
        pairing = "" if math.isnan(factor) else f"; pairing divides the variance by {factor:.3g}"
        lines.append(
            f"  {label:<{width}}  {row['difference'] * 100:+.3f} points{interval}: {row['verdict']}{pairing}"
        )
    if not manifest["precise_enough"]:
        asked = ", ".join(f"{measure} +- {w:g}" for measure, w in manifest["until"].items())
        lines.append(f"Not as precise as was asked ({asked}) after {manifest['replications']} replications.")
    return "\n".join(lines)


def _short(measure: str, value: float) -> str:
    if measure in ("in_spec_availability", "silent_share"):
        return f"{value:.3%}"
    return f"{value / S_PER_DAY:.3g} d" if measure.endswith("_s") else f"{value:.3g}"
