"""Which visits surely raise no alarm, found out on the fast path; all others are read on the plain path, which alone decides.

So nothing depends on the order in which the fast path adds up, nor on what it is asked together.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import Overlay
from lifesim.detection.criteria import Golden
from lifesim.detection.reading import TestRule
from lifesim.network.model import Model
from lifesim.network.walk import slack, walker_of


def surely_pass(
    model: Model,
    encoding: Encoding,
    states: Iterable[Overlay],
    pictures: np.ndarray,
    golden: Golden,
    rule: TestRule,
) -> np.ndarray:
    """Return which noise-free reads of ``pictures`` raise no alarm for certain (bool [states]).

    ``states``: what stands over the cells of ``model``, best in the order of time. False where the plain path has to look, or is as fast.
    """
    walker = walker_of(model, encoding)
    if walker is None:
        return np.zeros(len(states), bool)
    changes = walker.changes(states)
    if not walker.is_worth(changes):
        return np.zeros(len(states), bool)
    logits = walker.logits(changes, pictures)
    return ~rule.may_alarm(golden, softmax(logits), slack(logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return confidences [..., classes]."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
