"""What a fleet comes to, from all its regions by surrogate and a few of them exactly: control variates.

The difference between exact and surrogate is estimated where both are known; what the surrogate says of all the other regions has far less variance than
what the few exact ones say. The estimate is of what a region of the scenario comes to on average. It is unbiased however wrong the surrogate is: each exact region
is corrected with a slope from the other exact regions and with regions that are none of them, which are independent of it. A surrogate that is no use widens the
interval, no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lifesim.experiment import schema
from lifesim.experiment.tables import Table
from lifesim.experiment.totals import FleetTotals
from lifesim.fleet.clock import to_s
from lifesim.streams import generator, stream_key
from lifesim.timeunits import S_PER_YEAR

FEWEST_EXACT = 4
CONFIDENCE = 0.95

PER_DEVICE_YEAR = {
    "alarms": ("alarms_true", "alarms_early", "alarms_false"),
    "jobs": ("jobs",),
    "diagnoses": ("diagnoses",),
    "uplink_sent_bytes": ("uplink_sent_bytes",),
    "downlink_sent_bytes": ("downlink_sent_bytes",),
}
"""Measures that are sums of counts, for each year in which a device was in service."""


def measures_of(totals: FleetTotals) -> dict[str, float]:
    """Return what is estimated, of one region."""
    by_state = dict(zip(schema.STATES, np.array(totals.whole("time_ns"), object).sum(axis=0), strict=True))
    in_service_ns = sum(ns for state, ns in by_state.items() if state != "uncommissioned")
    device_years = to_s(int(in_service_ns)) / S_PER_YEAR
    counts = dict(zip(schema.COUNTS, np.array(totals.whole("counts"), object).sum(axis=0), strict=True))
    serving_ns = by_state["in_spec"] + by_state["out_known"] + by_state["out_silent"]
    seen = [of_time.seen() for of_time in totals.whole("seen")]
    means = [of_time.accuracy_mean for of_time in seen if of_time.accuracy_mean is not None]
    return {
        "in_spec_availability": float(by_state["in_spec"] / in_service_ns),
        "availability": float(serving_ns / in_service_ns),
        "accuracy_mean": float(np.mean(means)),
        **{
            name: float(sum(counts[part] for part in parts)) / device_years
            for name, parts in PER_DEVICE_YEAR.items()
        },
        "energy_j": float(sum(sum(row) for row in totals.whole("energy_j"))) / device_years,
        "stuck_cells_last": seen[-1].stuck_cells_mean or 0.0,
        "expired_cells_last": seen[-1].expired_cells_mean or 0.0,
    }


def sampled_regions(seed: int, count: int, exact: int) -> list[int]:
    """Return which regions are simulated exactly: a random sample, in ascending order."""
    return sorted(generator(stream_key(seed, "exact regions")).permutation(count)[:exact].tolist())


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over regions with the half width of its interval (CONFIDENCE): of the exact regions alone, and of both together.

    ``surrogate``: what the surrogate says of all regions. ``correlation`` of both in the regions in which both are known.
    """

    exact: float
    exact_half_width: float
    surrogate: float
    combined: float
    combined_half_width: float
    correlation: float

    def narrower(self, exact_cpu_s: float, other_cpu_s: float) -> float:
        """Return how many times narrower the interval is than that of exact regions alone for the same CPU time."""
        if not self.combined_half_width:
            return math.inf if self.exact_half_width else 1.0
        more = (exact_cpu_s + other_cpu_s) / exact_cpu_s
        return self.exact_half_width / math.sqrt(more) / self.combined_half_width


def estimate(exact: Mapping[int, float], surrogate: Sequence[float]) -> Estimate:
    """Return the estimate of one measure: of some regions exact, of all (more than these) by surrogate."""
    which = sorted(exact)
    y, x_all = np.array([exact[region] for region in which]), np.asarray(surrogate, float)
    x = x_all[which]
    others = np.delete(x_all, which)
    n, rest = len(y), len(others)
    if n < FEWEST_EXACT or not rest:
        raise ValueError(f"{n} exact regions of {len(x_all)}; at least {FEWEST_EXACT}, and fewer than all")
    t_alone, t_both = (float(stats.t.ppf(0.5 + CONFIDENCE / 2, dof)) for dof in (n - 1, n - 2))
    alone = t_alone * float(y.std(ddof=1)) / math.sqrt(n)
    slopes = np.array([_slope(np.delete(x, i), np.delete(y, i)) for i in range(n)])
    combined = float(np.mean(y + slopes * (others.mean() - x)))
    slope = _slope(x, y)
    residual = y - slope * x
    of_residual = float(np.sum((residual - residual.mean()) ** 2)) / (n - 2)
    # Estimating the slope costs something, as in any regression.
    spread = float(np.sum((x - x.mean()) ** 2))
    inflation = 1.0 / n + ((others.mean() - x.mean()) ** 2 / spread if spread else 0.0)
    variance = of_residual * inflation + slope**2 * float(others.var(ddof=1) if rest > 1 else 0.0) / rest
    constant = not (y.std() and x.std())
    return Estimate(
        float(y.mean()),
        alone,
        float(x_all.mean()),
        combined,
        t_both * math.sqrt(variance),
        0.0 if constant else float(np.corrcoef(x, y)[0, 1]),
    )


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    spread = float(np.sum((x - x.mean()) ** 2))
    return float(np.sum((x - x.mean()) * (y - y.mean()))) / spread if spread else 0.0


def estimates_table(estimates: Mapping[str, Estimate], exact_regions: int, regions: int) -> Table:
    """Return estimates.csv."""
    table: Table = {column: [] for column in schema.ESTIMATES}
    for measure, of in estimates.items():
        row = {
            "measure": measure,
            "estimate": of.combined,
            "low": of.combined - of.combined_half_width,
            "high": of.combined + of.combined_half_width,
            "exact": of.exact,
            "exact_low": of.exact - of.exact_half_width,
            "exact_high": of.exact + of.exact_half_width,
            "surrogate": of.surrogate,
            "correlation": of.correlation,
            "exact_regions": exact_regions,
            "regions": regions,
        }
        for column in schema.ESTIMATES:
            table[column].append(row[column])
    return table
