"""How time and memory grow with devices, years and faults: one run a point, on one core, until a series would take too long."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

import lifesim
from tests.benchmarks import harness
from tests.benchmarks.processes import SCENARIOS, run_scenario

_BUDGET_S, _QUICK_BUDGET_S = 300.0, 30.0
_START_S = 5.0  # of any run, roughly
_NOTE = (
    "one run a point on one core, CPU time; a test of 16 pictures every week, accuracy every 30 days, one-bit cells, no read noise, "
    "no retraining; ten years and 20 MLP devices where nothing else is said. Idle: cells that hardly age behind a network of one layer, "
    "a test a quarter, accuracy every year"
)


@dataclass(frozen=True, slots=True)
class Series:
    """Runs of a scenario that differ in one setting, which takes a number."""

    name: str
    axis: str
    scenario: str
    points: Sequence[float]
    setting: str
    others: tuple[str, ...] = ()


def _no_retraining(group: str) -> str:
    return f"group.{group}.policy.call.faults=1000000000"


_MLP = _no_retraining("meters")
SERIES = (
    Series("idle", "devices", "idle_sensors", (10, 100, 1000, 10_000, 100_000), "group.sensors.count={:.0f}"),
    Series("MLP", "devices", "worn_meters", (10, 100, 1000, 10_000), "group.meters.count={:.0f}", (_MLP,)),
    Series(
        "LeNet", "devices", "worn_cameras", (1, 10, 100, 1000), "group.cameras.count={:.0f}", (_no_retraining("cameras"),)
    ),
    Series("MLP", "years", "worn_meters", (1, 2, 5, 10, 20), 'horizon_s="{:.0f} y"', ("group.meters.count=20", _MLP)),
    # Every layer reloaded: cells wear out all over the network, and none drifts.
    Series(
        "MLP", "cycles", "worn_meters", (3e8, 1e8, 3e7, 1e7, 3e6), "group.meters.technology.endurance_scale_cycles={:.0f}",
        ("group.meters.count=20", "group.meters.workload.reloads_per_day={fc1=96,fc2=96,fc3=96}", _MLP),
    ),
)  # fmt: skip


def measure(repeats: int = 1, quick: bool = False, console: Console | None = None) -> list[harness.Row]:
    """Return rows of CPU seconds and bytes; a point is run once, whatever ``repeats``."""
    rows = []
    for series in SERIES:
        points, budget_s = (series.points[:2], _QUICK_BUDGET_S) if quick else (series.points, _BUDGET_S)
        rows += _points(series, points, budget_s, console)
    return rows


def _points(
    series: Series, points: Sequence[float], budget_s: float, console: Console | None
) -> Iterable[harness.Row]:
    """Run points of a series in order, as long as the next one should stay within the budget."""
    before = None
    for point in points:
        if before is not None and series.axis == "devices" and _expected_s(before, point) > budget_s:
            return
        with tempfile.TemporaryDirectory() as place:
            settings = (series.setting.format(point), *series.others)
            run = run_scenario(SCENARIOS / f"{series.scenario}.toml", Path(place) / "run", settings)
            x = _faulty_share(run.directory) if series.axis == "cycles" else point
        before = (point, run.usage.cpu_s)
        case = f"{series.name}, " + (
            f"{_percent(x)} % of the cells faulty" if series.axis == "cycles" else f"{x:,.0f} {series.axis}"
        )
        if console:
            console.print(f"scaling, {case}: {run.usage.cpu_s:.1f} s, {run.usage.peak_bytes / 1e9:.2f} GB")
        yield harness.seconds_row("scaling", case, "CPU time", [run.usage.cpu_s], note=_NOTE)
        yield {
            "benchmark": "scaling", "case": case, "what": "peak memory", "value": run.usage.peak_bytes / 1e9, "unit": "GB",
            "repeats": 1, "note": _NOTE,
        }  # fmt: skip


def _percent(share: float) -> str:
    """Return two digits of a share in per cent, without an exponent."""
    return f"{float(f'{100 * share:.2g}'):.10f}".rstrip("0").rstrip(".")


def _expected_s(before: tuple[float, float], point: float) -> float:
    """Return the seconds of a run of ``point`` devices, given (devices, seconds) of a smaller one."""
    devices, seconds = before
    return _START_S + max(0.0, seconds - _START_S) * point / devices


def _faulty_share(directory: Path) -> float:
    """Return the share of cells that are stuck or expired, the mean over devices and report times."""
    result = lifesim.read(directory)
    fleet, cells = result.fleet, 16 * 52_544  # of the MLP's weights
    return float((fleet["stuck_cells_mean"] + fleet["expired_cells_mean"]).mean()) / cells


def plot(table: pd.DataFrame, path: Path) -> None:
    """Draw the rows of :func:`measure`, or of a CSV of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, ((by_devices, memory), (by_years, by_faults)) = pyplot.subplots(
        2, 2, figsize=(10, 7.5), layout="constrained"
    )
    styles = {"idle": ("#4D4D4D", "o"), "MLP": ("#0072B2", "s"), "LeNet": ("#D55E00", "^")}
    rows = table[table["benchmark"] == "scaling"]
    parts = rows["case"].str.extract(r"(?P<name>\w+), (?P<x>[\d,.]+)(?P<axis>.*)")
    rows = rows.assign(
        name=parts["name"], x=parts["x"].str.replace(",", "").astype(float), axis=parts["axis"].str.strip()
    )
    for (name, axis), group in rows.groupby(["name", "axis"], sort=False):
        colour, marker = styles[name]
        time, held = (group[group["what"] == what] for what in ("CPU time", "peak memory"))
        drawn = {
            "color": colour,
            "marker": marker,
            "label": "idle, a test a quarter" if name == "idle" else f"{name}, a test a week",
        }
        if axis == "devices":
            by_devices.loglog(time["x"], time["value"], **drawn)
            memory.semilogx(held["x"], held["value"], **drawn)
        elif axis == "years":
            by_years.plot(time["x"], time["value"], **drawn)
        else:
            by_faults.semilogx(time["x"], time["value"], **drawn)
    for axes, title, x, y in (
        (by_devices, "Ten years", "devices", "CPU time, s"),
        (memory, "Memory of these runs", "devices", "peak, GB"),
        (by_years, "20 MLP devices", "years", "CPU time, s"),
        (by_faults, "20 MLP devices, ten years", "% of the cells faulty, mean over time", "CPU time, s"),
    ):
        axes.set(title=title, xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (memory, by_years, by_faults):
        axes.set_ylim(bottom=0)
    by_devices.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
