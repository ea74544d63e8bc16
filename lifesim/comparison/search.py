"""Find the settings of a schedule that are best by one measure, every candidate tried on the same replications, and say how sure that is.

Nothing here knows of scenarios: a candidate is a tuple of numbers, and ``evaluate`` gives its measure in each replication.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.stats import qmc

from lifesim.comparison.statistics import Interval, holm, mean_interval, paired_difference

Candidate = tuple[float, ...]
Evaluate = Callable[[Sequence[Candidate]], list[list[float]]]
"""From candidates, asked for together, to the measure of each in every replication; less is better."""

_DIGITS = 3
_REAL = 0.05
_GRID_SHARE = 0.5  # of the evaluations that are spread over the whole range first
_CLOSE_ENOUGH = 0.01  # of a dimension's range, on its scale


@dataclass(frozen=True, slots=True)
class Dimension:
    """One setting: from ``low`` to ``high``, both above 0 and searched on a logarithmic scale, or else on a plain one; ``whole`` numbers only if so."""

    name: str
    low: float
    high: float
    whole: bool = False

    @property
    def logarithmic(self) -> bool:
        return self.low > 0

    def at(self, share: float) -> float:
        """Return the value at a share of the range, rounded to three significant digits: nobody sets a clock finer."""
        share = min(max(share, 0.0), 1.0)
        if self.logarithmic:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        value = round(value) if self.whole else float(f"{value:.{_DIGITS}g}")
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A candidate with its measure: the ``interval`` over replications; its difference to the best, and the adjusted p-value of none."""

    candidate: Candidate
    values: tuple[float, ...]
    interval: Interval
    difference: Interval
    p_holm: float

    @property
    def as_good(self) -> bool:
        """Whether the replications do not tell it from the best."""
        return not self.p_holm < _REAL


@dataclass(frozen=True, slots=True)
class Found:
    """Every candidate that was tried, in the order of its settings, and which of them is best on the mean."""

    dimensions: tuple[Dimension, ...]
    evaluations: tuple[Evaluation, ...]
    best: Evaluation

    def as_good_range(self, dimension: int) -> tuple[float, float]:
        """Return the least and the greatest setting, of the candidates tried, that is not told from the best."""
        settings = [e.candidate[dimension] for e in self.evaluations if e.as_good]
        return min(settings), max(settings)


def search(evaluate: Evaluate, dimensions: Sequence[Dimension], evaluations: int) -> Found:
    """Return the best of about so many candidates.

    Half of them are spread over the range: evenly in one dimension, by Sobol's sequence in several. From the best of these on, Brent's bounded method
    between its neighbours (one dimension), or Nelder and Mead's (several), goes on. As all candidates are tried on the same replications, what is minimised is a
    fixed function, not a noisy one.
    """
    memory = _Memory(evaluate, dimensions)
    spread = max(3, round(evaluations * _GRID_SHARE))
    if len(dimensions) == 1:
        shares = np.linspace(0.0, 1.0, spread)
        memory.try_all([(share,) for share in shares])
        at = int(np.argmin([memory.mean((share,)) for share in shares]))
        bounds = shares[max(0, at - 1)], shares[min(spread - 1, at + 1)]
        optimize.minimize_scalar(
            lambda share: memory.mean((share,)),
            bounds=bounds,
            method="bounded",
            options={"maxiter": max(1, evaluations - spread), "xatol": _CLOSE_ENOUGH},
        )
    else:
        points = qmc.Sobol(len(dimensions), scramble=False).random_base2(
            max(1, math.ceil(math.log2(spread)))
        )[:spread]
        memory.try_all([tuple(point) for point in points])
        start = min(points, key=lambda point: memory.mean(tuple(point)))
        optimize.minimize(
            lambda share: memory.mean(tuple(share)),
            start,
            bounds=[(0.0, 1.0)] * len(dimensions),
            method="Nelder-Mead",
            options={
                "maxfev": max(1, evaluations - spread),
                "xatol": _CLOSE_ENOUGH,
                "fatol": 0.0,
                "initial_simplex": _simplex(start),
            },
        )
    return _judged(tuple(dimensions), memory.values)


def _simplex(start: np.ndarray, step: float = 0.2) -> np.ndarray:
    """Return a first simplex that lies in the unit cube."""
    corners = [start]
    for axis in range(len(start)):
        corner = np.array(start, float)
        corner[axis] += step if corner[axis] + step <= 1.0 else -step
        corners.append(corner)
    return np.array(corners)


class _Memory:
    """Tries each candidate once; candidates are asked for by shares of the ranges."""

    def __init__(self, evaluate: Evaluate, dimensions: Sequence[Dimension]):
        self._evaluate = evaluate
        self._dimensions = dimensions
        self.values: dict[Candidate, tuple[float, ...]] = {}

    def try_all(self, shares: Sequence[Sequence[float]]) -> None:
        new = list(dict.fromkeys(c for c in map(self._candidate, shares) if c not in self.values))
        if new:
            self.values |= zip(new, map(tuple, self._evaluate(new)), strict=True)

    def mean(self, shares: Sequence[float]) -> float:
        self.try_all([shares])
        return float(np.mean(self.values[self._candidate(shares)]))

    def _candidate(self, shares: Sequence[float]) -> Candidate:
        return tuple(d.at(float(share)) for d, share in zip(self._dimensions, shares, strict=True))


def _judged(dimensions: tuple[Dimension, ...], values: dict[Candidate, tuple[float, ...]]) -> Found:
    best = min(sorted(values), key=lambda candidate: float(np.mean(values[candidate])))
    others = [candidate for candidate in sorted(values) if candidate != best]
    differences = {c: paired_difference(values[c], values[best]) for c in others}
    adjusted = dict(zip(others, holm([differences[c].p_value for c in others]), strict=True))
    none = Interval(len(values[best]), 0.0, 0.0, 0.0, 0.0)
    evaluations = tuple(
        Evaluation(
            candidate,
            values[candidate],
            mean_interval(values[candidate]),
            none if candidate == best else differences[candidate].interval,
            1.0 if candidate == best else adjusted[candidate],
        )
        for candidate in sorted(values)
    )
    return Found(dimensions, evaluations, next(e for e in evaluations if e.candidate == best))
