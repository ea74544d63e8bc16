"""``python -m tests.benchmarks.beyond [detection|recovery|retraining|fleet]...``: measure, and print one table of point estimates, intervals and bars.

A part is a module with ``rows(quick)``, a list or a generator; a row has the keys of :data:`COLUMNS`, those that it has nothing for left out.
"""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich import box
from rich.console import Console
from rich.table import Table

PARTS = ("detection", "recovery", "retraining", "fleet")
COLUMNS = (
    "part", "case", "measure", "value", "low", "high", "n", "false_alarms", "false_low", "false_high", "false_n", "bar", "met", "note",
)  # fmt: skip
"""``low`` and ``high``: a 95 % interval. ``n``: of how many. Of a test, the share of false alarms likewise. ``met``: whether the bar is reached."""
_WIDTH = 220


def main(
    parts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PART]...", help=f"Any of: {', '.join(PARTS)}. [default: all]"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folders mnist and cifar10; without it, $LIFESIM_DATA_DIR."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: to see that it runs.")] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the table, with all digits.")
    ] = None,
) -> None:
    """Measure detection and recovery beyond the paper."""
    unknown = set(parts or ()) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    if data:
        os.environ["LIFESIM_DATA_DIR"] = str(data)
    found = []
    console = Console(width=_WIDTH)
    for part in parts or PARTS:
        began = time.process_time()
        measured = importlib.import_module(f"tests.benchmarks.beyond.{part}").rows(quick)
        for row in measured:
            found.append({"part": part, **row})
            if csv:
                # Again after every row: what is cut off leaves what it has found.
                pd.DataFrame(found, columns=list(COLUMNS)).to_csv(csv, index=False)
        console.print(f"{part}: {time.process_time() - began:.0f} s of processor time", highlight=False)
    console.print(_table(found))


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in COLUMNS:
        table.add_column(
            name, justify="right" if name not in ("part", "case", "measure", "bar", "met", "note") else "left"
        )
    before = None
    for row in rows:
        if before not in (None, row["case"]):
            table.add_section()
        cells = [_short(row.get(name)) for name in COLUMNS]
        table.add_row(*cells, style=None if row.get("met") is not False else "bold")
        before = row["case"]
    return table


def _short(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, int) or not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    typer.run(main)
