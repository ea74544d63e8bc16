"""Reading the test pictures through noisy crossbars: noise drawn per (visit, picture, read), votes and re-reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from lifesim.detection.criteria import Criterion, Golden, deviates, may_deviate, progress, score
from lifesim.detection.nullreads import Averaging, fault_free_tests, upper_limit
from lifesim.detection.sequential import Cusum, calibrate_cusum
from lifesim.detection.statistics import Statistic, StatisticName
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


class Readout(Protocol):
    """How answers to the test pictures become an alarm.

    Answers are confidences where ``softmax`` is true, else logits; of a visit's first read they are the mean of ``reads`` reads. What they are compared
    with is whatever :meth:`baseline` makes of the reads of a baseline.
    """

    softmax: ClassVar[bool]
    rereads: int

    @property
    def reads(self) -> int: ...

    @property
    def baseline_reads(self) -> int: ...

    def baseline(self, answers: np.ndarray) -> Any:
        """Return what later reads are compared with, from reads [baseline_reads, pictures, classes]."""

    def same(self, golden: Any, other: Any) -> bool:
        """Return whether two baselines are the same."""

    def score(self, golden: Any, answers: np.ndarray) -> np.ndarray:
        """Return how bad each read of [..., pictures, classes] looks: int64 [...], in the readout's own unit."""

    def progress(self, golden: Any, answers: np.ndarray) -> np.ndarray:
        """Return how far each read of [..., pictures, classes] is on the way to an alarm, in thousandths: int64 [...], 1000 or more where it alarms."""

    def alarms(self, golden: Any, answers: np.ndarray) -> np.ndarray:
        """Return whether each read of [..., pictures, classes] calls for an alarm (bool [...])."""

    def may_alarm(self, golden: Any, answers: np.ndarray, slack: float) -> np.ndarray:
        """Return whether some read near each of [..., pictures, classes] calls for an alarm (bool [...]).

        Near is what differs by up to ``slack`` in its confidences and by up to twice that in its logits.
        """


