"""Which visits surely raise no alarm, found out on the fast path; all others are read on the plain path, which alone decides.

So nothing depends on the order in which the fast path adds up, nor on what it is asked together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import Ageing, Overlay
from lifesim.detection.criteria import Golden
from lifesim.detection.reading import ReadNoise, TestRule
from lifesim.network.model import Model
from lifesim.network.noisy import noisy_reader_of
from lifesim.network.walk import slack, walker_of


def surely_pass(
    model: Model,
    encoding: Encoding,
    states: Sequence[Overlay | Ageing],
    pictures: np.ndarray,
    golden: Golden,
    rule: TestRule,
    noise: ReadNoise,
    keys: Sequence[int],
) -> np.ndarray:
    """Return which reads of ``pictures`` raise no alarm for certain (bool [states]).

    ``states``: what stands over the cells of ``model``, best in the order of time; ``keys`` of their read noise (:meth:`ReadNoise.first_key`).
    False where the plain path has to look.
    """
    walker = walker_of(model, encoding)
    if walker is None:
        return np.zeros(len(keys), bool)
    if noise.sigma:
        reader = noisy_reader_of(model, encoding, noise.kind)
        logits = reader.logits(walker.changes(states, independent=True), pictures, noise.sigma, keys)
    else:
        logits = walker.logits(walker.changes(states), pictures)
    return ~rule.may_alarm(golden, softmax(logits), slack(logits))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return confidences [..., classes]."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
