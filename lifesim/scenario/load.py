"""Reading a scenario file: TOML, overrides and seed in, a checked `Scenario` or one line per mistake out.

A line names the file (``--set`` or ``--seed`` for what came from there), the dotted key, what was given, what
is allowed and the nearest valid name. What pydantic reports is translated by walking the models.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from lifesim.errors import UserError, did_you_mean
from lifesim.scenario.models import DIRECTORY_NAME_RULE, GROUP_NAME_RULE, Group, Scenario
from lifesim.scenario.network import Network
from lifesim.scenario.table import PresetTable, Table
from lifesim.scenario.units import Quantity

_GIVEN_WIDTH = 60
_MOST_KEYS_LISTED = 25
_PRESET_KEYS = {"network", "technology", "site", "link"}

Key = tuple[str, ...]
Checked = TypeVar("Checked", bound=Table)


def load_scenario(
    path: str | Path,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    more: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Scenario:
    """Read and check a scenario file.

    ``overrides`` are texts ``dotted.key=value``, applied in order; the value is in TOML, or else plain text.
    ``seed`` replaces the file's. ``more``: further overrides, by what errors call the place that they come from. Raises UserError with
    one line per mistake.
    """
    path = Path(path)
    tables = _read(path)
    origins: list[tuple[Key, str]] = []
    for option, texts in {"--set": overrides, **more}.items():
        for override in texts:
            origins.append((_apply(tables, override, option), option))
    if seed is not None:
        tables["seed"] = seed
        origins.append((("seed",), "--seed"))
    stem_is_name = "name" not in tables
    tables.setdefault("name", path.stem)
    try:
        return Scenario.model_validate(tables, context={"directory": path.parent})
    except ValidationError as error:
        lines = [
            _line(problem, tables, path, origins, stem_is_name) for problem in error.errors(include_url=False)
        ]
        raise UserError("\n".join(lines)) from None


def load_network(keys: dict[str, Any], overrides: Sequence[str] = ()) -> Network:
    """Check the table of a network that was put together on a command line, ``overrides`` as for a scenario. Raises UserError."""
    tables = dict(keys)
    for override in overrides:
        _apply(tables, override)
    try:
        return Network.model_validate(tables)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise UserError(
            "\n".join(_line(p, tables, Path("network"), (), False, Network) for p in problems)
        ) from None


def load_tables(path: str | Path, model: type[Checked]) -> Checked:
    """Read another kind of TOML file, whose shape is ``model``; errors are as those of a scenario file. Raises UserError."""
    path = Path(path)
    tables = _read(path)
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise UserError("\n".join(_line(p, tables, path, (), False, model) for p in problems)) from None


def scenario_digest(scenario: Scenario) -> str:
    """Return the SHA-256 (hex) of the scenario's canonical JSON (base units, presets filled in)."""
    return hashlib.sha256(canonical_json(scenario).encode()).hexdigest()


