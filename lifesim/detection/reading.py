"""Reading the test pictures through noisy crossbars: noise drawn per (visit, picture, read), votes and re-reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.detection.criteria import Criterion, Golden, deviates
from lifesim.network.evaluate import NoiseKind
from lifesim.streams import NormalStreams, stream_key


@dataclass(frozen=True, slots=True)
class ReadNoise:
    """Noise of the analog read: ``sigma`` relative to what ``kind`` says (see :class:`lifesim.network.evaluate.Noise`); ``correlation``
    between the reads of one visit (random telegraph noise).
    """

    sigma: float
    correlation: float
    kind: NoiseKind = "weight"

    def draw(self, key: int, time_ns: int, reads: Sequence[int], pictures: int, elements: int) -> np.ndarray:
        """Return unit normals [reads, pictures, elements] (float32) for these reads of the visit at ``time_ns``.

        Each picture and read has a stream of its own: asking for fewer pictures or other reads changes none of them. Reads of one visit
        share a part, so that any two of them correlate by ``correlation``.
        """
        streams = NormalStreams()
        of_visit, of_read = np.float32(np.sqrt(self.correlation)), np.float32(np.sqrt(1.0 - self.correlation))
        z = np.empty((len(reads), pictures, elements), np.float32)
        for picture in range(pictures):
            shared = streams.normals(stream_key(key, time_ns, picture, "visit"), elements)
            for row, read in enumerate(reads):
                own = streams.normals(stream_key(key, time_ns, picture, read), elements)
                z[row, picture] = of_visit * shared + of_read * own
        return z


@dataclass(frozen=True, slots=True)
class TestRule:
    """How confidences become an alarm: at least ``vote`` pictures deviate, and again in every one of ``rereads`` re-reads."""

    __test__ = False  # not a test class, whatever its name suggests to pytest

    criterion: Criterion
    pictures: int
    vote: int
    rereads: int
    baseline_reads: int

    def alarms(self, golden: Golden, confidences: np.ndarray) -> np.ndarray:
        """Return whether each read of [..., pictures, classes] calls for an alarm (bool [...])."""
        return deviates(self.criterion, golden, confidences).sum(axis=-1) >= self.vote
