"""In spec or not, from some of the pictures: a sequential test that compares a device with the clean network, picture by picture.

Of the spec set the clean network gets ``right`` pictures right and ``wrong`` wrong. The device *loses* some of the former and *gains* some of the
latter; it is in spec if right - losses + gains reaches what is required. Pictures are seen in random order without replacement, so that
those lost among the right ones seen are hypergeometric, and those gained among the wrong ones, independently. For a pair (losses, gains) of
the whole set let

    R = P(seen | prior) / P(seen | pair) = prior(pair) / posterior(pair)

For the true pair it is a martingale that starts at 1 (Waudby-Smith and Ramdas, NeurIPS 2020; a supermartingale where the pair excludes some of
what the prior expects), so whenever and however often one looks, it reaches 1 / alpha with probability alpha at most (Ville). A pair whose R
does is ruled out; a device is in spec when every pair that is not has been, out of spec when every pair that is has been. Once all
pictures are seen, all pairs but the true one are impossible: R is infinite.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaln, gammaln

# A priori half as many pictures are lost, or gained, as the tolerance allows: devices are cared for, and it matters little (within 2 % of the
# pictures from a quarter to all). Jeffreys' prior beside it bounds what a broken device, to which that says nothing, costs: log 10.
_EXPECTED_SHARE_OF_TOLERANCE = 0.5
_CARED_FOR, _SHAPE = 0.9, 0.5


class Tally(NamedTuple):
    """Pictures seen: those that the clean network gets right and wrong, and of them those lost and gained. Whole numbers, or int64 [states]."""

    right: np.ndarray | int
    wrong: np.ndarray | int
    losses: np.ndarray | int
    gains: np.ndarray | int


class PairedTest:
    """The test for one clean network, spec set and requirement; ``confidence`` = 1 - alpha, and with 1 nothing but certainty is enough."""

    def __init__(self, right: int, wrong: int, required: int, confidence: float) -> None:
        self.right, self.wrong, self.required, self.confidence = right, wrong, required, confidence
        self._ruled_out = np.log(1.0 / (1.0 - confidence)) if confidence < 1.0 else np.inf
        self._log_factorial = gammaln(np.arange(max(right, wrong) + 2) + 1.0)
        self._gains = np.arange(wrong + 1)
        expected = _EXPECTED_SHARE_OF_TOLERANCE * max(right - required, 1)
        self._prior_of_losses, self._prior_of_gains = (_prior(expected, n) for n in (right, wrong))

    def verdicts(self, seen: Tally) -> np.ndarray:
        """Return 1 for in spec, -1 for out of spec, 0 for not known yet (int64 [states])."""
        seen = Tally(*map(np.atleast_1d, seen))
        required = np.full(len(seen.right), self.required)
        return np.where(self._reaches(seen, required), 1, np.where(self._falls_short(seen, required), -1, 0))

    def lowest(self, seen: Tally) -> np.ndarray:
        """Return the least number of correct pictures that is not ruled out (int64 [states])."""
        seen = Tally(*map(np.atleast_1d, seen))
        low, beyond = (
            np.zeros(len(seen.right), np.int64),
            np.full(len(seen.right), self.right + self.wrong + 1),
        )
        while (beyond - low > 1).any():
            middle = (low + beyond) // 2
            reaches = self._reaches(seen, middle)
            low, beyond = np.where(reaches, middle, low), np.where(reaches, beyond, middle)
        return low

    def _reaches(self, seen: Tally, count: np.ndarray) -> np.ndarray:
        """Return whether every pair with fewer than ``count`` correct pictures is ruled out (bool [states])."""
        too_many = self.right + self._gains - count[:, None] + 1
        return self._all_ruled_out(seen, np.maximum(too_many, _likeliest(self.right, seen)[:, None]))

    def _falls_short(self, seen: Tally, count: np.ndarray) -> np.ndarray:
        """Return whether every pair with ``count`` or more correct pictures is ruled out (bool [states])."""
        few_enough = self.right + self._gains - count[:, None]
        return self._all_ruled_out(seen, np.minimum(few_enough, _likeliest(self.right, seen)[:, None]))

    def _all_ruled_out(self, seen: Tally, losses: np.ndarray) -> np.ndarray:
        """Return whether, for each number of gains, the pair with ``losses`` [states, wrong + 1] is: the likeliest of those meant.

        R falls up to the likeliest number and rises beyond.
        """
        of_losses = self._log_ratio(losses, self.right, seen.right, seen.losses, self._prior_of_losses)
        of_gains = self._log_ratio(self._gains, self.wrong, seen.wrong, seen.gains, self._prior_of_gains)
        return ((of_losses + of_gains) >= self._ruled_out).all(axis=1)

    def _log_ratio(
        self,
        total: np.ndarray,
        pictures: int,
        seen: np.ndarray,
        hits: np.ndarray,
        prior: list[tuple[float, float, float]],
    ) -> np.ndarray:
        """Return ln R of ``total`` hits among ``pictures`` after ``hits`` of ``seen`` [states]; infinite where that cannot be."""
        log_marginal = np.logaddexp.reduce(
            [np.log(w) + betaln(hits + a, seen - hits + b) - betaln(a, b) for w, a, b in prior]
        )
        seen, hits, log_marginal = seen[:, None], hits[:, None], log_marginal[:, None]
        unseen, left = pictures - seen, total - hits
        possible = (left >= 0) & (left <= unseen)
        left, total = np.where(possible, left, 0), np.where(possible, total, 0)
        log_ratio = log_marginal + self._log_choose(pictures, total) - self._log_choose(unseen, left)
        return np.where(possible, log_ratio, np.inf)

    def _log_choose(self, n: np.ndarray | int, k: np.ndarray) -> np.ndarray:
        table = self._log_factorial
        return table[n] - table[k] - table[n - k]


def _prior(expected: float, pictures: int) -> list[tuple[float, float, float]]:
    """Return a mixture of beta distributions of the share of hits, as weights and shapes: beta-binomial in their number."""
    mean = min(0.5, expected / max(pictures, 1))
    return [(_CARED_FOR, _SHAPE, _SHAPE * (1.0 / mean - 1.0)), (1.0 - _CARED_FOR, 0.5, 0.5)]


def _likeliest(pictures: int, seen: Tally) -> np.ndarray:
    """Return the number of losses that makes those seen likeliest (int64 [states])."""
    likeliest = seen.losses * (pictures + 1) // np.maximum(seen.right, 1)
    return np.clip(likeliest, seen.losses, pictures - (seen.right - seen.losses))
