"""From a sweep file to its points: which keys take which values, checked by loading the scenario with them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from scipy.stats import qmc

from lifesim.comparison.alternatives import OPTION, ShortForm, parse_schedules
from lifesim.errors import UserError
from lifesim.scenario.load import load_scenario, load_tables, toml_text
from lifesim.scenario.models import Scenario
from lifesim.streams import stream_key
from lifesim.sweep.schema import Design, Grid, Listed, Range, Sensitivity, SobolSequence, SweepFile

Value = float | str
"""What a key is set to: a number in the key's own unit, or text."""
Point = tuple[Value, ...]
"""A value for each key."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A key that is varied: its ``values``, or a range of numbers."""

    key: str
    values: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def at(self, share: float) -> float:
        """Return the value at a share of the range, from 0 to 1."""
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + share * (self.high - self.low)
        return float(round(value)) if self.whole else value


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep: the scenario file with its changes, the schedules, and the points."""

    path: Path
    file: SweepFile
    scenario_path: Path
    schedules: tuple[ShortForm, ...]
    dimensions: tuple[Dimension, ...]
    groups: tuple[str, ...]

    @property
    def replications(self) -> int:
        return self.file.replications

    def points(self) -> Iterator[Point]:
        """Yield the points, always the same in the same order."""
        design, dimensions = self.file.design, self.dimensions
        match design:
            case Grid():
                yield from product(*(d.values for d in dimensions))
            case Listed():
                yield from zip(*(d.values for d in dimensions), strict=True)
            case _:
                for row in _shares(design, len(dimensions)):
                    yield tuple(d.at(share) for d, share in zip(dimensions, row.tolist(), strict=True))

    def scenario(self, point: Point, schedule: ShortForm) -> Scenario:
        """Return the scenario at a point under a schedule. Raises UserError, naming the key."""
        texts = [
            f"{key}={toml_text(value) if isinstance(value, str) else _number_text(value)}"
            for d, value in zip(self.dimensions, point, strict=True)
            for key in _in_groups(d.key, self.groups)
        ]
        return self._load(schedule, texts)

    def _load(self, schedule: ShortForm, texts: Sequence[str]) -> Scenario:
        return _load(self.file, self.scenario_path, self.groups, schedule, self.path, texts)


def load_plan(path: str | Path, settings: Sequence[str] = ()) -> Plan:
    """Read a sweep file. ``settings``: further ``dotted.key=value`` of the scenario, after the file's own. Raises UserError, one line for each mistake."""
    path = Path(path)
    file = load_tables(path, SweepFile)
    file = file.model_copy(update={"set": (*file.set, *settings)})
    scenario_path = path.parent / file.scenario
    base = load_scenario(scenario_path, file.set, file.seed)
    try:
        schedules = tuple(parse_schedules(file.schedules))
    except UserError as error:
        raise UserError(str(error).replace(OPTION, f"{path}: schedules")) from None
    groups = tuple(base.group)

    def value(key: str, text: Any) -> Value:
        """Return what a value of a key comes to in a scenario: a number in the key's unit, or what was given."""
        texts = [
            f"{one}={text if isinstance(text, str) else toml_text(text)}" for one in _in_groups(key, groups)
        ]
        loaded = _load(file, scenario_path, groups, schedules[0], path, texts)
        found = _found(loaded.model_dump(mode="json"), _in_groups(key, groups)[0].split("."))
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else _text(text)

    dimensions = tuple(
        _dimension(path, file.design, key, given, value) for key, given in _flat(file.vary).items()
    )
    if isinstance(file.design, Listed) and len({len(d.values) for d in dimensions}) > 1:
        lengths = ", ".join(f"{d.key} {len(d.values)}" for d in dimensions)
        raise UserError(f"{path}: vary: a list needs equally many values of every key; given: {lengths}")
    return Plan(path, file, scenario_path, schedules, dimensions, groups)


