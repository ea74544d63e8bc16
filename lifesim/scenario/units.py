"""Quantities of a scenario file: a number in the key's own unit, or text with a unit ("7 d", "250 kbit/s").

A key's last part names its unit (``horizon_s``, ``uplink_bps``, ``mean_c``); a bare number is in that unit.
A year is 365 days exactly. Conversion is decimal, so that "0.1 d" is the float nearest to 8640.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from lifesim.errors import did_you_mean
from lifesim.timeunits import S_PER_DAY, S_PER_H, S_PER_YEAR

_TEXT = re.compile(r"\s*(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(?P<unit>\D.*?)?\s*")

UNITS: dict[str, dict[str, Decimal]] = {
    "s": {
        "ns": Decimal("1e-9"),
        "us": Decimal("1e-6"),
        "ms": Decimal("1e-3"),
        "s": Decimal(1),
        "min": Decimal(60),
        "h": Decimal(S_PER_H),
        "d": Decimal(S_PER_DAY),
        "y": Decimal(S_PER_YEAR),
    },
    "bit/s": {
        "bit/s": Decimal(1),
        "kbit/s": Decimal(10**3),
        "Mbit/s": Decimal(10**6),
        "Gbit/s": Decimal(10**9),
    },
    "C": {"C": Decimal(1), "°C": Decimal(1)},
    "eV": {"eV": Decimal(1)},
}
"""Base unit (what a bare number means) -> allowed units and their size in the base unit."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Annotation of a float field: which units its text may carry, and the range of its values.

    ``above`` excludes its value, ``least`` and ``most`` include it; texts with a unit, as the user sees them.
    """

    base: str
    above: str | None = None
    least: str | None = None
    most: str | None = None

    def parse(self, given: Any) -> float:
        """Return ``given`` in the base unit. Raises PydanticCustomError with a message for users."""
        value = self._convert(given)
        if (
            (self.above is not None and not value > self._convert(self.above))
            or (self.least is not None and not value >= self._convert(self.least))
            or (self.most is not None and not value <= self._convert(self.most))
        ):
            raise _error(f"must be {self._range()}")
        return value

    def expected(self) -> str:
        """Say in words what is allowed."""
        example = {"s": "7 d", "bit/s": "250 kbit/s", "C": "55 C", "eV": "1.5 eV"}[self.base]
        units = ", ".join(UNITS[self.base])
        what = f'a number (in {self.base}) or text with a unit such as "{example}" (units: {units})'
        return ", ".join(filter(None, [what, self._range()]))

    def _range(self) -> str:
        bounds = (("above", self.above), ("from", self.least), ("up to", self.most))
        return " ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)

    def _convert(self, given: Any) -> float:
        units = UNITS[self.base]
        if isinstance(given, bool) or not isinstance(given, (int, float, str)):
            raise _error(f"must be {self.expected()}")
        if isinstance(given, str):
            match = _TEXT.fullmatch(given)
            if match is None:
                raise _error(f"must be {self.expected()}")
            unit = match["unit"]
            if unit is None:
                raise _error(f"has no unit; units: {', '.join(units)}")
            if unit not in units:
                same = [known for known in units if known.lower() == unit.lower()]
                near = f"; did you mean {same[0]!r}?" if same else did_you_mean(unit, units)
                raise _error(f"unknown unit {unit!r}; units: {', '.join(units)}{near}")
            value = float(Decimal(match["number"]) * units[unit])
        else:
            value = float(given) if abs(given) < 10**300 else math.inf
        if not math.isfinite(value):
            raise _error("must be a finite number")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.parse, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        number: dict[str, Any] = {"type": "number"}
        for keyword, bound in (
            ("exclusiveMinimum", self.above),
            ("minimum", self.least),
            ("maximum", self.most),
        ):
            if bound is not None:
                number[keyword] = self._convert(bound)
        units = "|".join(re.escape(unit) for unit in UNITS[self.base])
        text = {
            "type": "string",
            "pattern": rf"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{{1,3}})?\s*({units})\s*$",
        }
        return {"anyOf": [number, text]}


def readable_duration(seconds: float) -> str:
    """Return a duration in the largest unit that it holds one of, to six digits: "26.28 min", "10 y"."""
    sizes = [(unit, float(size)) for unit, size in UNITS["s"].items() if float(size) <= seconds]
    unit, size = sizes[-1] if sizes else ("s", 1.0)
    return f"{seconds / size:g} {unit}"


def _error(message: str) -> PydanticCustomError:
    return PydanticCustomError("quantity", "{message}", {"message": message})
