"""Presets: named sets of numbers, each with its unit, its source and its standing.

One TOML file per kind lies beside this module. A preset is a table; ``summary`` says what it is, and every other key is
a parameter ``{value, unit, standing, source}``. Standing is ``F`` (found in a source that was read), ``C`` (computed from
such sources), ``M`` (remembered from the literature, worth re-checking) or ``A`` (assumption: sweep it).
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from lifesim.errors import UserError, did_you_mean

STANDINGS = {
    "F": "found in a source",
    "C": "computed from sources",
    "M": "remembered, re-check",
    "A": "assumption",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number (or text, or list) of a preset with its unit, standing and source."""

    value: Any
    unit: str
    standing: str
    source: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of parameters; ``values`` is what a scenario model is filled with."""

    kind: str
    name: str
    summary: str
    parameters: dict[str, Parameter]

    @property
    def values(self) -> dict[str, Any]:
        return {key: parameter.value for key, parameter in self.parameters.items()}


def preset_kinds() -> list[str]:
    """Return the kinds of preset that exist, sorted."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


@functools.cache
def _load_kind(kind: str) -> dict[str, Preset]:
    if kind not in preset_kinds():
        raise UserError(
            f"no presets of kind {kind!r}; kinds: {', '.join(preset_kinds())}{did_you_mean(kind, preset_kinds())}"
        )
    tables = tomllib.loads(resources.files(__name__).joinpath(f"{kind}.toml").read_text(encoding="utf-8"))
    return {
        name: Preset(
            kind, name, table["summary"], {k: Parameter(**v) for k, v in table.items() if k != "summary"}
        )
        for name, table in tables.items()
    }


def preset_names(kind: str) -> list[str]:
    """Return the names of the presets of ``kind`` in file order. Raises UserError for an unknown kind."""
    return list(_load_kind(kind))


def load_preset(kind: str, name: str) -> Preset:
    """Return one preset. Raises UserError, naming the nearest, for an unknown kind or name."""
    presets = _load_kind(kind)
    if name not in presets:
        raise UserError(
            f"no {kind} preset {name!r}; there are: {', '.join(presets)}{did_you_mean(name, presets)}"
        )
    return presets[name]
