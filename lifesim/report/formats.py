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
        return _percent(size, sign, signed)
    if unit == "s":
        name, seconds = next((d for d in _DURATIONS if d[1] <= size), _DURATIONS[-1])
        return f"{sign}{_three(size / seconds)} {name}"
    return f"{sign}{_three(size)}"


def half_width(low: float, high: float, unit: str) -> str:
    """Return half the width of an interval, in the unit of its mean."""
    return "" if math.isnan(low) else f"± {shown((high - low) / 2, unit, signed=True).lstrip('+')}"


def _percent(size: float, sign: str, difference: bool) -> str:
    """Write a share with as many digits as tell it from 100 %, a difference from nothing; three at most, and what they would hide is said."""
    small = size if difference or size < 0.5 else 1 - size
    digits = 1 if small >= 0.1 else 2 if small >= 0.01 else 3
    text, least = f"{size * 100:.{digits}f}", 10.0**-digits
    if size > 0 and float(text) == 0:
        return f"{sign}< {least:.{digits}f} %"
    if size < 1 and float(text) == 100 and not difference:
        return f"> {100 - least:.{digits}f} %"
    return f"{sign}{text} %"


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
