"""How a network responds to harm: what a test shows and what the accuracy loses, each as a distribution, fitted to evaluations.

Two devices with the same harm do not show the same: which pictures it hits differs. So what is fitted is the whole distribution given the harm, by its
quantiles; a device has a place in it, a number in (0, 1) of its own, and keeps it while its harm grows.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy import special
from scipy.optimize import isotonic_regression

from lifesim.streams import generator

LEVELS = (np.arange(33) + 0.5) / 33
_GRID = 96
COURSES = 256
_PER_BIN = 40  # samples; fewer make a bin's quantiles a guess


@dataclass(frozen=True, eq=False, slots=True)
class Quantiles:
    """Quantiles ``values`` [grid, LEVELS] of something that does not decrease with the harm, at ``log_harm`` [grid]."""

    log_harm: np.ndarray
    values: np.ndarray

    @classmethod
    def fit(cls, harm: np.ndarray, shown: np.ndarray) -> Quantiles:
        """Return the quantiles of what has been ``shown`` at each ``harm`` > 0: in bins of as many samples each, in units of the root of the harm."""
        order = np.argsort(harm, kind="stable")
        x, unit = np.log(harm[order]), shown[order] / np.sqrt(harm[order])
        bins = np.array_split(np.arange(len(x)), max(2, len(x) // _PER_BIN))
        at = np.array([np.median(x[of_bin]) for of_bin in bins])
        quantiles = np.array([np.quantile(unit[of_bin], LEVELS) for of_bin in bins])
        grid = np.linspace(at[0], at[-1], _GRID)
        values = np.stack([np.interp(grid, at, quantiles[:, i]) for i in range(len(LEVELS))], axis=1)
        return cls(grid, np.maximum.accumulate(values * np.exp(grid / 2)[:, None], axis=0))

    def course(self, place: float) -> np.ndarray:
        """Return what a device with this place shows at ``log_harm``."""
        index = min(max(place * len(LEVELS) - 0.5, 0.0), len(LEVELS) - 1.0)
        low = min(int(index), len(LEVELS) - 2)
        return self.values[:, low] + (index - low) * (self.values[:, low + 1] - self.values[:, low])

    def courses(self, persistence: float, key: int) -> np.ndarray:
        """Return what devices show at ``log_harm`` whose places wander: [COURSES, grid], by growing mean place.

        ``persistence``: the correlation of a place, as a unit normal, with that at twice the harm. Harm comes in cells, so that a device leaps from
        place to place, and what it shows may fall as well as grow.
        """
        step = self.log_harm[1] - self.log_harm[0]
        z = generator(key).standard_normal((COURSES, len(self.log_harm)))
        kept = persistence ** (step / math.log(2))
        for i in range(1, z.shape[1]):
            z[:, i] = kept * z[:, i - 1] + math.sqrt(1 - kept**2) * z[:, i]
        z = z[np.argsort(z.mean(axis=1), kind="stable")]
        index = np.clip(special.ndtr(z) * len(LEVELS) - 0.5, 0.0, len(LEVELS) - 1.0)
        low = np.minimum(index.astype(np.int64), len(LEVELS) - 2)
        grid = np.arange(len(self.log_harm))
        below, above = self.values[grid, low], self.values[grid, low + 1]
        return below + (index - low) * (above - below)

    def shown(self, course: np.ndarray, harm: np.ndarray) -> np.ndarray:
        """Return what is shown at ``harm`` >= 0 on a course: in proportion to the root below the grid, no more than at its end above."""
        least = self.log_harm[0]
        with np.errstate(divide="ignore"):
            x = np.log(harm)
        found = np.interp(x, self.log_harm, course)
        return np.where(x < least, found * np.exp(np.minimum(x - least, 0.0) / 2), found)

    def places(self, harm: np.ndarray, shown: np.ndarray, ties: np.ndarray) -> np.ndarray:
        """Return the place that each sample has, in (0, 1); what has several equal quantiles is put among them by ``ties`` in (0, 1)."""
        found = np.empty(len(harm))
        for i, (h, y) in enumerate(zip(harm, shown, strict=True)):
            of_levels = np.array(
                [self.shown(self.values[:, q], np.array([h]))[0] for q in range(len(LEVELS))]
            )
            below, until = np.searchsorted(of_levels, y, "left"), np.searchsorted(of_levels, y, "right")
            found[i] = (below + ties[i] * (until - below + 1)) / (len(LEVELS) + 1)
        return found

    def mean(self, harm: np.ndarray) -> np.ndarray:
        """Return the mean of what is shown at each harm."""
        return np.mean([self.shown(self.values[:, q], harm) for q in range(len(LEVELS))], axis=0)

    def share_above(self, harm: np.ndarray, limit: float) -> np.ndarray:
        """Return with what probability more than ``limit`` is shown at each harm."""
        return np.mean([self.shown(self.values[:, q], harm) > limit for q in range(len(LEVELS))], axis=0)


@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """What read noise makes of a test: whether the first read alarms, and whether all reads do, by what one without noise shows.

    ``reached`` [grid] ascending, in units of what alarms; ``first``, ``confirmed`` [grid]: probabilities. ``score`` [grid]: of a read.
    """

    reached: np.ndarray
    first: np.ndarray
    confirmed: np.ndarray
    score: np.ndarray

    @classmethod
    def fit(cls, reached: np.ndarray, first: np.ndarray, confirmed: np.ndarray, score: np.ndarray) -> Reading:
        """Fit visits [n], each with what a read without noise has reached, and what happened."""
        edges = np.array(
            [0.0, 1e-9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, np.inf]
        )
        number = np.digitize(reached, edges) - 1
        there = np.unique(number)
        weights = np.array([(number == n).sum() for n in there], float)
        at, a, b, s = (
            np.array([of[number == n].mean() for n in there])
            for of in (
                np.minimum(reached, 3.0),
                first.astype(float),
                confirmed.astype(float),
                score.astype(float),
            )
        )
        a, b, s = (isotonic_regression(y, weights=weights).x for y in (a, b, s))
        return cls(at, np.maximum(a, b), b, s)

    def outcomes(self, reached: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities that the first read alarms, and that all do."""
        return np.interp(reached, self.reached, self.first), np.interp(reached, self.reached, self.confirmed)

    def scores(self, reached: np.ndarray) -> np.ndarray:
        """Return the mean score of a read."""
        return np.interp(reached, self.reached, self.score)


