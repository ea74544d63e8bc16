"""A comparison's results, read from its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lifesim.errors import UserError

MANIFEST = "comparison.json"
_NAMES = {
    column: str
    for column in (
        "schedule",
        "baseline",
        "measure",
        "unit",
        "verdict",
        "curve",
        "ending",
        "group",
        "layers",
        "x",
        "y",
    )
}


@dataclass(frozen=True)
class Comparison:
    """A finished comparison in ``directory``. The frames' columns are described in lifesim.comparison.schema and docs/outputs.md."""

    directory: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was compared: the scenario under each schedule, the baseline, how many replications."""
        return json.loads((self.directory / MANIFEST).read_text(encoding="utf-8"))

    def frame(self, name: str) -> pd.DataFrame:
        """Return one of the CSVs by its name without ``.csv``: comparison, pairs, replications, curves, spells, wear, pareto."""
        path = self.directory / f"{name}.csv"
        columns = pd.read_csv(path, nrows=0).columns
        types = {column: _NAMES[column] for column in columns if column in _NAMES}
        return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])


def read_comparison(directory: str | Path) -> Comparison:
    """Return the comparison that ``lifesim compare`` wrote to ``directory``. Raises UserError if there is none."""
    directory = Path(directory)
    if not (directory / MANIFEST).is_file():
        raise UserError(f"{directory}: no {MANIFEST}: not the directory of a finished comparison")
    return Comparison(directory)
