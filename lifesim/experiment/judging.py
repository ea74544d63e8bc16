"""Judging states of devices on the spec set: how many of its pictures they get right, or from some of them, whether enough.

Pictures are looked at in pieces of 16, each device's in a random order of its own. How many pieces are looked at beforehand, whatever they show,
is decided beforehand; the estimate of the accuracy comes from these alone, so that it is unbiased although what is looked at after them
depends on what was seen (:mod:`lifesim.experiment.paired`).
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.experiment.paired import PairedTest, Tally
from lifesim.network.answers import right_of_copies, right_of_states
from lifesim.network.changes import Changes
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import PICTURES_PER_PIECE, Evaluator
from lifesim.network.model import Model
from lifesim.scenario.network import DataSource
from lifesim.streams import generator

_FEWEST_PLANNED = 8  # pieces: below 128 pictures there is no telling the spread
_FEWEST_BETWEEN_LOOKS = 4  # pieces

_BOUNDED_AT_ONCE = 64  # states: for memory

Weights = Sequence[np.ndarray]
"""A state by all its weights: per layer int16 codes or float32 weights."""
Correct = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From states (indices) and pieces (ascending) to what is right: bool [states, pictures of these pieces]."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the devices of a group are judged by: the clean network gets ``clean_correct`` of ``pictures`` right, a device in spec ``required``."""

    source: DataSource
    pictures: int
    clean_correct: int
    required: int
    confidence: float

    @property
    def pieces(self) -> int:
        return -(-self.pictures // PICTURES_PER_PIECE)


@functools.cache
def paired_test(rule: Rule) -> PairedTest:
    return PairedTest(rule.clean_correct, rule.pictures - rule.clean_correct, rule.required, rule.confidence)


@functools.cache
def planned_pieces(rule: Rule) -> int:
    """Return how many pieces an estimate takes: those after which a device that has lost and gained nothing is known to be in spec.

    So no device in spec is kept for the sake of its estimate.
    """
    if rule.confidence == 1.0:
        return rule.pieces
    for pieces in range(min(_FEWEST_PLANNED, rule.pieces), rule.pieces):
        seen = pieces * PICTURES_PER_PIECE
        right = seen * rule.clean_correct // rule.pictures
        if paired_test(rule).verdicts(Tally(right, seen - right, 0, 0))[0] > 0:
            return pieces
    return rule.pieces


@functools.cache
def looks(rule: Rule) -> tuple[int, ...]:
    """Return after how many pieces there may be a verdict: not often, as whoever evaluates begins anew each time."""
    counts, look = [], planned_pieces(rule)
    while look < rule.pieces:
        counts.append(look)
        look += max(_FEWEST_BETWEEN_LOOKS, look // 8)
    return (*counts, rule.pieces)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a state after looking at ``pieces`` pieces.

    ``planned``: how many of them had been decided on beforehand; ``net``, ``net_squares``: sum, and sum of squares, over these of the
    pictures gained less those lost in a piece.
    """

    pieces: int = 0
    seen: Tally = Tally(0, 0, 0, 0)
    planned: int = 0
    net: int = 0
    net_squares: int = 0
    in_spec: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """States that are looked at together, in one order of the pieces.

    ``states``: of one device in the order of time, as changes of the clean network; or each with all its weights. ``order_key``: None for the order
    in which the pieces lie.
    """

    states: Changes | Sequence[Weights]
    order_key: int | None

    def __len__(self) -> int:
        return len(self.states.bounds if isinstance(self.states, Changes) else self.states)


def judge_states(
    model: Model,
    encoding: Encoding,
    runs: Sequence[Run],
    known: Sequence[Judgement],
    exactly: bool,
    rule: Rule,
    torch_device: str = "cpu",
) -> list[Judgement]:
    """Return what is known of the states of all ``runs``, of copies of ``model``, the clean network, after going on from what was ``known``."""
    pictures, labels = load_dataset(rule.source).part("spec")
    clean = clean_right(model, rule.source, torch_device)
    judged: list[Judgement] = []
    for run in runs:
        correct = functools.partial(_correct, model, encoding, run.states, pictures, labels, torch_device)
        part = slice(len(judged), len(judged) + len(run))
        judged += judge(correct, known[part], clean, piece_order(run.order_key, rule.pieces), exactly, rule)
    return judged


def _correct(
    model: Model,
    encoding: Encoding,
    states: Changes | Sequence[Weights],
    pictures: np.ndarray,
    labels: np.ndarray,
    torch_device: str,
    which: np.ndarray,
    pieces: np.ndarray,
) -> np.ndarray:
    shown = np.concatenate([np.arange(len(labels))[_piece(piece)] for piece in pieces])
    pictures, labels = pictures[shown], labels[shown]
    if isinstance(states, Changes):
        return right_of_states(model, encoding, states, which, pictures, labels, torch_device)
    return right_of_copies(model, [states[i] for i in which], pictures, labels, torch_device)


def judge(
    correct: Correct,
    known: Sequence[Judgement],
    clean: np.ndarray,
    order: np.ndarray,
    exactly: bool,
    rule: Rule,
) -> list[Judgement]:
    """Return what is known of states after looking at further pieces: at all of them if ``exactly``, else until there is a verdict.

    ``clean``: what the clean network gets right, bool [pictures]; ``order``: of the pieces, of all these states.
    """
    judged = list(known)
    # States that have got differently far go on together from where the farthest is: what they have in common is evaluated once.
    stops = sorted({judgement.pieces for judgement in known} | {rule.pieces}) if exactly else looks(rule)
    going_on = list(range(len(judged)))
    while going_on:
        begin = min(judged[state].pieces for state in going_on)
        end = stops[bisect_right(stops, begin)]
        which = [state for state in going_on if judged[state].pieces == begin]
        counts = _counts(correct, np.array(which), order[begin:end], clean)
        seen = np.array([judged[state].seen for state in which]) + counts.sum(axis=1)
        gained = counts[:, :, 3] - counts[:, :, 2]
        verdicts = np.zeros(len(which)) if exactly and end < rule.pieces else _verdicts(seen, rule, end)
        for i, state in enumerate(which):
            judgement = replace(
                judged[state], pieces=end, seen=Tally(*seen[i].tolist()), in_spec=bool(verdicts[i] > 0)
            )
            if begin == 0:
                net, squares = int(gained[i].sum()), int((gained[i] ** 2).sum())
                judgement = replace(judgement, planned=end, net=net, net_squares=squares)
            judged[state] = judgement
        decided = {state for state, verdict in zip(which, verdicts, strict=True) if verdict}
        going_on = [state for state in going_on if state not in decided]
    return judged


def _counts(correct: Correct, which: np.ndarray, pieces: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the tally of each piece, int64 [states, pieces, 4]."""
    ascending = np.argsort(pieces)
    parts = [clean[_piece(piece)] for piece in pieces[ascending]]
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    was_right = np.concatenate(parts)
    changed = correct(which, pieces[ascending]) ^ was_right

    def of_pieces(pictures: np.ndarray) -> np.ndarray:
        return np.add.reduceat(pictures, starts, axis=-1, dtype=np.int64)

    counts = np.empty((len(which), len(pieces), 4), np.int64)
    counts[:, ascending] = np.stack(
        np.broadcast_arrays(
            of_pieces(was_right),
            of_pieces(~was_right),
            of_pieces(changed & was_right),
            of_pieces(changed & ~was_right),
        ),
        axis=2,
    )
    return counts


def _verdicts(tally: np.ndarray, rule: Rule, pieces: int) -> np.ndarray:
    if pieces < rule.pieces:
        return paired_test(rule).verdicts(Tally(*tally.T))
    return np.where(rule.clean_correct - tally[:, 2] + tally[:, 3] >= rule.required, 1, -1)


def correct_if_known(judgement: Judgement, rule: Rule) -> int | None:
    """Return how many pictures a state gets right; None if not all have been looked at."""
    if judgement.pieces < rule.pieces:
        return None
    return rule.clean_correct - judgement.seen.losses + judgement.seen.gains


def estimate(judgement: Judgement, rule: Rule) -> tuple[float, float]:
    """Return an unbiased estimate of how many pictures a state gets right, and of its variance; the number itself and 0 if all were planned.

    The planned pieces are a simple random sample of the pieces: neither needs the pictures themselves to be in random order.
    """
    n, pieces = judgement.planned, rule.pieces
    if n >= pieces:
        return rule.clean_correct + judgement.net, 0.0
    spread = (judgement.net_squares - judgement.net**2 / n) / (n - 1)
    return rule.clean_correct + judgement.net * pieces / n, pieces**2 * (1.0 - n / pieces) * spread / n


def prospects(judgements: Sequence[Judgement], rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Return down to what the number of correct pictures of each state may come, and what it is likely to be (float64 [states]).

    Where it is known, both are the number. Likely is what all pictures seen point to. The lowest is the bound of the test for a state out of spec; for one in spec,
    which is bounded by the spec anyway, a standard error less than likely (with a picture more than were lost or gained, so that none is taken
    for certain).
    """
    seen = np.array([judgement.seen for judgement in judgements], np.float64).reshape(-1, 4)
    in_spec = np.array([judgement.in_spec for judgement in judgements], bool)
    known = np.array([judgement.pieces == rule.pieces for judgement in judgements], bool)
    pictures = np.maximum(seen[:, 0] + seen[:, 1], 1.0)
    scale, unseen = rule.pictures / pictures, 1.0 - pictures / rule.pictures
    likely = rule.clean_correct + scale * (seen[:, 3] - seen[:, 2])
    lowest = np.where(known, likely, likely - scale * np.sqrt((seen[:, 2] + seen[:, 3] + 1.0) * unseen))
    lowest[in_spec & ~known] = np.maximum(lowest[in_spec & ~known], rule.required)
    out = np.flatnonzero(~in_spec & ~known)
    for first in range(0, len(out), _BOUNDED_AT_ONCE):
        some = out[first : first + _BOUNDED_AT_ONCE]
        lowest[some] = paired_test(rule).lowest(Tally(*seen[some].T.astype(np.int64)))
    return lowest, np.maximum(likely, lowest)


def as_new(rule: Rule) -> Judgement:
    """Return what is known of a device that computes what the clean network computes."""
    wrong = rule.pictures - rule.clean_correct
    return Judgement(rule.pieces, Tally(rule.clean_correct, wrong, 0, 0), rule.pieces, in_spec=True)


def piece_order(key: int | None, pieces: int) -> np.ndarray:
    """Return the order in which a device's pieces are looked at (int64 [pieces])."""
    return np.arange(pieces) if key is None else generator(key).permutation(pieces)


def clean_right(model: Model, source: DataSource, torch_device: str) -> np.ndarray:
    """Return which pictures of the spec set the clean network gets right (bool [pictures]), worked out once per process."""
    key = model.digest, source, torch_device
    if key not in _clean_right:
        pictures, labels = load_dataset(source).part("spec")
        answers = Evaluator.of(model, torch_device).logits([model.codes], pictures)[0].argmax(axis=1)
        _clean_right[key] = answers == labels
    return _clean_right[key]


_clean_right: dict[tuple[bytes, DataSource, str], np.ndarray] = {}


def _piece(piece: int) -> slice:
    return slice(piece * PICTURES_PER_PIECE, (piece + 1) * PICTURES_PER_PIECE)
