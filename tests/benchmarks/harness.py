"""Measuring by turns: A B A B ..., so that a machine that slows down slows everybody down, and ratios taken round by round stay true.

A benchmark is a module with ``measure(repeats=5) -> list[dict]``. A row has the keys of :data:`COLUMNS`; those that are not given are empty.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

Row = dict[str, object]
COLUMNS = (
    "benchmark", "case", "what", "value", "unit", "lowest", "highest", "ratio", "ratio_to", "matmul_share", "repeats", "note",
)  # fmt: skip
"""``value``: a median, between ``lowest`` and ``highest``. ``ratio``: how many times better than ``ratio_to``, the median of the rounds'.
``matmul_share``: multiply-accumulates of the plain network a second, as a share of the machine's own rate."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that a contender took in each round."""

    cpu_s: list[float]
    wall_s: list[float]


def take_turns(
    contenders: Mapping[str, Callable[[], object]], repeats: int, warm_up: bool = True
) -> dict[str, Times]:
    """Run every contender once a round, ``repeats`` rounds; before, once without counting (compilers, caches)."""
    times = {name: Times([], []) for name in contenders}
    if warm_up:
        for run in contenders.values():
            run()
    for _ in range(repeats):
        for name, run in contenders.items():
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            times[name].wall_s.append(time.perf_counter() - wall)
            times[name].cpu_s.append(time.process_time() - cpu)
    return times


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """Return how many times faster than the reference, the median over rounds."""
    return statistics.median(r / s for s, r in zip(seconds, reference, strict=True))


def rate_row(
    benchmark: str, case: str, what: str, seconds: Sequence[float], count: float, unit: str, **others: object
) -> Row:
    """Return the row of a contender that gets ``count`` things done in ``seconds`` each round."""
    rates = [count / s for s in seconds]
    return {
        "benchmark": benchmark,
        "case": case,
        "what": what,
        "value": statistics.median(rates),
        "unit": unit,
        "lowest": min(rates),
        "highest": max(rates),
        "repeats": len(rates),
        **others,
    }


def seconds_row(benchmark: str, case: str, what: str, seconds: Sequence[float], **others: object) -> Row:
    """Return the row of something that takes ``seconds`` each round."""
    return {
        "benchmark": benchmark,
        "case": case,
        "what": what,
        "value": statistics.median(seconds),
        "unit": "s",
        "lowest": min(seconds),
        "highest": max(seconds),
        "repeats": len(seconds),
        **others,
    }


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows as a table with all columns; ValueError for a key that is none of them."""
    unknown = {key for row in rows for key in row} - set(COLUMNS)
    if unknown:
        raise ValueError(f"rows have keys that no column takes: {', '.join(sorted(unknown))}")
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write rows with all their digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame(rows).to_csv(path, index=False)


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Print rows, a rule between benchmarks; what several cases note alike is said once, below."""
    notes: list[str] = []
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("benchmark", "case", "what"):
        table.add_column(name)
    for name in ("value", "lowest", "highest"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for name in ("ratio", "of matmul", "repeats", "note"):
        table.add_column(name, justify="right")
    before = None
    for row in frame(rows).to_dict("records"):
        note = row["note"] if isinstance(row["note"], str) else ""
        if note and note not in notes:
            notes.append(note)
        if before not in (None, row["benchmark"]):
            table.add_section()
        share, times = row["matmul_share"], row["ratio"]
        table.add_row(
            str(row["benchmark"]) if row["benchmark"] != before else "",
            str(row["case"]),
            str(row["what"]),
            *(_short(row[key]) for key in ("value", "lowest", "highest")),
            str(row["unit"]),
            f"{times:.2f} x {row['ratio_to']}" if pd.notna(times) else "",
            f"{share:.1%}" if pd.notna(share) else "",
            _short(row["repeats"]),
            f"[{notes.index(note) + 1}]" if note else "",
        )
        before = row["benchmark"]
    console.print(table)
    for number, note in enumerate(notes, 1):
        console.print(f"[{number}] {note}", markup=False, highlight=False)


def _short(value: object) -> str:
    if not isinstance(value, int | float) or pd.isna(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
