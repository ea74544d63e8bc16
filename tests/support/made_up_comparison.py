"""A comparison that nobody has run: eleven schedules with made-up numbers, to draw and to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lifesim.comparison.alternatives import Alternative, load_alternatives
from lifesim.comparison.compare import write_comparison
from lifesim.comparison.measures import CURVES, MEASURES
from lifesim.experiment.lives import report_times_ns
from lifesim.streams import generator, stream_key

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
SCHEDULES = (
    "never,periodic:1d,periodic:7d,periodic:30d,much=periodic:7d{aet.pictures=64},readback:7d,alarm at 20=readback{interval_s=7d,alarm_cells=20},"
    "march_scrub:30d,march_scrub:180d,blind_refresh:90d,blind_refresh:180d"
)


def alternatives(schedules: str = SCHEDULES) -> list[Alternative]:
    return load_alternatives(
        QUICKSTART, schedules, ["horizon_s=5 y", "report_interval_s=60 d", "prices.per_test=0.01"]
    )


def made_up(schedules: list[Alternative], replications: int = 8, seed: int = 1) -> dict[str, list[dict]]:
    """Return what tasks might have kept: each fleet has a luck of its own that all schedules share."""
    kept: dict[str, list[dict]] = {alternative.label: [] for alternative in schedules}
    times = np.array(report_times_ns(schedules[0].scenario)) / 1e9
    for replication in range(replications):
        luck = generator(stream_key(seed, "luck", replication)).normal()
        for number, label in enumerate(kept):
            rng = generator(stream_key(seed, "own", replication, label))
            lost = (0.3 / (1 + number)) * np.exp(0.4 * luck + 0.05 * rng.normal())
            falls = 1 - lost * (times / times[-1]) ** 2
            measures = {
                name: float((1 + number) * np.exp(0.2 * luck + 0.1 * rng.normal())) for name in MEASURES
            }
            measures |= {
                "in_spec_availability": float(1 - lost / 3),
                "silent_share": float(lost / 4),
                "availability": 0.9999,
            }
            measures |= {"accuracy_mean": float(0.95 - lost / 10), "accuracy_p05": float(0.93 - lost / 4)}
            measures |= {"retired_share": 0.0, "end_of_life_s": None, "extra_wrong_inferences": None}
            measures |= {
                "undetected_mean_s": 86_400.0 * 90 / (1 + number),
                "undetected_p95_s": 86_400.0 * 300 / (1 + number),
            }
            lengths, counts = np.unique(
                (rng.exponential(86_400 * 90 / (1 + number), 40)).astype(int), return_counts=True
            )
            kept[label].append(
                {
                    "measures": measures,
                    "curves": {
                        name: [None if i == 0 and "avail" in name else float(0.955 * y if "accuracy" in name else y) for i, y in enumerate(falls)]
                        for name in CURVES
                    },
                    "spells": {"alarm": {"seconds": lengths.tolist(), "counts": counts.tolist()}},
                    "wear": [
                        {"group": "cameras", "layers": layer, "operations_mean": 1e5, "operations_max": 1e5, "expected_stuck_mean": 3.0,
                         "stuck_cells_mean": float(rng.poisson(4 + number)), "expired_cells_mean": 2.0}
                        for layer in ("fc1", "fc2", "fc3")
                    ],
                }
            )  # fmt: skip
    return kept


def write(directory: Path, schedules: str = SCHEDULES, replications: int = 8) -> dict[str, list[dict]]:
    """Write the comparison and return what it is made of."""
    compared = alternatives(schedules)
    kept = made_up(compared, replications)
    write_comparison(directory, compared, kept, compared[0].label, {}, True)
    return kept
