"""What states of a network answer correctly: found out on the fast path where the answer is clear, else on the plain path, which decides."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numba
import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.network.changes import Changes
from lifesim.network.dense import Multiplier
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.program import compile_program
from lifesim.network.walk import slack, walker_of

_AT_ONCE = 64  # dense copies: for memory
_TOGETHER = 8  # copies in doubt, shown all that is in doubt of any of them: mostly few pictures, and a call takes as many


def right_of_copies(
    model: Model,
    copies: Sequence[Sequence[np.ndarray]],
    pictures: np.ndarray,
    labels: np.ndarray,
    device: str,
) -> np.ndarray:
    """Return which pictures copies of ``model`` get right, on the plain path: bool [copies, m]."""
    logits = Evaluator.of(model, device).logits(copies, pictures)
    return logits.argmax(axis=2) == labels


def right_sooner(
    model: Model,
    copies: Sequence[Sequence[np.ndarray]],
    pictures: np.ndarray,
    labels: np.ndarray,
    device: str = "cpu",
) -> np.ndarray:
    """Return what :func:`right_of_copies` returns, of copies (int16 codes per layer) in which any weight may differ from ``model``."""
    program = compile_program(model.architecture) if device == "cpu" else None
    if program is None:
        return right_of_copies(model, copies, pictures, labels, device)
    logits = Multiplier(model, program).logits_of_copies(copies, pictures)
    most = np.array([4.0 * slack(of_copy) for of_copy in logits], np.float32)
    right, unclear = np.empty((2, *logits.shape[:2]), bool)
    _tell(logits, labels, most, right, unclear)
    for copy, of_copy, shown in zip(copies, right, unclear, strict=True):
        if shown.any():
            of_copy[shown] = right_of_copies(model, [copy], pictures[shown], labels[shown], device)[0]
    return right


def right_of_states(
    model: Model,
    encoding: Encoding,
    changes: Changes,
    which: np.ndarray,
    pictures: np.ndarray,
    labels: np.ndarray,
    device: str = "cpu",
) -> np.ndarray:
    """Return which pictures states ``which`` (ascending) of ``changes`` from ``model`` get right: bool [which, m], as on the plain path."""
    walker = walker_of(model, encoding) if device == "cpu" else None
    right = np.empty((len(which), len(pictures)), bool)
    if walker is None:
        for first in range(0, len(which), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            copies = [changes.codes_of(int(state), model.codes) for state in which[some]]
            right[some] = right_of_copies(model, copies, pictures, labels, device)
        return right
    logits = walker.logits(changes, pictures, which)
    # Both may be off by twice the slack of confidences, and by that of a state on the way; what is not a number is not clear either.
    most = np.maximum.accumulate([4.0 * slack(of_state) for of_state in logits]).astype(np.float32)
    unclear = np.empty_like(right)
    _tell(logits, labels, most, right, unclear)
    states = np.flatnonzero(unclear.any(axis=1))
    all_copies = changes.copies(which[states].tolist(), model.codes)
    for first in range(0, len(states), _TOGETHER):
        rows = states[first : first + _TOGETHER]
        shown = np.flatnonzero(unclear[rows].any(axis=0))
        copies = list(islice(all_copies, len(rows)))
        right[np.ix_(rows, shown)] = right_of_copies(model, copies, pictures[shown], labels[shown], device)
    return right


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _tell(logits: Any, labels: Any, most: Any, right: Any, unclear: Any) -> None:
    """Tell from ``logits`` [states, m, classes] which pictures are right, and where the label is ahead or behind by no more than ``most`` [states]."""
    states, pictures, classes = logits.shape
    for s in range(states):
        for p in range(pictures):
            label, rival, number = labels[p], np.float32(-np.inf), True
            for c in range(classes):
                x = logits[s, p, c]
                number &= x == x
                if c != label:
                    rival = max(rival, x)
            ahead = logits[s, p, label] - rival
            right[s, p] = ahead > 0
            unclear[s, p] = not (number and abs(ahead) > most[s])
