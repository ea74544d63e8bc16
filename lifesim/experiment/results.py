"""A run's results: the files of a result directory, and pandas frames of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lifesim.errors import UserError
from lifesim.experiment.summary_text import summary_text

FILES = (
    "fleet.csv",
    "groups.csv",
    "devices.csv",
    "survival.csv",
    "rates.csv",
    "layers.csv",
    "events.parquet",
    "summary.json",
    "manifest.json",
)
ESTIMATES = "estimates.csv"
"""Written as well by a run with both fidelities."""


@dataclass(frozen=True)
class Result:
    """A finished run in ``directory``. The frames' columns, with units, are described in lifesim.experiment.schema and docs/outputs.md."""

    directory: Path

    @cached_property
    def fleet(self) -> pd.DataFrame:
        """One row a report time, the whole fleet."""
        return _read(self.directory / "fleet.csv")

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row a group and report time."""
        return _read(self.directory / "groups.csv")

    @cached_property
    def devices(self) -> pd.DataFrame:
        """One row a device."""
        return _read(self.directory / "devices.csv")

    @cached_property
    def survival(self) -> pd.DataFrame:
        """Kaplan-Meier curves."""
        return _read(self.directory / "survival.csv")

    @cached_property
    def rates(self) -> pd.DataFrame:
        """Failure rates: one row a group and kind of failure."""
        return _read(self.directory / "rates.csv")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """Wear: one row a group and bank of cells."""
        return _read(self.directory / "layers.csv")

    @cached_property
    def events(self) -> pd.DataFrame:
        """The trace."""
        return pd.read_parquet(self.directory / "events.parquet")

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers that the run printed at its end."""
        return json.loads((self.directory / "summary.json").read_text(encoding="utf-8"))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was run: the scenario in full, its hash, the seed, versions, and whether it finished."""
        return json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))

    def summary_text(self) -> str:
        """Return the summary as sentences for a person."""
        return summary_text(self.summary)


def read_result(directory: str | Path) -> Result:
    """Return the result that a run wrote to ``directory``. Raises UserError if there is none, or if the run did not finish."""
    directory = Path(directory)
    if not (directory / "manifest.json").is_file():
        raise UserError(f"{directory}: no manifest.json: not the result directory of a run")
    result = Result(directory)
    if result.manifest["status"] != "finished":
        raise UserError(f"{directory}: the run is {result.manifest['status']}, not finished")
    return result


def _read(path: Path) -> pd.DataFrame:
    """Read one of a run's CSVs: a group or layer that is called NA or 007 keeps its name; times are floats, whole seconds or not."""
    columns = pd.read_csv(path, nrows=0).columns
    types = {column: float for column in columns if column.endswith("_s")} | {"group": str, "layers": str}
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
