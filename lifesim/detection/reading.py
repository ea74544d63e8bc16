"""Reading the test pictures through noisy crossbars: noise drawn per (visit, picture, read), votes and re-reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.detection.criteria import Criterion, Golden, deviates, may_deviate
from lifesim.network.evaluate import NoiseKind
from lifesim.normals import unit_normals
from lifesim.streams import stream_key


@dataclass(frozen=True, slots=True)
class ReadNoise:
    """Noise of the analog read: ``sigma`` relative to what ``kind`` says (see :class:`lifesim.network.evaluate.Noise`); ``correlation``
    between the reads of one visit (random telegraph noise).
    """

    sigma: float
    correlation: float
    kind: NoiseKind = "weight"

    def first_key(self, key: int, time_ns: int) -> int:
        """Return the key of the normals of the first read of the visit at ``time_ns``."""
        return stream_key(key, time_ns, 0)

    def draw(self, key: int, time_ns: int, reads: Sequence[int], pictures: int, elements: int) -> np.ndarray:
        """Return unit normals [reads, pictures, elements] (float32) for these reads of the visit at ``time_ns``.

        Pictures are rows of a stream: asking for fewer of them or of their elements, or for other reads, changes none. With the rho of
        ``correlation`` and independent normals n, the first read is z_0 = n_0; what others share with it is s = sqrt(rho) z_0 + sqrt(1 - rho)
        n_visit, and z_r = sqrt(rho) s + sqrt(1 - rho) n_r. All are unit normals, cov(z_r, z_q) = rho var(s) = rho and cov(z_0, z_r) =
        sqrt(rho) cov(z_0, s) = rho.
        """

        def own(part: int | str) -> np.ndarray:
            return unit_normals(stream_key(key, time_ns, part), pictures, elements)

        alike, apart = np.float32(np.sqrt(self.correlation)), np.float32(np.sqrt(1.0 - self.correlation))
        first = unit_normals(self.first_key(key, time_ns), pictures, elements)
        shared = alike * first + apart * own("visit") if any(reads) else None
        return np.stack([alike * shared + apart * own(read) if read else first for read in reads])


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

    def may_alarm(self, golden: Golden, confidences: np.ndarray, slack: float) -> np.ndarray:
        """Return whether some read within ``slack`` of each of [..., pictures, classes] calls for an alarm (bool [...])."""
        return may_deviate(self.criterion, golden, confidences, slack).sum(axis=-1) >= self.vote
