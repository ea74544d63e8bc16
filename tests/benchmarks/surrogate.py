"""Surrogate fidelity: how near it comes to exact, what it costs, and what both together gain.

*Equivalence*: shipped scenarios of 200 devices, exact and by surrogate, on the same silicon, device by device. *Fleets*: 100,000 devices to which little happens and 20,000 that
are repaired every year, for ten years, as ten regions, on two workers; if asked for, a million. *Both*: shipped scenarios as regions, all by surrogate and some exactly; how much narrower the interval is than that of
exact regions alone for the same CPU time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

import lifesim
from lifesim.timeunits import S_PER_YEAR
from tests.benchmarks import harness
from tests.benchmarks.processes import ROOT, SCENARIOS, Run, run_scenario

KEPT = ROOT / "results" / "surrogate-benchmark"
"""Where runs lie; an exact run that is finished there is not run again."""
SHIPPED = ROOT / "scenarios"
EQUIVALENT = (  # counts by group; of regions
    ("quickstart", {"cameras": 200}, 1),
    ("heat_spells", {"boxes": 200}, 1),
    ("city_meters", {"meters": 10}, 20),
    ("lorawan_meter", {"meters": 200}, 1),
    ("two_sites", {"roof": 100, "plant": 100}, 1),
)
# Of the mean over devices: absolute, or as a share of the exact mean.
MARGINS = {
    "in-spec availability": (0.01, False),
    "mean accuracy": (0.005, False),
    "alarms per device-year": (0.10, True),
    "cloud jobs per device-year": (0.10, True),
}
_FLEETS = (
    ("indoor_control", SHIPPED, "rooms", 10_000, "no repair in ten years"),
    ("worn_meters", SCENARIOS, "meters", 2_000, "8 repairs and 0.8 retrainings each"),
)
_BOTH = (
    ("quickstart", "cameras", 10, 60, 10),  # devices a region, regions, exact ones
    ("city_meters", "meters", 10, 400, 10),
    ("city_lenet", "meters", 4, 2000, 10),
)

Measure = Callable[[pd.DataFrame, float], pd.Series]


def measure(
    repeats: int = 1, quick: bool = False, console: Console | None = None, million: bool = False
) -> list[harness.Row]:
    """Return rows; each run is done once, whatever ``repeats``. ``million``: of a million devices, too, to which little happens."""
    rows: list[harness.Row] = []
    for part in (_equivalence, _both, lambda q: _fleets(q, million)):
        rows += part(quick)
        if console:
            console.print(f"surrogate: {len(rows)} rows")
    return rows


# -- equivalence --


def _equivalence(quick: bool) -> list[harness.Row]:
    rows = []
    for name, counts, regions in EQUIVALENT:
        if quick:
            counts, regions = dict.fromkeys(counts, 4), min(regions, 2)
        settings = [f"group.{group}.count={count}" for group, count in counts.items()]
        if regions > 1:
            settings.append(f"regions.count={regions}")
        kept = f"{name}-{regions * sum(counts.values())}"
        runs = [
            _kept(f"{kept}-{fidelity}", SHIPPED / f"{name}.toml", settings, fidelity)
            for fidelity in ("exact", "surrogate")
        ]
        exact, surrogate = (lifesim.read(run) for run in runs)
        rows += compared(name, exact.devices, surrogate.devices, exact.summary["horizon_s"] / S_PER_YEAR)
    return rows


def compared(name: str, exact: pd.DataFrame, surrogate: pd.DataFrame, years: float) -> list[harness.Row]:
    """Return rows of what the surrogate says less what is exact: means over the devices that both have, with 90 % intervals of the paired differences.

    Equivalent (two one-sided tests, each at 5 %) is what has its whole interval within the margin.
    """
    of = {
        "in-spec availability": lambda d: d["in_spec_availability"],
        "mean accuracy": lambda d: d["accuracy_mean"],
        "alarms per device-year": lambda d: (
            (d["alarms_true"] + d["alarms_early"] + d["alarms_false"]) / years
        ),
        "cloud jobs per device-year": lambda d: d["jobs"] / years,
    }
    rows = []
    for what, (margin, relative) in MARGINS.items():
        a, b = of[what](exact), of[what](surrogate)
        unit = float(a.mean()) if relative else 1.0
        if not unit:
            continue
        off = (b - a) / unit
        half = 1.645 * float(off.std(ddof=1)) / math.sqrt(len(off))
        low, high = float(off.mean()) - half, float(off.mean()) + half
        verdict = "equivalent" if -margin <= low and high <= margin else "within on the mean, not shown equivalent" if abs(off.mean()) <= margin else "outside"  # fmt: skip
        rows.append({
            "benchmark": "surrogate", "case": f"{name}, {len(off)} devices", "what": what, "value": float(off.mean()), "lowest": low, "highest": high,
            "unit": "of exact" if relative else "", "repeats": 1,
            "note": f"{verdict}: margin {margin:g}; exact {a.mean():.5g}, surrogate {b.mean():.5g}, correlation of devices {_correlation(a, b):.2f}",
        })  # fmt: skip
    return rows


def _correlation(a: pd.Series, b: pd.Series) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() and b.std() else 0.0


def _kept(name: str, scenario: Path, settings: Sequence[str], fidelity: str) -> Path:
    directory = KEPT / name
    manifest = directory / "manifest.json"
    if fidelity == "exact" and manifest.exists():
        status = json.loads(manifest.read_text(encoding="utf-8"))["status"]
        if status == "finished":
            return directory
    run_scenario(scenario, directory, settings, ["--fidelity", fidelity, "--force"])
    return directory


# -- fleets --


def _fleets(quick: bool, million: bool) -> list[harness.Row]:
    rows = []
    for name, where, group, region, kind in _FLEETS:
        for regions in (10, 100)[: 1 + (million and name == "indoor_control")]:
            if quick:
                region, regions = 50, 2
            settings = [
                f"group.{group}.count={region}",
                f"regions.count={regions}",
                'report_interval_s="1 y"',
            ]
            run = run_scenario(
                where / f"{name}.toml", KEPT / f"fleet-{name}", settings, ["--workers", "2", "--fidelity", "surrogate", "--force"]
            )  # fmt: skip
            rows += fleet_rows(f"{name} ({kind}), {region * regions:,} devices, 10 y", run, region * regions)
    return rows


def fleet_rows(case: str, run: Run, devices: int) -> list[harness.Row]:
    """Return rows of what a fleet took."""
    usage = run.usage
    found = {
        "wall time": (usage.wall_s, "s"),
        "CPU time": (usage.cpu_s, "s"),
        "CPU time of a device": (1000 * usage.cpu_s / devices, "ms"),
        "peak memory": (usage.peak_bytes / 1e9, "GB"),
    }
    return [
        {"benchmark": "surrogate", "case": case, "what": what, "value": value, "unit": unit, "repeats": 1}
        for what, (value, unit) in found.items()
    ]


# -- both --


def _both(quick: bool) -> list[harness.Row]:
    rows = []
    for name, group, devices, regions, exact in _BOTH:
        if quick:
            devices, regions, exact = 1, 6, 4
        settings = [f"group.{group}.count={devices}", f"regions.count={regions}"]
        options = ["--fidelity", "multi", "--exact-regions", str(exact), "--force"]
        run = run_scenario(SHIPPED / f"{name}.toml", KEPT / f"both-{name}", settings, options)
        rows += both_rows(f"{name}, {regions} regions of {devices}, {exact} exact", run)
    return rows


def both_rows(case: str, run: Run) -> list[harness.Row]:
    """Return rows of how many times narrower the intervals are than those of exact regions alone for the same CPU time."""
    multi = run.manifest["multi"]
    estimates = pd.read_csv(run.directory / "estimates.csv").set_index("measure")
    spent = multi["cpu_s"]
    return [
        {
            "benchmark": "surrogate", "case": case, "what": f"narrower: {what}", "value": times, "unit": "x", "repeats": 1,
            "note": f"correlation {estimates.loc[what, 'correlation']:.3f}; CPU {spent['exact']:.0f} s exact, {spent['surrogate']:.0f} s surrogate",
        }
        for what, times in multi["times_narrower"].items()
        if estimates.loc[what, "exact_high"] > estimates.loc[what, "exact_low"]
    ]  # fmt: skip
