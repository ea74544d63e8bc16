"""Numbers as a person reads them. What is shown is rounded; the page carries every number in full beside it."""

from __future__ import annotations

import math

from lifesim.timeunits import S_PER_DAY, S_PER_H, S_PER_YEAR

NOTHING = "–"
_DURATIONS = (("y", S_PER_YEAR), ("d", S_PER_DAY), ("h", S_PER_H), ("min", 60), ("s", 1))


def shown(value: float | None, unit: str, signed: bool = False) -> str:
    """Return a number in a unit of a measure: shares in percent, seconds in the largest unit that they hold one of."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    size = abs(value)
    if unit == "1":
        return f"{sign}{_digits(size * 100, _percent_digits(size, signed))} %"
    if unit == "s":
        name, seconds = next((d for d in _DURATIONS if d[1] <= size), _DURATIONS[-1])
        return f"{sign}{_three(size / seconds)} {name}"
    return f"{sign}{_three(size)}"


def half_width(low: float, high: float, unit: str) -> str:
    """Return half the width of an interval, in the unit of its mean."""
    return "" if math.isnan(low) else f"± {shown((high - low) / 2, unit, signed=True).lstrip('+')}"


def _percent_digits(size: float, difference: bool) -> int:
    """Return with how many digits a share is written: as many as tell it from 100 %, or a difference from nothing."""
    small = size if difference or size < 0.5 else 1 - size
    return 1 if small >= 0.1 else 2 if small >= 0.01 else 3 if small >= 1e-4 or small == 0 else 6


def _digits(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def _three(value: float) -> str:
    """Return three significant digits, in full up to a million."""
    if value == 0:
        return "0"
    if value >= 1e6 or value < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa} × 10{_superscript(int(exponent))}"
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
