"""Which visits surely raise no alarm, found out on the fast path; all others are read on the plain path, which alone decides.

So nothing depends on the order in which the fast path adds up, nor on what it is asked together. Baselines and the first visits in doubt are read
here, too: the plain path takes copies of a network by the chunk, and of many windows there are many.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import Ageing, Overlay
from lifesim.detection.reading import ReadNoise, Readout
from lifesim.network.changes import Changes
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.noisy import noisy_reader_of
from lifesim.network.walk import slack, walker_of

_MOST_STATES = 1024  # in one call: their logits and changes take little memory


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """First reads of visits of one device.

    ``states``: what stands over the cells of ``model``, best in the order of time. ``golden``: what ``pictures`` should show; None for what the first of
    the states shows, which is that of a baseline, before all visits. ``keys``: of the read noise of each state (:meth:`ReadNoise.first_key`); any where
    there is none.
    """

    model: Model
    encoding: Encoding
    states: Sequence[Overlay | Ageing]
    pictures: np.ndarray
    golden: Any | None
    rule: Readout
    noise: ReadNoise
    keys: Sequence[int]


class Doubt(NamedTuple):
    """A visit of a window that does not surely pass, and what the plain path has read: whether it alarms, and its score."""

    position: int
    alarms: bool
    score: int


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What has been found out about a window: which visits pass for certain (bool [visits]), where it is not certain the plain path has to look.

    ``golden``: what the pictures should show; None if that has not been found out. ``doubts``: the first visits in doubt, up to one that alarms, as far as
    they have been read.
    """

    passes: np.ndarray
    golden: Any | None
    doubts: Sequence[Doubt] = ()


def look_into(windows: Sequence[Window]) -> list[Seen]:
    """Look into windows; those of copies of one model that are shown the same pictures are evaluated in one call."""
    alike: dict[Hashable, list[int]] = {}
    for number, window in enumerate(windows):
        what = window.model.digest, window.encoding, id(window.pictures), window.noise
        alike.setdefault(what, []).append(number)
    found: dict[int, Seen] = {}
    for numbers in alike.values():
        begins = np.cumsum([len(windows[number].keys) for number in numbers]) // _MOST_STATES
        for _, some in groupby(zip(begins.tolist(), numbers, strict=True), key=lambda pair: pair[0]):
            together = [number for _, number in some]
            found |= zip(together, _look_into([windows[number] for number in together]), strict=True)
    return [found[number] for number in range(len(windows))]


def _look_into(windows: Sequence[Window]) -> list[Seen]:
    first = windows[0]
    walker = walker_of(first.model, first.encoding)
    if walker is None:
        visits = (len(window.keys) - (window.golden is None) for window in windows)
        return [Seen(np.zeros(n, bool), w.golden) for n, w in zip(visits, windows, strict=True)]
    noise, pictures = first.noise, first.pictures
    states = chain.from_iterable(window.states for window in windows)
    changes = walker.changes(states, independent=bool(noise.sigma))
    if noise.sigma:
        reader = noisy_reader_of(first.model, first.encoding, noise.kind)
        keys = [key for window in windows for key in window.keys]
        logits = reader.logits(changes, pictures, noise.sigma, keys)
    else:
        logits = walker.logits(changes, pictures)
    begins = np.cumsum([0, *(len(window.keys) for window in windows)]).tolist()
    plain = _PlainReads(first, changes)
    baselines = [begin for begin, window in zip(begins, windows, strict=False) if window.golden is None]
    read = dict(zip(baselines, plain.of(baselines), strict=True))
    answers = softmax(logits) if first.rule.softmax else logits
    seen = []
    for number, window in enumerate(windows):
        begin, end, golden = begins[number], begins[number + 1], window.golden
        if golden is None:
            golden = window.rule.baseline(read[begin][None])
            begin += 1
        near = slack(logits[begin:end])
        passes = ~window.rule.may_alarm(golden, answers[begin:end], near)
        seen.append(Seen(passes, golden))
    if noise.sigma:
        return seen
    doubts = _doubts(windows, seen, begins[1:], plain)
    return [replace(of_one, doubts=read) for of_one, read in zip(seen, doubts, strict=True)]


def _doubts(
    windows: Sequence[Window], seen: Sequence[Seen], ends: Sequence[int], plain: _PlainReads
) -> list[list[Doubt]]:
    """Return the visits of each window (the last of whose states is before ``ends``) that are in doubt, up to one that alarms."""
    found: list[list[Doubt]] = [[] for _ in windows]
    left = [np.flatnonzero(~of_one.passes).tolist() for of_one in seen]
    while going_on := [number for number, positions in enumerate(left) if positions]:
        firsts = [ends[number] - len(seen[number].passes) for number in going_on]
        states = [first + left[number][0] for number, first in zip(going_on, firsts, strict=True)]
        for number, first, shown in zip(going_on, firsts, plain.of(states), strict=True):
            rule, golden, positions = windows[number].rule, seen[number].golden, left[number]
            alarms, score = bool(rule.alarms(golden, shown)), int(rule.score(golden, shown))
            read = positions[0]
            # What has not changed is in the same doubt.
            while positions and plain.alike(first + read, first + positions[0]):
                found[number].append(Doubt(positions.pop(0), alarms, score))
            if alarms:
                positions.clear()
    return found


class _PlainReads:
    """What states of copies of a window's model show on the plain path, without noise."""

    def __init__(self, window: Window, changes: Changes):
        self._window = window
        self._changes = changes

    def alike(self, state: int, later: int) -> bool:
        """Return whether nothing has changed between two states."""
        bounds = self._changes.bounds
        return bool(bounds[state, -1] == bounds[later, -1])

    def of(self, states: Sequence[int]) -> list[np.ndarray]:
        """Return the answers [pictures, classes] of states (ascending)."""
        window, answers = self._window, []
        if not states:
            return answers
        evaluator = Evaluator.of(window.model, encoding=window.encoding)
        answer = evaluator.confidences if window.rule.softmax else evaluator.logits
        copies = self._changes.copies(states, window.model.codes)
        while some := list(islice(copies, evaluator.copies_per_chunk)):
            answers += list(answer(some, window.pictures))
        return answers


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return confidences [..., classes]."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
