"""When a test picture's confidences count as deviating (RRAMedy, "SDC-1" and "SDC-3 %").

Whatever decides is rounded to thousandths first, so that the last bits of floating point, which depend on shapes and processors,
never steer anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numba
import numpy as np

Criterion = Literal["sdc1", "sdc3"]
SDC3_THOUSANDTHS = 30  # "more than 3 %", absolute


@dataclass(frozen=True, slots=True)
class Golden:
    """What each test picture showed when the device was known to be good: top class (int16) and its confidence in thousandths (int32), [m]."""

    classes: np.ndarray
    thousandths: np.ndarray

    @classmethod
    def of(cls, confidences: np.ndarray) -> Golden:
        """Return the golden scores of ``confidences`` [m, classes]."""
        rounded = _thousandths(confidences)
        return cls(rounded.argmax(axis=-1).astype(np.int16), rounded.max(axis=-1))

    def is_that_of(self, other: Golden) -> bool:
        """Return whether both are the same scores."""
        return np.array_equal(self.classes, other.classes) and np.array_equal(
            self.thousandths, other.thousandths
        )


def deviates(criterion: Criterion, golden: Golden, confidences: np.ndarray) -> np.ndarray:
    """Return which pictures deviate (bool [..., m]) for confidences [..., m, classes].

    ``sdc1``: the top-ranked class differs from the golden one. ``sdc3``: that, or the confidence of the golden class has moved by more
    than 0.03. (Comparing the two maxima instead would miss badly broken networks that are confident of another class.)
    """
    rounded = _thousandths(confidences)
    # A network whose weights have drifted to huge values may overflow; what is not a number is not the golden class.
    changed = (rounded.argmax(axis=-1) != golden.classes) | np.isnan(confidences).any(axis=-1)
    if criterion == "sdc1":
        return changed
    of_golden_class = np.take_along_axis(rounded, _as_index(golden.classes, rounded), axis=-1)[..., 0]
    return changed | (np.abs(of_golden_class - golden.thousandths) > SDC3_THOUSANDTHS)


def may_deviate(criterion: Criterion, golden: Golden, confidences: np.ndarray, slack: float) -> np.ndarray:
    """Return which pictures deviate (bool [..., m]) for some confidences within ``slack`` of those given [..., m, classes]: see :func:`deviates`."""
    may = np.ones(confidences.shape[:-1], bool)
    if np.isfinite(slack):
        most_moved = SDC3_THOUSANDTHS if criterion == "sdc3" else np.iinfo(np.int32).max
        reads = np.ascontiguousarray(confidences, np.float32).reshape(-1, *confidences.shape[-2:])
        of_reads = may.reshape(reads.shape[:-1])
        _may_deviate(golden.classes, golden.thousandths, reads, np.float32(slack), most_moved, of_reads)
    return may


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _may_deviate(classes: Any, golden: Any, reads: Any, slack: Any, most_moved: int, may: Any) -> None:
    thousand = np.float32(1000.0)
    for r in range(reads.shape[0]):
        for p in range(reads.shape[1]):
            top = classes[p]
            low, high = (
                np.rint((reads[r, p, top] - slack) * thousand),
                np.rint((reads[r, p, top] + slack) * thousand),
            )
            # What is not finite is the plain path's to judge.
            deviates = not (abs(golden[p] - low) <= most_moved and abs(high - golden[p]) <= most_moved)
            for c in range(reads.shape[2]):
                rival = np.rint((reads[r, p, c] + slack) * thousand)
                # Of equals the first is on top: classes before the golden one must stay below it, those behind it may be equal.
                deviates |= not np.isfinite(rival) or (c < top and rival >= low) or (c > top and rival > low)
            may[r, p] = deviates


def progress(criterion: Criterion, golden: Golden, confidences: np.ndarray) -> np.ndarray:
    """Return how far each picture is on the way to deviating, in thousandths (int64 [..., m]) for confidences [..., m, classes].

    1000 or more where it deviates. By ``sdc1`` there is no way: it is 0 or 1000.
    """
    deviating = np.where(deviates(criterion, golden, confidences), 1000, 0)
    if criterion == "sdc1":
        return deviating
    rounded = _thousandths(confidences)
    of_golden_class = np.take_along_axis(rounded, _as_index(golden.classes, rounded), axis=-1)[..., 0]
    moved = np.abs(of_golden_class - golden.thousandths).astype(np.int64)
    return np.maximum(deviating, moved * 1000 // (SDC3_THOUSANDTHS + 1))


def score(golden: Golden, confidences: np.ndarray) -> np.ndarray:
    """Return by how much the confidences of the golden classes have moved, summed over the pictures: thousandths, int64 [...].

    ``confidences`` [..., m, classes]. What is not a number is no confidence.
    """
    rounded = _thousandths(confidences)
    of_golden_class = np.take_along_axis(rounded, _as_index(golden.classes, rounded), axis=-1)[..., 0]
    return np.abs(of_golden_class - golden.thousandths).sum(axis=-1, dtype=np.int64)


def _thousandths(confidences: np.ndarray) -> np.ndarray:
    return np.rint(np.nan_to_num(confidences, nan=0.0) * 1000.0).astype(np.int32)


def _as_index(classes: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(classes.astype(np.intp)[:, None], (*like.shape[:-1], 1))
