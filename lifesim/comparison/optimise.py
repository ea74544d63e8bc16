"""The best settings of a schedule for a scenario: :mod:`lifesim.comparison.search` with fleets as what is evaluated."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from lifesim.comparison.alternatives import (
    OPEN_TABLES,
    Alternative,
    ShortForm,
    parse_schedule,
    schedule_kinds,
)
from lifesim.comparison.compare import REPLICATIONS, refuse_to_mix, run_replications
from lifesim.comparison.measures import MEASURES
from lifesim.comparison.search import Candidate, Dimension, Found, search
from lifesim.comparison.tables import unit
from lifesim.comparison.tasks import allow_tasks, make_task
from lifesim.errors import LifesimError, UserError, did_you_mean
from lifesim.experiment.tables import csv_bytes
from lifesim.files import atomic_write
from lifesim.scenario.load import canonical_json, if_given, load_scenario
from lifesim.scenario.models import Scenario
from lifesim.scenario.table import Table
from lifesim.scenario.units import Quantity

EVALUATIONS = 16
_OPTION = "--schedule"
_ZERO_WHERE_NONE = ("undetected_mean_s", "undetected_p95_s")
"""Measures without a value where nothing was ever lost, which is as good as can be."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Problem:
    """What to vary: a schedule in short form, and the keys of it that are searched."""

    path: Path
    form: ShortForm
    dimensions: tuple[Dimension, ...]
    overrides: tuple[str, ...] = ()
    seed: int | None = None

    def scenario(self, candidate: Candidate) -> Scenario:
        """Return the scenario with a candidate's settings in all groups. Raises UserError."""
        base = load_scenario(self.path, self.overrides, self.seed)
        settings = tuple((d.name, _text(value)) for d, value in zip(self.dimensions, candidate, strict=True))
        form = ShortForm(self.form.label, self.form.kind, self.form.keys + settings)
        texts = [text for group in base.group for text in form.overrides(group)]
        return load_scenario(self.path, self.overrides, self.seed, {_OPTION: texts})


