"""Every column that a comparison writes, with its unit and meaning."""

from __future__ import annotations

from lifesim.comparison.measures import CURVES, MEASURES, WEAR
from lifesim.experiment.schema import FLEET, LAYERS, Column
from lifesim.experiment.silence import ENDINGS

VERDICTS = {
    "better": "the difference is real (Holm-adjusted p below 0.05), and an improvement",
    "worse": "the difference is real, and none",
    "not told apart": "so many replications cannot tell it from chance",
    "the same": "there is no difference in any replication",
    "unknown": "there are fewer than two pairs of values",
}

_SCHEDULE = {"schedule": Column("", "label of the schedule, as it was asked for")}
_MEASURE = {
    "measure": Column("", "name of the measure, of those above"),
    "unit": Column("", "its unit"),
}

COMPARISON = {
    **_SCHEDULE,
    **_MEASURE,
    "replications": Column("", "replications with a value"),
    "mean": Column("unit", "mean over the replications"),
    "low": Column(
        "unit", "lower end of its 95 % interval (Student's t over replications); empty with one replication"
    ),
    "high": Column("unit", "upper end"),
    "sd": Column("unit", "standard deviation of one replication"),
}
PAIRS = {
    **_SCHEDULE,
    "baseline": Column("", "schedule that it is compared with"),
    **_MEASURE,
    "replications": Column("", "pairs: replications in which both have a value"),
    "difference": Column("unit", "mean of schedule - baseline, on the same devices"),
    "low": Column("unit", "lower end of its 95 % interval (paired t)"),
    "high": Column("unit", "upper end"),
    "p_value": Column("1", "two-sided p-value of no difference (paired t)"),
    "p_holm": Column("1", "adjusted for all schedules compared by this measure (Holm)"),
    "verdict": Column("", "; ".join(f"{verdict}: {meaning}" for verdict, meaning in VERDICTS.items())),
    "variance_reduction": Column(
        "1",
        "variance of the difference if the two had been run on different devices, over what it is: (Var a + Var b) / Var(a - b)",
    ),
    "variance_reduction_low": Column("1", "lower end of its 95 % interval (Pitman and Morgan)"),
    "variance_reduction_high": Column("1", "upper end"),
}
REPLICATIONS = {
    **_SCHEDULE,
    "replication": Column(
        "",
        "number of the replication: `lifesim run SCENARIO` with `--set replication=N` and the schedule gives all there is to know of it",
    ),
    "measure": Column("", "name of the measure"),
    "value": Column("unit", "its value for that fleet"),
}
CURVE_ROWS = {
    **_SCHEDULE,
    "time_s": Column("s", "report time: the end of the period that shares are about"),
    "curve": Column("", "; ".join(f"{name}: {FLEET[column].meaning}" for name, column in CURVES.items())),
    "replications": Column("", "replications with a value"),
    "mean": Column("1", "mean over the replications"),
    "low": Column("1", "lower end of its 95 % interval"),
    "high": Column("1", "upper end"),
}
SPELLS = {
    **_SCHEDULE,
    "ending": Column("", "; ".join(f"{ending}: {meaning}" for ending, meaning in ENDINGS.items())),
    "length_s": Column("s", "length of a silent spell, in whole seconds"),
    "spells": Column("", "how many there were of that length, all replications together"),
}
WEAR_ROWS = {
    **_SCHEDULE,
    "group": LAYERS["group"],
    "layers": LAYERS["layers"],
    **{column: Column("", f"{LAYERS[column].meaning}; mean over the replications") for column in WEAR},
}
PARETO = {
    "x": Column("", "measure on one axis"),
    "y": Column("", "measure on the other"),
    **_SCHEDULE,
    "x_mean": Column("unit of x", "its mean"),
    "y_mean": Column("unit of y", "its mean"),
    "on_front": Column(
        "", "1: no other schedule is better in one without being worse in the other, by the means; else 0"
    ),
}

FILES = {
    "comparison.csv": COMPARISON,
    "pairs.csv": PAIRS,
    "replications.csv": REPLICATIONS,
    "curves.csv": CURVE_ROWS,
    "spells.csv": SPELLS,
    "wear.csv": WEAR_ROWS,
    "pareto.csv": PARETO,
}


UNITS = {name: measure.unit for name, measure in MEASURES.items()}