@dataclass(frozen=True, slots=True)
class TestRule:
    """How confidences become an alarm: at least ``vote`` pictures deviate, and again in every one of ``rereads`` re-reads."""

    __test__ = False  # not a test class, whatever its name suggests to pytest

    criterion: Criterion
    pictures: int
    vote: int
    rereads: int
    baseline_reads: int

    softmax: ClassVar[bool] = True
    reads: ClassVar[int] = 1

    def baseline(self, answers: np.ndarray) -> Golden:
        """Return the golden scores of the mean of reads [baseline_reads, pictures, classes]."""
        return Golden.of(answers.mean(axis=0))

    def same(self, golden: Golden, other: Golden) -> bool:
        """Return whether both are the same scores."""
        return golden.is_that_of(other)

    def score(self, golden: Golden, answers: np.ndarray) -> np.ndarray:
        """Return by how much the confidences of the golden classes have moved: see :func:`lifesim.detection.criteria.score`."""
        return score(golden, answers)

    def progress(self, golden: Golden, confidences: np.ndarray) -> np.ndarray:
        """Return how far each read of [..., pictures, classes] is on the way to an alarm (int64 [...]): as far as its picture number ``vote``."""
        reached = progress(self.criterion, golden, confidences)
        return -np.partition(-reached, self.vote - 1, axis=-1)[..., self.vote - 1]

    def alarms(self, golden: Golden, confidences: np.ndarray) -> np.ndarray:
        """Return whether each read of [..., pictures, classes] calls for an alarm (bool [...])."""
        return deviates(self.criterion, golden, confidences).sum(axis=-1) >= self.vote

    def may_alarm(self, golden: Golden, confidences: np.ndarray, slack: float) -> np.ndarray:
        """Return whether some read within ``slack`` of each of [..., pictures, classes] calls for an alarm (bool [...])."""
        return may_deviate(self.criterion, golden, confidences, slack).sum(axis=-1) >= self.vote


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedRule:
    """An alarm where the statistic of an averaged read exceeds ``threshold``, and again in each of ``rereads`` further averages of as many reads.

    ``cusum``: adds up the statistics of successive tests, and decides instead.
    """

    statistic: Statistic
    threshold: int
    averaging: Averaging
    rereads: int = 0
    cusum: Cusum | None = None

    softmax: ClassVar[bool] = False
    _LIMITS: ClassVar[struct.Struct] = struct.Struct(
        "<iii"
    )  # threshold; reference and limit of the sum, -1 where there is none

    @classmethod
    def calibrate(
        cls,
        name: StatisticName,
        reads: np.ndarray,
        averaging: Averaging,
        false_alarm_rate: float,
        key: int,
        drift: np.ndarray | None = None,
        covariances: np.ndarray | None = None,
        tests: int | None = None,
    ) -> CalibratedRule:
        """Return the rule by which at most a share ``false_alarm_rate`` of tests of networks without faults alarm.

        ``reads``, ``drift``, ``covariances``: as of :func:`lifesim.detection.nullreads.fault_free_tests`; 500 reads will do, fewer make a higher threshold.
        ``tests``: a sum over so many tests decides, and the rate is that of devices that alarm in any of them.
        """
        statistic, groups = fault_free_tests(
            name, reads, averaging, false_alarm_rate, key, drift, covariances, tests or 1
        )
        threshold = upper_limit([shown[:, 0] for shown in groups], false_alarm_rate)
        cusum = calibrate_cusum(groups, false_alarm_rate) if tests else None
        return cls(statistic, threshold, averaging, cusum=cusum)

    def of_noise(self, covariances: np.ndarray, drift: np.ndarray | None = None) -> CalibratedRule:
        """Return the rule of a device whose logits have these covariances: in units of its own noise, limits are those of all devices."""
        return replace(self, statistic=Statistic.of(self.statistic.name, covariances, drift))

    @property
    def reads(self) -> int:
        return self.averaging.reads

    @property
    def baseline_reads(self) -> int:
        return self.averaging.baseline_reads

    def baseline(self, answers: np.ndarray) -> np.ndarray:
        """Return the mean of logits [baseline_reads, pictures, classes], float32."""
        return answers.mean(axis=0, dtype=float).astype(np.float32)

    def same(self, golden: np.ndarray, other: np.ndarray) -> bool:
        """Return whether both are the same logits."""
        return np.array_equal(golden, other)

    def score(self, golden: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return the statistic of each read of logits [..., pictures, classes]: int64 [...]."""
        return self.statistic.between(golden, answers)

    def progress(self, golden: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return how far each averaged read of logits [..., pictures, classes] is on the way to an alarm (int64 [...])."""
        return self.score(golden, answers) * 1000 // (self.threshold + 1)

    def alarms(self, golden: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return whether each averaged read of logits [..., pictures, classes] calls for an alarm (bool [...])."""
        return self.score(golden, answers) > self.threshold

    def may_alarm(self, golden: np.ndarray, answers: np.ndarray, slack: float) -> np.ndarray:
        """Return whether some read with logits within twice ``slack`` of each of [..., pictures, classes] calls for an alarm (bool [...])."""
        return self.statistic.at_most(golden, answers, 2.0 * slack) > self.threshold

    def encode(self) -> bytes:
        """Return what a device has to be told: the threshold and the statistic, in bytes. How it averages it knows."""
        return self.limits + self.statistic.encode()

    @property
    def limits(self) -> bytes:
        """From when on there is an alarm, as it travels."""
        sum_of = (self.cusum.reference, self.cusum.limit) if self.cusum else (-1, -1)
        return self._LIMITS.pack(self.threshold, *sum_of)

    def with_limits(self, data: bytes) -> CalibratedRule:
        """Return the rule with :attr:`limits` that have travelled, of 12 bytes."""
        threshold, reference, limit = self._LIMITS.unpack(data)
        return replace(self, threshold=threshold, cusum=None if limit < 0 else Cusum(reference, limit))

    @classmethod
    def decode(cls, data: bytes, averaging: Averaging, rereads: int = 0) -> CalibratedRule:
        """Read what :meth:`encode` has written: the same rule. Raises ValueError if it is anything else."""
        size = cls._LIMITS.size
        if len(data) < size:
            raise ValueError("no rule: too short")
        return cls(Statistic.decode(data[size:]), 0, averaging, rereads).with_limits(data[:size])
