"""Quantities: numbers in the key's unit, text with a unit, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from lifesim.scenario.units import UNITS, Quantity, readable_duration

DURATION = Quantity("s")
SIZES = {"ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "ms": Fraction(1, 1000), "s": Fraction(1)}
SIZES |= {"min": Fraction(60), "h": Fraction(3600), "d": Fraction(86_400), "y": Fraction(365 * 86_400)}


@pytest.mark.parametrize(
    ("base", "text", "expected"),
    [
        ("s", "7 d", 604_800.0),
        ("s", "5 y", 5 * 365 * 86_400.0),
        ("s", "30min", 1800.0),
        ("s", " 100 ms ", 0.1),
        ("s", "0.1 d", 8640.0),
        ("s", "1e3 h", 3_600_000.0),
        ("bit/s", "250 kbit/s", 250_000.0),
        ("bit/s", "1.5 Mbit/s", 1_500_000.0),
        ("C", "-5.5 C", -5.5),
        ("C", "55 °C", 55.0),
        ("eV", "1.5 eV", 1.5),
    ],
)
def test_text_with_a_unit(base: str, text: str, expected: float) -> None:
    assert Quantity(base).parse(text) == expected


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_bare_number_is_in_the_base_unit(number: float) -> None:
    if abs(number) < 10**300:
        assert DURATION.parse(number) == number


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=10**9, places=3), st.sampled_from(sorted(SIZES)))
def test_text_is_the_nearest_float_to_its_exact_value(number, unit: str) -> None:
    assert DURATION.parse(f"{number} {unit}") == float(Fraction(number) * SIZES[unit])


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=999), st.sampled_from(sorted(SIZES)))
def test_a_readable_duration_reads_back(number: int, unit: str) -> None:
    seconds = DURATION.parse(f"{number} {unit}")
    assert DURATION.parse(readable_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize("given", ["3 weeks", "3 D", "3 kbit/s", "3 C", "3"])
def test_a_wrong_or_missing_unit_lists_the_units(given: str) -> None:
    with pytest.raises(PydanticCustomError, match=r"unit.*units: ns, us, ms, s, min, h, d, y"):
        DURATION.parse(given)


def test_units_are_told_by_their_case() -> None:
    with pytest.raises(PydanticCustomError, match=r"unknown unit 'mbit/s'.*did you mean 'Mbit/s'\?"):
        Quantity("bit/s").parse("3 mbit/s")


@pytest.mark.parametrize(
    "given", [True, None, [], {}, "", "d", "seven days", "1 2 d", "nan d", "0x10 s", "1e9999 d"]
)
def test_what_is_no_quantity_is_refused(given: object) -> None:
    with pytest.raises(PydanticCustomError):
        DURATION.parse(given)


@pytest.mark.parametrize("given", [float("nan"), float("inf"), -float("inf"), 10**400, "1e308 y"])
def test_only_finite_values(given: object) -> None:
    with pytest.raises(PydanticCustomError, match="finite"):
        DURATION.parse(given)


def test_bounds_include_or_exclude_their_value() -> None:
    open_below, closed = Quantity("s", above="1 min", most="1 h"), Quantity("s", least="1 min")
    assert open_below.parse("1 h") == 3600
    assert closed.parse(60) == 60
    for quantity, outside in ((open_below, 60), (open_below, "61 min"), (closed, 59.999)):
        with pytest.raises(PydanticCustomError, match="1 min"):
            quantity.parse(outside)


def test_every_base_is_one_of_its_units() -> None:
    assert all(units[base] == 1 for base, units in UNITS.items())
