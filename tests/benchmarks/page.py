"""Puts measured numbers into the tables of a page: ``python -m tests.benchmarks.page CSV PAGE``.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``, where NAME is a benchmark, or "machine", or "limit".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer


def main(
    csv: Annotated[Path, typer.Argument(help="What python -m tests.benchmarks has written.")],
    page: Annotated[Path, typer.Argument(help="A page whose tables are written anew.")],
) -> None:
    """Write the tables of a page anew; those of which the CSV has no rows stay as they are."""
    page.write_text(filled(page.read_text(encoding="utf-8"), pd.read_csv(csv)), encoding="utf-8")


def filled(text: str, rows: pd.DataFrame) -> str:
    """Return the text of a page with the numbers of ``rows`` in its tables."""
    tables = {str(name): rates(group) for name, group in rows.groupby("benchmark")}
    if "machine" in tables:
        tables["machine"] = machine(rows[rows["benchmark"] == "machine"])
    if "evaluation" in tables:
        tables["limit"] = limit(rows[rows["benchmark"] == "evaluation"])
    for name, table in tables.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda m, t=table: m[1] + t + m[2],
            text,
            flags=re.DOTALL,
        )
    return text


def rates(rows: pd.DataFrame) -> str:
    """Return a table of values with their ratios: a line a case, a column for each contender."""
    units = rows["unit"].unique()
    one_unit = f" ({units[0]})" if len(units) == 1 else ""

    def cell(row: pd.Series) -> str:
        unit = "" if one_unit else f" {row['unit']}"
        compared = pd.notna(row["ratio"]) and row["ratio_to"] != row["what"]
        return f"{_number(row['value'])}{unit}" + (f" (**{row['ratio']:.3g}** x)" if compared else "")

    return _table(rows, f"case{one_unit}", cell)


def limit(rows: pd.DataFrame) -> str:
    """Return a table of shares of the machine's own rate of multiplication."""
    return _table(rows[rows["matmul_share"].notna()], "case", lambda row: f"{row['matmul_share']:.0%}")


def machine(rows: pd.DataFrame) -> str:
    """Return what the numbers are of, in words."""
    return "".join(f"{r.case}; {r.what}: {r.value:.3g} {r.unit}.\n" for r in rows.itertuples())


def _table(rows: pd.DataFrame, corner: str, cell: Callable[[pd.Series], str]) -> str:
    cases, whats = rows["case"].unique(), rows["what"].unique()
    cells = {(row["case"], row["what"]): cell(row) for _, row in rows.iterrows()}
    lines = [[corner, *whats], ["---", *["---:"] * len(whats)]]
    lines += [[case, *(cells.get((case, what), "") for what in whats)] for case in cases]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    typer.run(main)