def _load(
    file: SweepFile,
    scenario: Path,
    groups: Sequence[str],
    schedule: ShortForm,
    path: Path,
    texts: Sequence[str],
) -> Scenario:
    more = {
        f"{path}: schedules": [text for group in groups for text in schedule.overrides(group)],
        f"{path}: vary": texts,
    }
    return load_scenario(scenario, file.set, file.seed, more)


def _dimension(path: Path, design: Design, key: str, given: Any, value: Any) -> Dimension:
    where = f"{path}: vary.{json.dumps(key)}"
    if isinstance(design, Grid | Listed):
        if not isinstance(given, list) or not given:
            raise UserError(
                f"{where} = {toml_text(given)}: must be a list of values, such as [1, 2], in a {design.kind}"
            )
        values = tuple(value(key, each) for each in given)
        if len(set(values)) < len(values) and isinstance(design, Grid):
            raise UserError(f"{where} = {toml_text(given)}: a value stands there twice")
        return Dimension(key, _alike(values, given))
    try:
        ends = Range.model_validate(given)
    except ValidationError:
        raise UserError(
            f'{where} = {toml_text(given)}: must be a range, such as {{ low = 1, high = 9, scale = "log" }}, in a {design.kind}'
        ) from None
    low, high = value(key, ends.low), value(key, ends.high)
    if isinstance(low, str) or isinstance(high, str):
        raise UserError(
            f"{where} = {toml_text(given)}: must be a key that takes a number; use a grid for this one"
        )
    if not low < high:
        raise UserError(f"{where} = {toml_text(given)}: low must be below high")
    if ends.scale == "log" and low <= 0:
        raise UserError(f'{where} = {toml_text(given)}: low must be above 0 with scale = "log"')
    whole = all(isinstance(end, int) for end in (ends.low, ends.high)) and not _takes_fractions(
        key, low, high, value
    )
    return Dimension(key, (), low, high, ends.scale == "log", whole)


def _takes_fractions(key: str, low: float, high: float, value: Any) -> bool:
    middle = math.floor(low) + 0.5
    try:
        return value(key, middle if low <= middle <= high else low) == middle
    except UserError:
        return False


def _alike(values: tuple[Value, ...], given: Sequence[Any]) -> tuple[Value, ...]:
    """Return the values of a key as numbers, or all as text if one is none."""
    return values if not any(isinstance(v, str) for v in values) else tuple(map(_text, given))


def _text(given: Any) -> str:
    return given if isinstance(given, str) else toml_text(given)


def _number_text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _flat(vary: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return dotted keys, whether they were written in quotes or as tables in tables."""
    flat: dict[str, Any] = {}
    for key, given in vary.items():
        if isinstance(given, dict) and not given.keys() & Range.model_fields.keys():
            flat |= _flat(given, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = given
    return flat


def _in_groups(key: str, groups: Sequence[str]) -> list[str]:
    """Return a key, or, where it is of the group *, that of each."""
    if key.startswith("group.*."):
        return [f"group.{group}.{key.removeprefix('group.*.')}" for group in groups]
    return [key]


def _found(tables: Any, key: Sequence[str]) -> Any:
    for part in key:
        if not isinstance(tables, dict) or part not in tables:
            return None
        tables = tables[part]
    return tables


def _shares(design: Design, keys: int) -> np.ndarray:
    """Return the points of a design in the unit cube, [points, keys]; those of a sensitivity design as :func:`split_sample` takes them apart."""
    rng = np.random.default_rng(
        stream_key("sweep", design.kind, design.seed)
    )  # scipy wants one that it can split
    if isinstance(design, Sensitivity):
        both = qmc.Sobol(2 * keys, rng=rng).random(design.base)
        a, b = both[:, :keys], both[:, keys:]
        mixed = []
        for i in range(keys):
            mixed.append(a.copy())
            mixed[-1][:, i] = b[:, i]
        return np.concatenate([a, b, *mixed])
    if isinstance(design, SobolSequence):
        return qmc.Sobol(keys, rng=rng).random(design.points)
    return qmc.LatinHypercube(keys, rng=rng).random(design.points)