def make_problem(
    path: str | Path,
    schedule: str,
    over: Sequence[str],
    bounds: Sequence[str],
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> Problem:
    """Return what to vary: ``over`` are keys such as schedule.interval_s or aet.pictures, ``bounds`` a LOW:HIGH for each. Raises UserError."""
    form = parse_schedule(schedule, _OPTION)
    if not over or len(over) != len(bounds):
        raise UserError("--over, --bounds: must be given equally often, at least once")
    base = load_scenario(path, overrides, seed)
    dimensions = tuple(_dimension(form, base, key, text) for key, text in zip(over, bounds, strict=True))
    problem = Problem(Path(path), form, dimensions, tuple(overrides), seed)
    for end in ("low", "high"):
        problem.scenario(tuple(getattr(d, end) for d in dimensions))
    return problem


def optimise(
    problem: Problem,
    objective: str,
    directory: str | Path,
    executor: Executor,
    *,
    replications: int = REPLICATIONS,
    evaluations: int = EVALUATIONS,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = lambda share, doing: None,
) -> Found:
    """Search, and write evaluations.csv and optimum.json to ``directory``; what was evaluated there before is not run again.

    ``objective``: a measure; what is better is what MEASURES says. Raises UserError for what cannot be asked.
    """
    directory = Path(directory)
    _check(objective, replications, evaluations)
    refuse_to_mix(directory, force)
    sign = -1.0 if MEASURES[objective].better == "higher" else 1.0
    tried = 0

    def evaluate(candidates: Sequence[Candidate]) -> list[list[float]]:
        nonlocal tried
        alternatives = [Alternative(str(candidate), problem.scenario(candidate)) for candidate in candidates]
        tasks = [
            [make_task(a.scenario, number, directory) for number in range(replications)] for a in alternatives
        ]
        run_replications(
            [[of_one[number] for of_one in tasks] for number in range(replications)],
            executor,
            directory,
            device,
            lambda share: progress(
                min(1.0, (tried + share * len(candidates)) / evaluations),
                f"candidates {tried + 1} to {tried + len(candidates)}",
            ),
        )
        tried += len(candidates)
        return [[sign * _value(objective, task.result()["measures"]) for task in of_one] for of_one in tasks]

    try:
        allow_tasks(directory)
        found = search(evaluate, problem.dimensions, evaluations)
        _write(directory, problem, objective, sign, found)
    except OSError as error:
        raise LifesimError(f"{error.filename or directory}: {error.strerror or error}") from error
    return found


def _value(objective: str, measures: dict[str, float | None]) -> float:
    value = measures[objective]
    if value is None and objective in _ZERO_WHERE_NONE:
        return 0.0
    if value is None:
        hint = ": the scenario has no [prices]" if objective == "cost" else ""
        raise UserError(f"--objective: {objective} has no value in this scenario{hint}")
    return value


def _write(directory: Path, problem: Problem, objective: str, sign: float, found: Found) -> None:
    names = [d.name for d in found.dimensions]
    table: dict[str, list[Any]] = {column: [] for column in (*names, *EVALUATION_COLUMNS)}
    for e in found.evaluations:
        ends = sorted((sign * e.interval.low, sign * e.interval.high))
        to_best = sorted((sign * e.difference.low, sign * e.difference.high))
        row = (
            *e.candidate,
            e.interval.n,
            sign * e.interval.mean,
            *ends,
            sign * e.difference.mean,
            *to_best,
            e.p_holm,
            int(e.as_good),
        )
        for column, value in zip(table, row, strict=True):
            table[column].append(None if isinstance(value, float) and math.isnan(value) else value)
    scenario = problem.scenario(found.best.candidate)
    currency = None if scenario.prices is None else scenario.prices.currency
    ends = sorted((sign * found.best.interval.low, sign * found.best.interval.high))
    optimum = {
        "objective": objective,
        "unit": unit(objective, currency),
        "better": MEASURES[objective].better,
        "best": dict(zip(names, found.best.candidate, strict=True)),
        "mean": sign * found.best.interval.mean,
        "interval": None if math.isnan(ends[0]) else ends,
        "not_told_apart": {name: list(found.as_good_range(i)) for i, name in enumerate(names)},
        "bounds": {d.name: [d.low, d.high] for d in found.dimensions},
        "replications": found.best.interval.n,
        "evaluations": len(found.evaluations),
        "schedule": problem.form.label,
        "scenario": json.loads(canonical_json(scenario)),
    }
    atomic_write(directory / "evaluations.csv", csv_bytes(table))
    atomic_write(
        directory / "optimum.json", json.dumps(optimum, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


EVALUATION_COLUMNS = {
    "replications": "fleets that the candidate was tried on, the same for all",
    "mean": "mean of the objective, in its own unit",
    "low": "lower end of its 95 % interval",
    "high": "upper end",
    "difference": "mean of candidate - best, on the same fleets",
    "difference_low": "lower end of its 95 % interval (paired t)",
    "difference_high": "upper end",
    "p_holm": "p-value of no difference to the best, adjusted for all candidates (Holm)",
    "as_good": "1: not told from the best by so many replications",
}
"""Columns of evaluations.csv, after one for each key that was searched."""


def summary_text(found: Found, objective: str) -> str:
    """Return the optimum in a few lines."""
    sign = -1.0 if MEASURES[objective].better == "higher" else 1.0
    best = found.best
    lines = [
        f"{MEASURES[objective].title}: best {sign * best.interval.mean:.6g} (+- {best.interval.half_width:.2g}), {len(found.evaluations)} candidates tried"
    ]
    for i, dimension in enumerate(found.dimensions):
        low, high = found.as_good_range(i)
        lines.append(f"  {dimension.name} = {best.candidate[i]:g}; not told apart: {low:g} to {high:g}")
        if best.candidate[i] in (dimension.low, dimension.high):
            lines.append("  That is an end of the range: the optimum may lie beyond it.")
    return "\n".join(lines)


def _check(objective: str, replications: int, evaluations: int) -> None:
    if objective not in MEASURES or not MEASURES[objective].better:
        raise UserError(
            f"--objective: no measure {objective!r}; allowed: {', '.join(MEASURES)}{did_you_mean(objective, MEASURES)}"
        )
    if replications < 2:
        raise UserError(
            f"--replications {replications}: must be at least 2, or nothing can be said of chance"
        )
    if evaluations < 4:
        raise UserError(f"--evaluations {evaluations}: must be at least 4")


def _dimension(form: ShortForm, base: Scenario, key: str, bounds: str) -> Dimension:
    """Return a key with its range, by the field that it is in the scenario's models."""
    first, _, name = key.partition(".")
    tables: dict[str, type[Table]] = {
        table: type(getattr(next(iter(base.group.values())), table)) for table in OPEN_TABLES
    }
    if form.kind in schedule_kinds():
        tables["schedule"] = schedule_kinds()[form.kind]
    model = tables.get(first)
    if model is None or name not in model.model_fields:
        allowed = [
            f"{table}.{field}" for table, of in tables.items() for field in of.model_fields if field != "kind"
        ]
        raise UserError(f"--over: no key {key!r}; allowed: {', '.join(allowed)}{did_you_mean(key, allowed)}")
    field = if_given(model.model_fields[name])
    quantity = next((m for m in field.metadata if isinstance(m, Quantity)), None)
    low, colon, high = bounds.partition(":")
    if not colon:
        raise UserError(f'--bounds: "{bounds}": must be LOW:HIGH, such as 1d:365d')
    ends = [_number(end.strip(), quantity, bounds) for end in (low, high)]
    if not ends[0] < ends[1]:
        raise UserError(f'--bounds: "{bounds}": the lower end must be below the upper')
    return Dimension(key, *ends, whole=field.annotation is int)


def _number(text: str, quantity: Quantity | None, bounds: str) -> float:
    try:
        return float(text)  # in the key's own unit
    except ValueError:
        pass
    try:
        return quantity.parse(text) if quantity else float(text)
    except PydanticCustomError as error:
        problem = error.message()
    except ValueError:
        problem = "must be a number"
    raise UserError(f'--bounds: "{bounds}": {text} {problem}')


def _text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)
