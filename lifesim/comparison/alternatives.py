"""What is compared: schedules in a short form, each applied to the same scenario.

    never    periodic:7d    march_scrub:30d    readback{interval_s=7d,alarm_cells=20}
    periodic:7d{aet.pictures=64}    scenario{policy.call.kind=at_once}    weekly=periodic:7d

NAME is a kind of schedule, or ``scenario`` for the scenario's own; ``:TIME`` gives the first key of the kind that is a duration; braces give keys of the
schedule, or of the group's tables ``aet`` and ``policy``; ``LABEL=`` in front names it in tables and pictures. Kinds and keys are those of
:mod:`lifesim.scenario.schedule`: nothing here knows any of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lifesim.errors import UserError, did_you_mean
from lifesim.scenario.load import if_given, load_scenario
from lifesim.scenario.models import Scenario
from lifesim.scenario.schedule import Schedule
from lifesim.scenario.table import Table
from lifesim.scenario.units import Quantity

OPTION = "--schedules"
OWN = "scenario"
"""Stands for the schedule that the scenario has."""
OPEN_TABLES = ("aet", "policy")
"""Tables of a group that an alternative may change: what a device tests itself with, and what it does about it. All else stays the same."""

_FORM = re.compile(
    r"(?:(?P<label>[^={}:]+)=)?(?P<kind>[^={}:]+)(?::(?P<time>[^{}]+))?(?:\{(?P<keys>.*)\})?", re.DOTALL
)


@dataclass(frozen=True)
class Alternative:
    """One thing to compare: its name in tables and pictures, and the scenario with it."""

    label: str
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class ShortForm:
    """A schedule in short form, taken apart: ``keys`` are dotted keys below the group, with values as text."""

    label: str
    kind: str
    keys: tuple[tuple[str, str], ...]

    def overrides(self, group: str) -> list[str]:
        """Return what it changes of a group, as texts for ``load_scenario``."""
        own = [] if self.kind == OWN else [f'group.{group}.schedule={{kind="{self.kind}"}}']
        return own + [f"group.{group}.{key}={value}" for key, value in self.keys]


def load_alternatives(
    path: str | Path,
    schedules: str,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    groups: Sequence[str] = (),
) -> list[Alternative]:
    """Return the scenario of a file under each of ``schedules`` (short forms, with commas between), in order.

    ``groups``: whose schedule is compared, all by default. Raises UserError, one line for each mistake.
    """
    base = load_scenario(path, overrides, seed)
    for name in groups:
        if name not in base.group:
            there = f"there: {', '.join(base.group)}{did_you_mean(name, base.group)}"
            raise UserError(f"--group: no group {name!r} in {path}; {there}")
    forms = parse_schedules(schedules)
    return [
        Alternative(
            form.label,
            load_scenario(
                path,
                overrides,
                seed,
                {OPTION: [text for group in groups or base.group for text in form.overrides(group)]},
            ),
        )
        for form in forms
    ]


def parse_schedules(text: str) -> list[ShortForm]:
    """Take a list of short forms apart. Raises UserError."""
    forms = [parse_schedule(part) for part in _split(text, ",")]
    if not forms:
        raise UserError(f"{OPTION}: must be at least one schedule, such as never,periodic:7d")
    labels = [form.label for form in forms]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f'{OPTION}: "{label}" stands there twice; LABEL=... in front tells them apart')
    return forms


def parse_schedule(text: str, option: str = OPTION) -> ShortForm:
    """Take one short form apart; ``option``: where it was given. Raises UserError."""
    text = text.strip()
    match = _FORM.fullmatch(text)
    if match is None:
        raise UserError(
            f'{option}: "{text}": must be KIND, KIND:TIME or KIND{{key=value,...}}, such as periodic:7d'
        )
    kind, kinds = match["kind"].strip(), schedule_kinds()
    if kind not in (*kinds, OWN):
        names = (*kinds, OWN)
        raise UserError(
            f'{option}: "{text}": no schedule "{kind}"; allowed: {", ".join(names)}{did_you_mean(kind, names)}'
        )
    fields = kinds[kind].model_fields if kind in kinds else {}
    keys: list[tuple[str, str]] = []
    if match["time"] is not None:
        duration = next(
            (
                key
                for key, field in fields.items()
                if any(isinstance(m, Quantity) and m.base == "s" for m in if_given(field).metadata)
            ),
            None,
        )
        if duration is None:
            raise UserError(f'{option}: "{text}": {kind} takes no time')
        keys.append((f"schedule.{duration}", match["time"].strip()))
    for pair in _split(match["keys"] or "", ","):
        key, equals, value = pair.partition("=")
        key, first = key.strip(), key.strip().split(".")[0]
        if not equals or not key:
            raise UserError(
                f'{option}: "{text}": must have key=value between its braces, not "{pair.strip()}"'
            )
        if first in OPEN_TABLES and "." in key:
            keys.append((key, value.strip()))
        elif first in fields and first != "kind":
            keys.append((f"schedule.{key}", value.strip()))
        else:
            allowed = (*(name for name in fields if name != "kind"), *(f"{name}.*" for name in OPEN_TABLES))
            near = did_you_mean(key, fields)
            raise UserError(f'{option}: "{text}": unknown key {key}; allowed: {", ".join(allowed)}{near}')
    given = match["label"]
    return ShortForm(given.strip() if given else text, kind, tuple(keys))


def schedule_kinds() -> dict[str, type[Table]]:
    """Return kind -> model of every schedule that a scenario may have."""
    union = get_args(Schedule)[0]
    return {get_args(table.model_fields["kind"].annotation)[0]: table for table in get_args(union)}


def _split(text: str, separator: str) -> list[str]:
    """Split at separators that stand outside of braces, brackets and quotes; what is empty is left out."""
    parts, depth, quote, start = [], 0, "", 0
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
        elif character == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [part for part in (*parts, text[start:]) if part.strip()]
