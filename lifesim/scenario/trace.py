"""A temperature trace: a CSV file with the columns time_s and temperature_c."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, get_args

from pydantic_core import PydanticCustomError

from lifesim.scenario.table import Temperature
from lifesim.scenario.units import Quantity

TraceTime = Annotated[float, Quantity("s", least="0 s", most="1000 y")]
COLUMNS = {"time_s": TraceTime, "temperature_c": Temperature}
MOST_ROWS = 100_000
"""Eleven years by the hour. The trace becomes part of the scenario, and so of every manifest."""


class TraceError(ValueError):
    """A file is no trace; the message says why."""


def read_trace(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the times (s) and the temperatures (C) of a trace. Raises TraceError with a message for users."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise TraceError(f"no such file: {path}") from None
    except OSError as error:
        raise TraceError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path} is not UTF-8 text; must be a CSV file") from None
    try:
        rows = [(number, row) for number, row in enumerate(csv.reader(lines), start=1) if row]
    except csv.Error as error:
        raise TraceError(f"{path} is not a CSV file: {error}") from None
    header = tuple(name.strip() for name in rows[0][1]) if rows else ()
    if header != tuple(COLUMNS):
        found = f"not {','.join(header)}" if header else "but it is empty"
        raise TraceError(f"the first line of {path} must be {','.join(COLUMNS)}, {found}")
    if not 2 <= len(rows) - 1 <= MOST_ROWS:
        raise TraceError(
            f"{path} has {len(rows) - 1} rows below its first; must have from 2 up to {MOST_ROWS}"
        )
    try:
        samples = [_sample(number, row) for number, row in rows[1:]]
    except TraceError as error:
        raise TraceError(f"{path}, {error}") from None
    return tuple(time_s for time_s, _ in samples), tuple(temperature_c for _, temperature_c in samples)


def _sample(number: int, row: list[str]) -> tuple[float, float]:
    if len(row) != len(COLUMNS):
        raise TraceError(f"line {number}: must have {len(COLUMNS)} values, not {len(row)}")
    values = []
    for (column, kind), text in zip(COLUMNS.items(), row, strict=True):
        try:
            values.append(get_args(kind)[1].parse(float(text)))
        except PydanticCustomError as error:
            raise TraceError(f"line {number}: {column} = {text.strip()}: {error.message()}") from None
        except ValueError:
            raise TraceError(f"line {number}: {column} must be a number, not {text.strip()!r}") from None
    return values[0], values[1]