def canonical_json(scenario: Scenario) -> str:
    """Return the scenario as compact JSON: keys in the order of the models, groups in the file's."""
    return json.dumps(scenario.model_dump(mode="json"), separators=(",", ":"), allow_nan=False)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file, for editors that complete and check TOML."""
    schema = Scenario.model_json_schema(mode="validation")
    schema["required"].remove("name")  # it defaults to the file's name, which the models do not know
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise UserError(f"{path}: no such file, nor a directory {str(path.parent)!r}") from None
        raise UserError(f"{path}: no such file{_nearest_file(path)}") from None
    except IsADirectoryError:
        raise UserError(
            f"{path}: is a directory; give a scenario file in it{_nearest_file(path / path.name)}"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: is not UTF-8 text (byte {error.start}); a scenario is a TOML file in UTF-8"
        ) from None
    except RecursionError:
        raise UserError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and what Python's own int() refuses
        problem, place = re.fullmatch(r"(.*?)(?: \(at (.*)\))?", str(error), re.DOTALL).groups()  # type: ignore[union-attr]
        raise UserError(f"{path}: {f'{place}: ' if place else ''}not valid TOML: {problem}") from None


def _nearest_file(path: Path) -> str:
    """Suggest the scenario file beside ``path`` whose name is nearest, else list some."""
    names = sorted(file.name for file in path.parent.glob("*.toml"))
    near = did_you_mean(path.name, names)
    if near or not names:
        return near
    return f"; there: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _apply(tables: dict[str, Any], override: str, option: str = "--set") -> Key:
    """Set one key in place and return it, split at its dots."""
    dotted, equals, text = override.partition("=")
    key = tuple(part.strip() for part in dotted.split("."))
    if not equals or not all(key):
        raise UserError(
            f"{option}: {json.dumps(override)}: must be dotted.key=value, such as group.cameras.count=100"
        )
    groups = tables.get("group")
    if key[0] == "group" and len(key) > 2 and isinstance(groups, dict) and key[1] not in groups:
        there = f"there: {', '.join(groups)}{_near(key[1], groups)}"
        raise UserError(f"{option}: {_dotted(key)}: no group {_show(key[1])}; {there}")
    node = tables
    for depth, part in enumerate(key[:-1]):
        below = node.setdefault(part, {})
        if isinstance(below, str) and part in _PRESET_KEYS:
            below = node[part] = {"preset": below}
        if not isinstance(below, dict):
            above = _dotted(key[: depth + 1])
            raise UserError(
                f"{option}: {_dotted(key)}: {above} is {_show(below)}, not a table to set a key of"
            )
        node = below
    node[key[-1]] = _override_value(text)
    return key


def _override_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    return parsed["value"] if parsed.keys() == {"value"} else text.strip()


def _line(
    problem: Any,
    tables: dict[str, Any],
    path: Path,
    origins: Sequence[tuple[Key, str]],
    stem_is_name: bool,
    root: type[Table] = Scenario,
) -> str:
    """Translate one of pydantic's errors about a table ``root`` into one line for the user."""
    kind, context = problem["type"], problem.get("ctx", {})
    key, field, table = _walk(problem["loc"], root)
    involved: tuple[Key, ...] = ()
    match kind:
        case "mistake":
            involved = tuple(key + other for other in context["involves"])
            key, text = key + context["key"], context["problem"]
        case "quantity":
            text = context["message"]
        case "missing":
            text = f"is missing; must be {_expected(field)}"
        case "extra_forbidden":
            allowed = table.model_fields
            few = len(allowed) <= _MOST_KEYS_LISTED
            which = ", ".join(allowed) if few else f"the {len(allowed)} that `lifesim schema` describes"
            text = f"unknown key; allowed: {which}{_near(key[-1], allowed)}"
        case "union_tag_not_found":
            key, text = (*key, "kind"), f"is missing; must be one of {_listed(_choices(field))}"
        case "union_tag_invalid":
            choices = _choices(field)
            key, text = (
                (*key, "kind"),
                f"must be one of {_listed(choices)}{_near(context['tag'], choices)}",
            )
        case "finite_number":
            text = "must be a finite number"
        case _ if problem["loc"][-1] == "[key]":
            text = f"the name of a {key[0]} must be {GROUP_NAME_RULE}"
        case _:
            given = problem["input"]
            near = _near(given, [str(choice) for choice in _choices(field)]) if isinstance(given, str) else ""
            text = f"must be {_expected(field)}{near}"
    if key == ("name",) and stem_is_name:
        return (
            f"{path}: name: is missing, and the file's name cannot replace it; must be {DIRECTORY_NAME_RULE}"
        )
    value = "" if problem["loc"][-1:] == ("[key]",) else _value(key, tables, root)
    return f"{_origin((key, *involved), path, origins)}: {_dotted(key)}{value}: {text}"


def _walk(loc: Sequence[str | int], root: type[Table] = Scenario) -> tuple[Key, FieldInfo, type[Table]]:
    """Follow a location of pydantic's through the models.

    Returns the key as it stands in the file (without the tags of unions), the field there, its table.
    """
    key: list[str] = []
    field, table = FieldInfo.from_annotation(root), root
    for part in map(str, loc):
        annotation: Any = if_given(field).annotation
        if part == "[key]":
            break
        if part in _alternatives(annotation):  # the tag of the alternative, which is no key of the file
            field = FieldInfo.from_annotation(_alternatives(annotation)[part])
            continue
        key.append(part)
        if get_origin(annotation) is dict:
            field = FieldInfo.from_annotation(get_args(annotation)[1])
        elif get_origin(annotation) in (tuple, list):
            field = FieldInfo.from_annotation(get_args(annotation)[0])
        elif isinstance(annotation, type) and issubclass(annotation, Table):
            table = annotation
            field = table.model_fields.get(part, FieldInfo.from_annotation(str))
    return tuple(key), field, table


