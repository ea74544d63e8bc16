"""What states of a network answer correctly: found out on the fast path where the answer is clear, else on the plain path, which decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.network.changes import Changes
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.walk import slack, walker_of

_AT_ONCE = 64  # dense copies: for memory


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
    # Both may be off by twice the slack of confidences; what is not a number is not clear either.
    most = 4 * slack(logits)
    of_label = np.take_along_axis(logits, labels[None, :, None], axis=2)[:, :, 0]
    np.put_along_axis(logits, labels[None, :, None], -np.inf, axis=2)
    ahead = of_label - logits.max(axis=2)
    right[:] = ahead > 0
    unclear = ~(np.abs(ahead) > most)
    for row in np.flatnonzero(unclear.any(axis=1)):
        shown = unclear[row]
        copy = changes.codes_of(int(which[row]), model.codes)
        right[row, shown] = right_of_copies(model, [copy], pictures[shown], labels[shown], device)[0]
    return right
