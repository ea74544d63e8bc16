"""What a device answers while it serves, and how many of the answers are wrong.

Accuracy is known where it was judged: at the ends of each stretch, at the report times, and where a crossing was bisected. Between two such times it
is taken as linear, and the inferences as spread evenly, so the expected wrong answers of a piece are its inferences times the mean
of 1 - accuracy at its ends. Inferences are whole and counted with the hours of the day at which they come; visits that interrupt a piece
take their share of its time out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from lifesim.experiment.observation import Judged
from lifesim.fleet.clock import to_s
from lifesim.physics.usage import Usage


def inferences(usage: Usage, start_ns: int, end_ns: int, busy_ns: int = 0) -> int:
    """Return how many inferences a device answers from ``start_ns`` to ``end_ns``, of which it was not serving for ``busy_ns``."""
    asked = int(usage.at(to_s(end_ns))) - int(usage.at(to_s(start_ns)))
    whole_ns = end_ns - start_ns
    # To the nearest: what is lost to visits must not add up over many pieces.
    return (2 * asked * (whole_ns - busy_ns) + whole_ns) // (2 * whole_ns) if asked else 0


def pieces(judged: Judged, start_ns: int, end_ns: int) -> Iterator[tuple[int, int, float]]:
    """Cut [start, end) of a stretch where it was judged: yield (start, end, mean number of correct pictures) of each piece."""
    for (a_ns, a_correct), (b_ns, b_correct) in pairwise(judged):
        from_ns, to_ns = max(a_ns, start_ns), min(b_ns, end_ns)
        if from_ns < to_ns:
            middle = ((from_ns - a_ns) + (to_ns - a_ns)) / (2 * (b_ns - a_ns))
            yield from_ns, to_ns, a_correct + (b_correct - a_correct) * middle
