"""Which visits surely raise no alarm, found out on the fast path; all others are read on the plain path, which alone decides.

So nothing depends on the order in which the fast path adds up, nor on what it is asked together.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import Ageing, Overlay
from lifesim.detection.reading import ReadNoise, Readout
from lifesim.network.model import Model
from lifesim.network.noisy import noisy_reader_of
from lifesim.network.walk import slack, walker_of

_MOST_STATES = 1024  # in one call: their logits and changes take little memory


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """First reads of visits of one device.

    ``states``: what stands over the cells of ``model``, best in the order of time. ``golden``: what ``pictures`` should show. ``keys``: of the read
    noise of each visit (:meth:`ReadNoise.first_key`); any where there is none.
    """

    model: Model
    encoding: Encoding
    states: Sequence[Overlay | Ageing]
    pictures: np.ndarray
    golden: Any
    rule: Readout
    noise: ReadNoise
    keys: Sequence[int]


def surely_pass(windows: Sequence[Window]) -> list[np.ndarray]:
    """Return for each window which reads raise no alarm for certain (bool [visits]); where it is not, the plain path has to look.

    Windows of copies of one model that are shown the same pictures are evaluated in one call.
    """
    alike: dict[Hashable, list[int]] = {}
    for number, window in enumerate(windows):
        what = window.model.digest, window.encoding, id(window.pictures), window.noise
        alike.setdefault(what, []).append(number)
    found: dict[int, np.ndarray] = {}
    for numbers in alike.values():
        begins = np.cumsum([len(windows[number].keys) for number in numbers]) // _MOST_STATES
        for _, some in groupby(zip(begins.tolist(), numbers, strict=True), key=lambda pair: pair[0]):
            together = [number for _, number in some]
            found |= zip(together, _look_into([windows[number] for number in together]), strict=True)
    return [found[number] for number in range(len(windows))]


def _look_into(windows: Sequence[Window]) -> list[np.ndarray]:
    first = windows[0]
    walker = walker_of(first.model, first.encoding)
    if walker is None:
        return [np.zeros(len(window.keys), bool) for window in windows]
    noise, pictures = first.noise, first.pictures
    states = chain.from_iterable(window.states for window in windows)
    if noise.sigma:
        reader = noisy_reader_of(first.model, first.encoding, noise.kind)
        keys = [key for window in windows for key in window.keys]
        logits = reader.logits(walker.changes(states, independent=True), pictures, noise.sigma, keys)
    else:
        logits = walker.logits(walker.changes(states), pictures)
    ends = np.cumsum([len(window.keys) for window in windows])
    answers = softmax(logits) if first.rule.softmax else logits
    return [
        ~window.rule.may_alarm(window.golden, some, slack(of_window))
        for window, some, of_window in zip(
            windows, np.split(answers, ends[:-1]), np.split(logits, ends[:-1]), strict=True
        )
    ]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return confidences [..., classes]."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
