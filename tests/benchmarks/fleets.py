"""Large fleets, once each with both cores: how long they take, where the time goes, how much memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

import lifesim
from tests.benchmarks import harness
from tests.benchmarks.processes import SCENARIOS, Run, run_scenario

_WORKERS = 2
_FLEETS = (("worn_cameras", "cameras", "LeNet", 1000), ("worn_meters", "meters", "MLP", 10_000))
_NOTE = (
    f"one-bit cells, ten years, a test of 16 pictures every week, accuracy on 1,000 pictures every 30 days; retrainings as said; {_WORKERS} workers; "
    "peak memory of all processes together"
)


def measure(repeats: int = 1, quick: bool = False, console: Console | None = None) -> list[harness.Row]:
    """Return rows of seconds and bytes. A fleet is run once, whatever ``repeats``: it takes minutes, and is a sum of many tests."""
    rows = []
    for scenario, group, network, devices in _FLEETS:
        # Read noise costs: a tenth of the fleet shows how much.
        for count, noise in ((devices, 0.0), (devices // 10, 0.003)):
            count = max(2, count // 100) if quick else count
            settings = [f"group.{group}.count={count}", f"group.{group}.technology.read_noise={noise}"]
            with tempfile.TemporaryDirectory() as place:
                run = run_scenario(
                    SCENARIOS / f"{scenario}.toml",
                    Path(place) / "run",
                    settings,
                    ["--workers", str(_WORKERS)],
                )
                retrainings = _retrainings(run)
            case = f"{count:,} {network} devices, read noise {100 * noise:g} %, {retrainings:,} retrainings"
            rows += _rows(case, run)
            if console:
                console.print(f"fleets, {case}: {run.usage.wall_s:.0f} s")
    return rows


def _rows(case: str, run: Run) -> list[harness.Row]:
    rows = [
        harness.seconds_row("fleets", case, "wall time", [run.usage.wall_s], note=_NOTE),
        harness.seconds_row("fleets", case, "CPU time", [run.usage.cpu_s], note=_NOTE),
    ]
    parts = run.manifest["of_which_s"]
    for phase, seconds in run.manifest["wall_clock_s"].items():
        split = {f"{phase}: {part}": taken for part, taken in parts.get(phase, {}).items()}
        for what, taken in (split or {phase: seconds}).items():
            rows.append(harness.seconds_row("fleets", case, what, [taken], note=_NOTE))
    memory = {"benchmark": "fleets", "case": case, "what": "peak memory", "value": run.usage.peak_bytes / 1e9}
    return [*rows, {**memory, "unit": "GB", "repeats": 1, "note": _NOTE}]


def _retrainings(run: Run) -> int:
    return int(lifesim.read(run.directory).devices["retrainings"].sum())
