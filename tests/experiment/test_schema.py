"""The dictionary of columns: units in names, and a meaning for each."""

from __future__ import annotations

import pytest

from lifesim.experiment import schema

TABLES = {
    name: getattr(schema, name.upper())
    for name in ("fleet", "groups", "devices", "survival", "rates", "layers", "events")
}
SUFFIXES = {"s": "_s", "ns": "_ns", "B": "_bytes", "J": "_j", "h": "_h", "FIT": "_fit"}
WITHOUT_SUFFIX = {"1", ""}  # shares, and counts and names


@pytest.mark.parametrize("table", TABLES)
def test_names_carry_their_unit(table: str) -> None:
    """A name ends with the suffix of its unit, and of no other; only a share may say that it is one."""
    for name, column in TABLES[table].items():
        assert column.unit in SUFFIXES or column.unit in WITHOUT_SUFFIX, name
        for unit, suffix in SUFFIXES.items():
            assert name.endswith(suffix) == (column.unit == unit), name
        if name.endswith("_share"):
            assert column.unit == "1", name


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_explained(table: str) -> None:
    for name, column in TABLES[table].items():
        assert name == name.lower() and " " not in name
        assert len(column.meaning) > 5 and not column.meaning.endswith("."), name


def test_the_states_are_those_of_the_fleet() -> None:
    from lifesim.fleet.records import State

    serving = {"in_spec", "out_known", "out_silent"}
    assert set(schema.STATES) - serving == {state.value for state in State} - {State.SERVING.value}
    # Availability is taken as the first three, in-spec availability as the first.
    assert list(schema.STATES)[:3] == ["in_spec", "out_known", "out_silent"]


def test_survival_and_rates_are_of_the_same_measures() -> None:
    assert set(schema.FAILURES.values()) <= set(schema.MEASURES)
    for measure in schema.MEASURES:
        assert f"{measure}: " in schema.SURVIVAL["measure"].meaning
    for failure in schema.FAILURES:
        assert f"{failure}: " in schema.RATES["failure"].meaning


def test_groups_are_the_fleet_s_columns_after_the_name() -> None:
    assert list(schema.GROUPS) == ["group", *schema.FLEET]
