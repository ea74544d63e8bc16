"""How much accuracy a test's score stands for: a monotone fit to examples of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEVER = 2**63 - 1
"""A score that no test reaches."""


@dataclass(frozen=True, slots=True)
class LossPredictor:
    """A step function that never falls: from ``scores[i]`` (int64, ascending) on, a loss of accuracy of ``losses[i]`` is expected."""

    scores: np.ndarray
    losses: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray, losses: np.ndarray) -> LossPredictor:
        """Return the least-squares fit among the functions that do not fall (isotonic regression).

        Pool adjacent violators (Ayer et al., Ann. Math. Stat. 26, 1955): neighbours that are the wrong way round are replaced by their mean
        until none is. ``scores`` are whole numbers [n], ``losses`` floats [n].
        """
        distinct, members, counts = np.unique(scores, return_inverse=True, return_counts=True)
        means = np.bincount(members, weights=losses) / counts
        pools: list[tuple[float, int, int]] = []  # mean, weight, number of scores
        for mean, count in zip(means.tolist(), counts.tolist(), strict=True):
            pool = (mean, count, 1)
            while pools and pools[-1][0] >= pool[0]:
                before, weight = pools.pop(), pool[1]
                total = before[1] + weight
                pool = ((before[0] * before[1] + pool[0] * weight) / total, total, before[2] + pool[2])
            pools.append(pool)
        fitted = np.repeat([mean for mean, _, _ in pools], [size for _, _, size in pools])
        return cls(distinct.astype(np.int64), fitted)

    def loss(self, score: int) -> float:
        """Return the expected loss, to thousandths: what is compared must not depend on the last bits of floating point."""
        at = max(int(np.searchsorted(self.scores, score, side="right")) - 1, 0)
        return round(float(self.losses[at]), 3)

    def least_score(self, above: float) -> int:
        """Return the lowest score from which the expected loss exceeds ``above``; ``NEVER`` if none does."""
        exceeding = (score for score in self.scores.tolist() if self.loss(score) > above)
        return next(exceeding, NEVER)
