"""Lifetime distributions, in the form that order statistics need.

Everything is expressed through the cumulative hazard ``H(x) = -ln(1 - F(x))``: the k-th smallest of n unit-exponential numbers is a
sum of independent spacings (Renyi 1953), and ``limit(H)`` maps it to the k-th smallest limit. ``H`` keeps its precision in the far
tail, where one cell in ten million fails and ``F`` itself would round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

_LN_2 = 0.6931471805599453


class LifeDistribution(Protocol):
    """What a population of cells needs to know about the distribution of its limits."""

    def limit(self, hazard: np.ndarray) -> np.ndarray:
        """Return the limit at which the cumulative hazard is ``hazard`` (monotone)."""

    def hazard(self, limit: np.ndarray) -> np.ndarray:
        """Return the cumulative hazard at ``limit``."""

    def limit_at(self, hazard: float) -> float:
        """Return :meth:`limit` of one number, to twelve digits, without numpy's overhead."""

    def scaled(self, factor: float) -> LifeDistribution:
        """Return the distribution of limits ``factor`` times as large."""


@dataclass(frozen=True, slots=True)
class Weibull:
    """Weibull limits: F(x) = 1 - exp(-(x / scale) ** shape); for endurance ``scale`` counts programming operations."""

    scale: float
    shape: float

    @classmethod
    def through(cls, share: float, limit: float, shape: float) -> Weibull:
        """Return the distribution of this shape by whose ``limit`` the ``share`` of the cells has failed: a point of its tail."""
        return cls(limit / (-math.log1p(-share)) ** (1.0 / shape), shape)

    def scaled(self, factor: float) -> Weibull:
        """Return the distribution of limits ``factor`` times as large."""
        return Weibull(self.scale * factor, self.shape)

    def limit(self, hazard: np.ndarray) -> np.ndarray:
        return self.scale * np.asarray(hazard) ** (1.0 / self.shape)

    def hazard(self, limit: np.ndarray) -> np.ndarray:
        return (np.asarray(limit) / self.scale) ** self.shape

    def limit_at(self, hazard: float) -> float:
        return self.scale * hazard ** (1.0 / self.shape)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lognormal limits with the given median and standard deviation of ln(x); for retention ``median`` is seconds at the reference temperature."""

    median: float
    sigma_ln: float

    @classmethod
    def through(cls, share: float, limit: float, sigma_ln: float) -> Lognormal:
        """Return the distribution of this sigma by whose ``limit`` the ``share`` of the cells has failed: a point of its tail."""
        return cls(limit * math.exp(-sigma_ln * float(special.ndtri(share))), sigma_ln)

    def scaled(self, factor: float) -> Lognormal:
        """Return the distribution of limits ``factor`` times as large."""
        return Lognormal(self.median * factor, self.sigma_ln)

    def limit(self, hazard: np.ndarray) -> np.ndarray:
        # ln F = ln(1 - exp(-H)); through expm1 and ndtri_exp neither tail rounds to 0 or 1.
        hazard = np.asarray(hazard, dtype=np.float64)
        with np.errstate(divide="ignore"):
            z = special.ndtri_exp(np.log(-np.expm1(-hazard)))
            if not (lower := hazard < _LN_2).all():
                z = np.where(lower, z, -special.ndtri_exp(-hazard))
        return self.median * np.exp(self.sigma_ln * z)

    def hazard(self, limit: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            z = np.log(np.asarray(limit, dtype=np.float64) / self.median) / self.sigma_ln
        return -special.log_ndtr(-z)

    def limit_at(self, hazard: float) -> float:
        upper = hazard >= _LN_2
        z = -special.ndtri_exp(-hazard) if upper else special.ndtri_exp(math.log(-math.expm1(-hazard)))
        return self.median * math.exp(self.sigma_ln * z)


def failed_share(distribution: LifeDistribution, limit: float | np.ndarray) -> np.ndarray:
    """Return F(limit), the expected share of cells whose limit is at most ``limit``."""
    return -np.expm1(-distribution.hazard(limit))
