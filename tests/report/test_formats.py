"""Numbers as they are shown."""

import math

import pytest

from lifesim.report.formats import half_width, shown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.41360, "1", "41.4 %"),
        (0.96415, "1", "96.41 %"),
        (0.998074, "1", "99.807 %"),
        (0.99999998, "1", "> 99.999 %"),
        (1.0, "1", "100.000 %"),
        (0.0, "1", "0.000 %"),
        (2e-9, "1", "< 0.001 %"),
        (0.00193, "1", "0.193 %"),
        (3 * 86_400.0, "s", "3 d"),
        (0.25, "s", "0.25 s"),
        (2.5 * 365 * 86_400, "s", "2.5 y"),
        (12.345, "a device and year", "12.3"),
        (4745.3, "a cell and year", "4,745"),
        (1.96e-4, "J", "1.96 × 10⁻⁴"),
        (3.2e9, "B", "3.20 × 10⁹"),
        (0.0, "B", "0"),
        (None, "B", "–"),
        (math.nan, "1", "–"),
        (math.inf, "1", "∞"),
    ],
)
def test_numbers(value, unit, text):
    assert shown(value, unit) == text


def test_differences_have_a_sign():
    assert shown(-0.034, "1", signed=True) == "−3.40 %"
    assert shown(0.5, "1", signed=True) == "+50.0 %"
    assert shown(-3600.0, "s", signed=True) == "−1 h"


def test_half_widths():
    assert half_width(0.90, 0.92, "1") == "± 1.00 %"
    assert half_width(0.99999, 0.999990001, "1") == "± < 0.001 %"
    assert half_width(math.nan, math.nan, "1") == ""
