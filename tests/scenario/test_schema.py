"""The JSON Schema: what an editor is told must cover what a scenario may hold."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lifesim.scenario.load import json_schema
from lifesim.scenario.presets import preset_names

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))
SCHEMA = json_schema()


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Interpret the part of JSON Schema that structure needs: which keys, which types, which alternatives."""
    if "$ref" in schema:
        return accepts(SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[-1]], value)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and not any(accepts(each, value) for each in schema[keyword]):
            return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    kinds = {"object": dict, "string": str, "integer": int, "number": (int, float), "null": type(None)}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if not isinstance(value, dict):
        return True
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    return all(key in value for key in schema.get("required", [])) and all(
        accepts(properties[key], entry)
        if key in properties
        else others is not False and (others is True or accepts(others, entry))
        for key, entry in value.items()
    )


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_schema_accepts_every_shipped_scenario(path: Path) -> None:
    assert accepts(SCHEMA, tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("site", "accepted"),
    [
        ("indoor", True),
        ({"preset": "indoor"}, True),
        ({"preset": "indoor", "mean_c": "40 C"}, True),
        ("indor", False),
        ({"mean_c": 40}, False),
        ({"preset": "indoor", "mean": 40}, False),
        (3, False),
    ],
)
def test_presets_as_name_or_table(site: Any, accepted: bool) -> None:
    assert accepts({"$ref": "#/$defs/Site"}, site) is accepted


@pytest.mark.parametrize(
    ("schedule", "accepted"),
    [
        ({"kind": "never"}, True),
        ({"kind": "periodic", "interval_s": "7 d"}, True),
        ({"kind": "periodic"}, False),
        ({"kind": "never", "interval_s": 3}, False),
        ({"kind": "sometimes"}, False),
    ],
)
def test_schedules_by_kind(schedule: dict[str, Any], accepted: bool) -> None:
    assert accepts(SCHEMA["$defs"]["Group"]["properties"]["schedule"], schedule) is accepted


def test_names_of_presets_are_offered() -> None:
    for kind in ("technology", "site", "link", "network"):
        assert SCHEMA["$defs"][kind.capitalize()]["anyOf"][0]["enum"] == preset_names(kind)


def test_every_key_is_described_and_the_schema_is_json() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["required"] == ["horizon_s", "group"]
    tables = [table["anyOf"][1] if "anyOf" in table else table for table in SCHEMA["$defs"].values()]
    for table in [SCHEMA, *tables]:
        for key, entry in table["properties"].items():
            described = SCHEMA["$defs"][entry["$ref"].rsplit("/", 1)[-1]] if "$ref" in entry else entry
            assert described.get("description") or key == "kind", (table.get("title"), key)
