"""Short forms of schedules: generic over kinds and keys, and what is wrong with one is said in a line."""

from pathlib import Path
from typing import get_args

import pytest

from lifesim.comparison.alternatives import (
    ShortForm,
    load_alternatives,
    parse_schedule,
    parse_schedules,
    schedule_kinds,
)
from lifesim.errors import UserError
from lifesim.scenario.load import load_scenario

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
TWO_SITES = QUICKSTART.with_name("two_sites.toml")


def schedules(text, **more):
    return {
        a.label: next(iter(a.scenario.group.values())).schedule.model_dump()
        for a in load_alternatives(QUICKSTART, text, **more)
    }


def test_kinds_are_those_of_the_scenario():
    kinds = schedule_kinds()
    assert {"never", "periodic", "march_scrub", "readback", "blind_refresh"} <= kinds.keys()
    assert all(get_args(table.model_fields["kind"].annotation) == (kind,) for kind, table in kinds.items())


def test_forms():
    assert schedules("never, periodic:7d,readback{interval_s=1 d, alarm_cells=20},blind_refresh:30d") == {
        "never": {"kind": "never"},
        "periodic:7d": {"kind": "periodic", "interval_s": 604_800.0},
        "readback{interval_s=1 d, alarm_cells=20}": {
            "kind": "readback",
            "interval_s": 86_400.0,
            "alarm_cells": 20,
        },
        "blind_refresh:30d": {"kind": "blind_refresh", "interval_s": 2_592_000.0},
    }


def test_a_label_and_keys_of_the_group():
    (one,) = load_alternatives(
        QUICKSTART, "often and much=periodic:1d{aet.pictures=64,policy.call={kind='every_n',faults=3}}"
    )
    group = one.scenario.group["cameras"]
    assert one.label == "often and much"
    assert (group.schedule.interval_s, group.aet.pictures, group.policy.call.faults) == (86_400.0, 64, 3)


def test_the_scenarios_own_schedule_with_something_changed():
    own, other = load_alternatives(QUICKSTART, "scenario,scenario{aet.pictures=32}")
    assert own.scenario == load_scenario(QUICKSTART)
    assert other.scenario.group["cameras"].schedule == own.scenario.group["cameras"].schedule
    assert other.scenario.group["cameras"].aet.pictures == 32


@pytest.mark.parametrize("kind", sorted(schedule_kinds()))
def test_every_kind_has_a_form(kind):
    """With a time where it takes one; keys that have no default are given by whoever asks."""
    needed = {"custom": "{class=a:b}"}.get(kind, "")
    takes_time = any(key.endswith("_s") for key in schedule_kinds()[kind].model_fields)
    form = parse_schedule(f"{kind}{':9d' if takes_time else ''}{needed}")
    assert form.kind == kind
    assert [value for _, value in form.keys if value == "9d"] == ["9d"] * takes_time


def test_nothing_else_differs():
    never, weekly = load_alternatives(QUICKSTART, "never,periodic:7d", ["group.cameras.count=3"], seed=5)
    assert never.scenario.group["cameras"].count == 3
    assert never.scenario.seed == 5
    put_back = {
        "cameras": never.scenario.group["cameras"].model_copy(
            update={"schedule": weekly.scenario.group["cameras"].schedule}
        )
    }
    assert never.scenario.model_copy(update={"group": put_back}) == weekly.scenario


def test_all_groups_or_those_named():
    base = load_scenario(TWO_SITES)
    first, *others = base.group
    (everywhere,) = load_alternatives(TWO_SITES, "never")
    assert {g.schedule.kind for g in everywhere.scenario.group.values()} == {"never"}
    (here,) = load_alternatives(TWO_SITES, "never", groups=[first])
    assert here.scenario.group[first].schedule.kind == "never"
    assert all(here.scenario.group[name] == base.group[name] for name in others)


def test_what_is_parsed():
    assert parse_schedule(" periodic:7 d ") == ShortForm(
        "periodic:7 d", "periodic", (("schedule.interval_s", "7 d"),)
    )
    assert [form.label for form in parse_schedules("a=never,,b=never,")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("periodical:7d", "did you mean 'periodic'?"),
        ("never:7d", "never takes no time"),
        (
            "periodic{interval=7d}",
            "unknown key interval; allowed: interval_s, aet.*, policy.*; did you mean 'interval_s'?",
        ),
        ("periodic{kind=never}", "unknown key kind"),
        ("periodic{count=3}", "unknown key count"),
        ("periodic{7d}", "must have key=value between its braces"),
        ("periodic:", "must be KIND, KIND:TIME"),
        ("periodic{interval_s=7d", "must be KIND, KIND:TIME"),
        ("periodic:7d,periodic:7d", "stands there twice"),
        ("", "must be"),
        ("periodic:soon", '--schedules: group.cameras.schedule.interval_s = "soon": must be a number'),
        ("periodic", "schedule.interval_s: is missing"),
        ("periodic:7d{aet.pictres=3}", "unknown key"),
        ("periodic:7d{aet.vote=99}", "no more than the 16 pictures"),
    ],
)
def test_mistakes_are_said_in_a_line(text, problem):
    with pytest.raises(UserError) as caught:
        load_alternatives(QUICKSTART, text)
    assert problem in str(caught.value)
    assert "--schedules" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_group_that_is_not_there():
    with pytest.raises(UserError, match="--group: no group 'camera' .*did you mean 'cameras'"):
        load_alternatives(QUICKSTART, "never", groups=["camera"])
