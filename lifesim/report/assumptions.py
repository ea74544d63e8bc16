"""What a comparison rests on: every number of the presets that its scenario uses, with source and standing, and what the scenario puts in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lifesim.fleet.cells import OPERATION_COSTS
from lifesim.scenario.link import Link
from lifesim.scenario.network import Network
from lifesim.scenario.presets import Preset, load_preset
from lifesim.scenario.site import Site
from lifesim.scenario.table import PresetTable
from lifesim.scenario.technology import Technology
from lifesim.scenario.units import readable_duration

_TABLES: dict[str, type[PresetTable]] = {
    "network": Network,
    "technology": Technology,
    "site": Site,
    "link": Link,
}


@dataclass(frozen=True, slots=True)
class Assumption:
    """One number: where it stands, its value and unit, its standing ("" where the scenario gives it) and source."""

    key: str
    value: str
    unit: str
    standing: str
    source: str


@dataclass(frozen=True, slots=True)
class Basis:
    """The numbers of one preset, or of one table of the scenario."""

    title: str
    summary: str
    used_by: str
    rows: list[Assumption]


def assumptions(scenario: Mapping[str, Any]) -> list[Basis]:
    """Return what a scenario (as plain JSON values, presets filled in) rests on, the presets of a group after the other.

    Groups that use a preset in the same way share its entry.
    """
    found: dict[str, Basis] = {}
    for group, table in scenario["group"].items():
        for basis in _of_group(group, table):
            seen = found.get(key := repr((basis.title, basis.rows)))
            found[key] = basis if seen is None else replace(seen, used_by=f"{seen.used_by}, {group}")
    costs = load_preset("cost", OPERATION_COSTS)
    return [*found.values(), _basis(costs, costs.values, costs.values, "all groups")]


def _of_group(group: str, table: Mapping[str, Any]) -> Iterator[Basis]:
    for kind, model in _TABLES.items():
        if name := table[kind].get("preset"):
            usual = model.model_validate({"preset": name}).model_dump(mode="json")
            yield _basis(load_preset(kind, name), usual, table[kind], group)
    if name := table["policy_set"]:
        preset = load_preset("policy_set", name)
        given = {key: table[key.split(".")[0]][key.split(".")[1]] for key in preset.values}
        yield _basis(preset, preset.values, given, group)


def _basis(preset: Preset, usual: Mapping[str, Any], given: Mapping[str, Any], used_by: str) -> Basis:
    """``usual``: what the preset alone makes of its keys; ``given``: what the scenario has, in the same units."""
    rows = []
    for key, parameter in preset.parameters.items():
        before = _text(parameter.value)
        if usual.get(key) == given.get(key):
            unit = "" if isinstance(parameter.value, str) else parameter.unit
            rows.append(Assumption(key, before, unit, parameter.standing, parameter.source))
        else:
            duration = key.endswith("_s") and isinstance(given[key], int | float)
            now, unit = (
                (readable_duration(given[key]), "") if duration else (_text(given[key]), parameter.unit)
            )
            rows.append(Assumption(key, now, unit, "", f"given by the scenario; the preset has {before}"))
    return Basis(f"{preset.kind.replace('_', ' ')} {preset.name}", preset.summary, used_by, rows)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | int):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
