"""What the paper states, how sure a number of ours is, and what to say of the two.

One rule for all: a number *meets* a claim if all of its 95 % interval fulfils it, is *consistent* with it if part of the interval does, and else
*fails*. A number without an interval, which follows from a count, meets or fails.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of ours with its 95 % interval, from ``n`` independent observations."""

    ours: float
    low: float
    high: float
    n: int

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """Return a number that no chance is in."""
        return cls(value, value, value, 1)

    @classmethod
    def share(cls, count: int, of: int) -> Estimate:
        """Return a share with its interval (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
        interval = stats.binomtest(int(count), int(of)).proportion_ci(CONFIDENCE, method="wilson")
        return cls(count / of, float(interval.low), float(interval.high), int(of))

    @classmethod
    def mean(
        cls, values: Sequence[float] | np.ndarray, least: float = -math.inf, most: float = math.inf
    ) -> Estimate:
        """Return a mean with its t interval, cut to what is possible, ``least`` to ``most``; of fewer than two values, all of that."""
        values = np.asarray(values, float)
        mean, n = float(values.mean()), len(values)
        if n < 2:
            return cls(mean, least, most, n)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
        return cls(mean, max(least, mean - half), min(most, mean + half), n)


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that the paper states.

    item
        Table or figure.
    about
        Columns of the item's rows that it speaks of, and what they must hold.
    sense, tolerance
        ``value`` is at least, at most, or just what ours should be, give or take ``tolerance``.
    where
        Where the paper has it.
    """

    item: str
    about: Mapping[str, Any]
    value: float
    sense: Literal["at_least", "at_most", "equal"]
    tolerance: float
    where: str

    def speaks_of(self, row: Mapping[str, Any]) -> bool:
        """Whether it is about a row of its item's table."""
        return all(row.get(key) == wanted for key, wanted in self.about.items())

    def verdict(self, ours: Estimate) -> str:
        """Return meets, consistent or fails."""
        least = -math.inf if self.sense == "at_most" else self.value - self.tolerance
        most = math.inf if self.sense == "at_least" else self.value + self.tolerance
        if least <= ours.low and ours.high <= most:
            return "meets"
        return "consistent" if ours.high >= least and ours.low <= most and ours.low < ours.high else "fails"


@functools.cache
def claims() -> tuple[Claim, ...]:
    """Return all claims of paper.toml."""
    known = ("item", "value", "sense", "tolerance", "where")
    return tuple(
        Claim(
            table["item"],
            {key: value for key, value in table.items() if key not in known},
            table["value"],
            table["sense"],
            table.get("tolerance", 0.0),
            table["where"],
        )
        for table in paper()["claims"]
    )


@functools.cache
def paper() -> dict[str, Any]:
    """Return paper.toml."""
    return tomllib.loads(resources.files("lifesim.paper").joinpath("paper.toml").read_text(encoding="utf-8"))


def judged(item: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row (with ``ours``, ``low``, ``high``, ``n``) and beside it what the paper claims, where, and the verdict; empty where it claims nothing."""
    ours = Estimate(row["ours"], row["low"], row["high"], row["n"])
    for claim in claims():
        if claim.item == item and claim.speaks_of(row):
            return {**row, "paper": claim.value, "paper_where": claim.where, "verdict": claim.verdict(ours)}
    return {**row, "paper": None, "paper_where": "", "verdict": ""}