def _alternatives(annotation: Any) -> dict[str, type[Table]]:
    """Return kind -> table for a union of tables, else nothing."""
    tables = [arm for arm in get_args(annotation) if isinstance(arm, type) and issubclass(arm, Table)]
    if len(tables) < 2:
        return {}
    return {get_args(table.model_fields["kind"].annotation)[0]: table for table in tables}


def _choices(field: FieldInfo) -> list[str]:
    """Return the names that may stand in a field, if they are few."""
    annotation = if_given(field).annotation
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, PresetTable):
        return annotation.names()
    return list(_alternatives(annotation))


def if_given(field: FieldInfo) -> FieldInfo:
    """Return an optional field as one that is not: the type and the bounds of what may be given."""
    arms = [arm for arm in get_args(field.annotation) if arm is not type(None)]
    if type(None) not in get_args(field.annotation) or len(arms) > 1:
        return field
    given = FieldInfo.from_annotation(arms[0])
    given.metadata = [*given.metadata, *field.metadata]
    return given


def _expected(field: FieldInfo) -> str:
    """Say in words what may stand in a field."""
    field = if_given(field)
    annotation, choices = field.annotation, _choices(field)
    for quantity in field.metadata:
        if isinstance(quantity, Quantity):
            return quantity.expected()
    if get_origin(annotation) is Literal:
        return f"one of {_listed(choices)}" if len(choices) > 1 else _listed(choices)
    if _alternatives(annotation):
        return f"a table with kind = one of {_listed(choices)}"
    if get_origin(annotation) is dict:
        entry = get_args(annotation)[1]
        return "a table with at least one [group.NAME]" if entry is Group else "a table"
    if get_origin(annotation) in (tuple, list):
        least = next((bound.min_length for bound in field.metadata if hasattr(bound, "min_length")), 0)
        of = f"a list of at least {least}" if least else "a list"
        return f"{of}, each {_expected(FieldInfo.from_annotation(get_args(annotation)[0]))}"
    if choices:
        return f"a preset ({', '.join(choices)}) or a table"
    if issubclass(annotation, Table):
        return f"a table; keys: {', '.join(annotation.model_fields)}"
    what = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        datetime.date: 'a date such as "2026-01-01"',
    }[annotation]
    bounds = [
        f"{word} {getattr(bound, name)}"
        for name, word in (("ge", "from"), ("gt", "above"), ("le", "up to"), ("lt", "below"))
        for bound in field.metadata
        if hasattr(bound, name)
    ]
    return " ".join([what, *bounds])


def _value(key: Key, tables: dict[str, Any], root: type[Table] = Scenario) -> str:
    """Return `` = value`` as the user wrote it, else the default that stands in for it, else nothing."""
    node: Any = tables
    for part in key:
        if isinstance(node, list) and part.isdigit():
            node = dict(enumerate(node))
            part = int(part)
        if not isinstance(node, dict) or part not in node:
            default = _walk(key, root)[1].default
            return f" (default {default})" if isinstance(default, str | int | float) else ""
        node = node[part]
    return f" = {_show(node)}"


def _origin(keys: Sequence[Key], path: Path, origins: Sequence[tuple[Key, str]]) -> str:
    """Name the option that one of the keys came from, or the file."""
    for key in keys:
        for origin, option in reversed(origins):
            if key[: len(origin)] == origin:
                return option
    return str(path)


def _near(given: str, names: Collection[str]) -> str:
    """Suggest the nearest name; one that ``given`` is the beginning of is nearer than any other."""
    if given in names:  # the right name in the wrong place
        return ""
    return did_you_mean(given, [name for name in names if name.startswith(given)] or names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(json.dumps(name) for name in names)


def _dotted(key: Key) -> str:
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part) for part in key)


def _show(given: Any) -> str:
    """Show a value as TOML would write it, on one line, cut where it gets long."""
    shown = toml_text(given)
    return shown if len(shown) <= _GIVEN_WIDTH else shown[: _GIVEN_WIDTH - 3] + "..."


def toml_text(given: Any) -> str:
    """Return a value as TOML would write it, in one line."""
    match given:
        case dict():
            return (
                "{"
                + ", ".join(f"{_dotted((key,))} = {toml_text(value)}" for key, value in given.items())
                + "}"
            )
        case list():
            return "[" + ", ".join(map(toml_text, given)) + "]"
        case datetime.date() | datetime.time():
            return given.isoformat()
        case str() | bool():
            return json.dumps(given, ensure_ascii=False)
        case _:
            return str(given)