@dataclass(frozen=True, eq=False, slots=True)
class Retrained:
    """Redeployments of example devices, in order of their stuck cells [n].

    ``stuck``; ``in_spec`` by the cloud's validation; ``delta_bytes``, ``test_bytes``, ``pictures`` of the message; ``changed`` [n, banks] cells; ``lost``
    pictures of the spec set under the map, compared with the network as it was deployed; ``shown`` [m, ...] uint8: some of all their test pictures.
    """

    stuck: np.ndarray
    in_spec: np.ndarray
    delta_bytes: np.ndarray
    test_bytes: np.ndarray
    pictures: np.ndarray
    changed: np.ndarray
    lost: np.ndarray
    shown: np.ndarray

    def like(self, stuck: int, place: float) -> int:
        """Return the number of an example with about as many stuck cells; ``place`` in (0, 1) chooses among the nearest."""
        at = np.log1p(self.stuck)
        distance = np.abs(at - np.log1p(stuck))
        nearest = np.argsort(distance, kind="stable")[: min(4, len(at))]
        return int(nearest[min(int(place * len(nearest)), len(nearest) - 1)])


@dataclass(frozen=True, eq=False, slots=True)
class Response:
    """All that is known of a network: as deployed, and after a redeployment.

    ``reached``: by a test, in units of what alarms; ``lost``: pictures of the spec set. ``together``: correlation of a device's places in the two.
    ``persistence``: of its place in the first (:meth:`Quantiles.courses`).
    """

    reached: Quantiles
    lost: Quantiles
    reached_again: Quantiles
    lost_again: Quantiles
    reading: Reading
    together: float
    persistence: float
    retrained: Retrained | None

    def encode(self) -> bytes:
        """Return all of it as bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, **dict(_flat(self, "")))
        return buffer.getvalue()

    @classmethod
    def decode(cls, data: bytes) -> Response:
        """Read what :meth:`encode` has written. Raises ValueError, KeyError or OSError if it is anything else."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = dict(file)

        def part(kind: type, name: str) -> Any:
            return kind(**{f.name: arrays[f"{name}.{f.name}"] for f in fields(kind)})

        return cls(
            *(part(Quantiles, name) for name in ("reached", "lost", "reached_again", "lost_again")),
            part(Reading, "reading"),
            float(arrays["together"]),
            float(arrays["persistence"]),
            part(Retrained, "retrained") if "retrained.stuck" in arrays else None,
        )


def _flat(value: Any, prefix: str) -> Any:
    for f in fields(value):
        of_field = getattr(value, f.name)
        if of_field is None:
            continue
        if isinstance(of_field, np.ndarray | float):
            yield prefix + f.name, np.asarray(of_field)
        else:
            yield from _flat(of_field, f"{prefix}{f.name}.")
