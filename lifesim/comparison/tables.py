"""From what tasks kept to the tables of a comparison, columns in the order of :mod:`lifesim.comparison.schema`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from lifesim.comparison import schema
from lifesim.comparison.measures import CURVES, MEASURES, WEAR
from lifesim.comparison.statistics import (
    CONFIDENCE,
    holm,
    mean_interval,
    paired_difference,
    pareto_front,
    variance_reduction,
)
from lifesim.experiment.tables import Table

Kept = Mapping[str, Sequence[Mapping[str, Any]]]
"""Label of a schedule -> what each of its replications kept, in order."""


def samples(kept: Kept, measure: str) -> dict[str, list[float]]:
    """Return a measure's values by schedule; NaN where there is none."""
    return {label: [_number(r["measures"][measure]) for r in results] for label, results in kept.items()}


def measured(kept: Kept) -> list[str]:
    """Return the measures of which any schedule has a value."""
    return [
        name for name in MEASURES if any(not math.isnan(v) for vs in samples(kept, name).values() for v in vs)
    ]


def comparison_table(kept: Kept, currency: str | None = None) -> Table:
    """Return comparison.csv."""
    table: Table = {column: [] for column in schema.COMPARISON}
    for measure in measured(kept):
        for label, values in samples(kept, measure).items():
            interval = mean_interval(values)
            _append(
                table,
                label,
                measure,
                unit(measure, currency),
                interval.n,
                *map(_value, (interval.mean, interval.low, interval.high, interval.sd)),
            )
    return table


def pairs_table(kept: Kept, baseline: str, currency: str | None = None) -> Table:
    """Return pairs.csv: every other schedule against the baseline, by every measure."""
    table: Table = {column: [] for column in schema.PAIRS}
    for measure in measured(kept):
        values = samples(kept, measure)
        others = [label for label in values if label != baseline]
        differences = [paired_difference(values[label], values[baseline]) for label in others]
        adjusted = holm([difference.p_value for difference in differences])
        for label, difference, p_holm in zip(others, differences, adjusted, strict=True):
            interval, pairing = difference.interval, variance_reduction(values[label], values[baseline])
            numbers = (interval.mean, interval.low, interval.high, difference.p_value, p_holm)
            _append(
                table, label, baseline, measure, unit(measure, currency), interval.n, *map(_value, numbers),
                verdict(interval.mean, p_holm, MEASURES[measure].better),
                *map(_value, (pairing.factor, pairing.low, pairing.high)),
            )  # fmt: skip
    return table


def verdict(difference: float, p_holm: float, better: str) -> str:
    """Return one of schema.VERDICTS for a difference to the baseline."""
    if math.isnan(p_holm):
        return "unknown"
    if p_holm == 1.0 and difference == 0.0:
        return "the same"
    if p_holm >= 1 - CONFIDENCE:
        return "not told apart"
    return "better" if (difference > 0) == (better == "higher") else "worse"


def replications_table(kept: Kept, first: int) -> Table:
    """Return replications.csv; ``first``: number of the first replication."""
    table: Table = {column: [] for column in schema.REPLICATIONS}
    for label, results in kept.items():
        for number, result in enumerate(results, first):
            for measure in measured(kept):
                _append(table, label, number, measure, result["measures"][measure])
    return table


def curves_table(kept: Kept, times_s: Sequence[float]) -> Table:
    """Return curves.csv; ``times_s``: the report times."""
    table: Table = {column: [] for column in schema.CURVE_ROWS}
    for label, results in kept.items():
        for curve in CURVES:
            for at, time_s in enumerate(times_s):
                interval = mean_interval([_number(result["curves"][curve][at]) for result in results])
                if interval.n:
                    _append(
                        table,
                        label,
                        time_s,
                        curve,
                        interval.n,
                        *map(_value, (interval.mean, interval.low, interval.high)),
                    )
    return table


def spells_table(kept: Kept) -> Table:
    """Return spells.csv: the silent spells of all replications together."""
    table: Table = {column: [] for column in schema.SPELLS}
    for label, results in kept.items():
        counts: dict[tuple[str, int], int] = {}
        for result in results:
            for ending, spells in result["spells"].items():
                for seconds, count in zip(spells["seconds"], spells["counts"], strict=True):
                    counts[ending, seconds] = counts.get((ending, seconds), 0) + count
        for (ending, seconds), count in sorted(counts.items()):
            _append(table, label, ending, seconds, count)
    return table


def wear_table(kept: Kept) -> Table:
    """Return wear.csv."""
    table: Table = {column: [] for column in schema.WEAR_ROWS}
    for label, results in kept.items():
        for rows in zip(*(result["wear"] for result in results), strict=True):
            means = (mean_interval([_number(row[column]) for row in rows]).mean for column in WEAR)
            _append(table, label, rows[0]["group"], rows[0]["layers"], *map(_value, means))
    return table


def pareto_table(kept: Kept) -> Table:
    """Return pareto.csv: every two measures for which there is a better and a worse."""
    table: Table = {column: [] for column in schema.PARETO}
    means = {
        measure: {label: mean_interval(values).mean for label, values in samples(kept, measure).items()}
        for measure in measured(kept)
        if MEASURES[measure].better
    }
    sign = {measure: 1 if MEASURES[measure].better == "lower" else -1 for measure in means}
    for x, y in combinations(means, 2):
        front = pareto_front([(sign[x] * means[x][label], sign[y] * means[y][label]) for label in kept])
        for label, on_front in zip(kept, front, strict=True):
            _append(table, x, y, label, _value(means[x][label]), _value(means[y][label]), int(on_front))
    return table


def unit(measure: str, currency: str | None = None) -> str:
    """Return the unit of a measure, in the scenario's currency."""
    return MEASURES[measure].unit.replace("currency", currency or "currency")


def _append(table: Table, *row: Any) -> None:
    for column, value in zip(table.values(), row, strict=True):
        column.append(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _value(number: float) -> float | None:
    """Return a number as it goes into a file: empty where there is none."""
    return None if math.isnan(number) else number
