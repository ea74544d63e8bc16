"""The shipped fleet of a thousand devices under the policy sets ``paper`` and ``best``, and ``best`` without compensation: the same devices, paired device by device."""

from __future__ import annotations

import math
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import lifesim
from lifesim.timeunits import S_PER_YEAR
from tests.benchmarks.processes import run_scenario

_SCENARIO = Path(__file__).parents[3] / "scenarios" / "fleet_1000.toml"
_SETS = {
    "paper": ('policy_set="paper"',),
    "best, not compensated": ('policy_set="best"', "policy.compensation=false"),
    "best": ('policy_set="best"',),
}
_BARRED = "paper"  # bars are for what ``best`` is better than it
_RESAMPLES = 9999
# measure -> columns of devices.csv that are added up, what it must be, and whether a ratio or a difference (per device and year) is told
_RATIOS = {
    "cloud jobs": (("jobs",), 10.0),
    "bytes over the air": (("uplink_sent_bytes", "downlink_sent_bytes"), 50.0),
    "silent time": (("out_silent_s",), None),
    "March runs": (("diagnoses",), None),
    "cell writes": (("cell_writes",), None),
}


def rows(quick: bool = False) -> list[dict[str, object]]:
    """Return a row for each measure: how many times less of it there is under ``best``, or the difference, with 95 % intervals over devices.

    Devices of one fleet share the cloud's queue, so they are not quite independent.
    """
    with tempfile.TemporaryDirectory() as place:
        devices = {name: _devices(keys, Path(place) / name, quick) for name, keys in _SETS.items()}
    found = []
    best = devices.pop("best")
    for name, others in devices.items():
        found += _ratio_rows(f"{name} / best", others, best, name == _BARRED)
        found += _in_spec_rows(f"best - {name}", others, best, name == _BARRED)
    return found


def _devices(keys: Sequence[str], place: Path, quick: bool) -> pd.DataFrame:
    groups = tomllib.loads(_SCENARIO.read_text())["group"]
    settings = [f"group.{name}.{key}" for name in groups for key in keys]
    if quick:
        settings += [f"group.{name}.count=2" for name in groups] + ["horizon_s=3 y"]
    run = run_scenario(_SCENARIO, place, settings, ["--workers", "2"])
    return lifesim.read(run.directory).devices


def _ratio_rows(case: str, others: pd.DataFrame, best: pd.DataFrame, barred: bool) -> list[dict[str, object]]:
    found = []
    for measure, (columns, bar) in _RATIOS.items():
        sums = [frame[list(columns)].sum(axis=1).to_numpy(float) for frame in (others, best)]
        ratio = _ratio(*sums)
        interval = stats.bootstrap(
            sums, _ratio, paired=True, vectorized=True, n_resamples=_RESAMPLES, method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval  # fmt: skip
        found.append(
            {
                "case": f"{_SCENARIO.stem}: {case}",
                "measure": f"{measure}, {sums[0].sum():.4g} against {sums[1].sum():.4g}",
                "value": ratio,
                "low": interval.low,
                "high": interval.high,
                "n": len(others),
                "bar": f">= {bar:g}" if barred and bar else None,
                "met": bool(ratio >= bar) if barred and bar else None,
            }
        )
    return found


def _ratio(paper: np.ndarray, best: np.ndarray, axis: int = -1) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum(paper, axis=axis) / np.sum(best, axis=axis)


def _in_spec_rows(
    case: str, others: pd.DataFrame, best: pd.DataFrame, barred: bool
) -> list[dict[str, object]]:
    horizon_s = 10 * S_PER_YEAR
    difference = (best["in_spec_s"] - others["in_spec_s"]).to_numpy() / horizon_s
    half = stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / math.sqrt(len(difference))
    mean = float(difference.mean())
    return [
        {
            "case": f"{_SCENARIO.stem}: {case}",
            "measure": "in-spec availability",
            "value": mean,
            "low": mean - half,
            "high": mean + half,
            "n": len(difference),
            "bar": ">= 0" if barred else None,
            "met": mean >= 0 if barred else None,
        }
    ]
