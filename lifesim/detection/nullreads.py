"""What tests show where nothing is wrong: fault-free reads, from which thresholds are calibrated.

Few reads stand for many, as the noise of different pictures is independent: a read in which every picture's part comes from another read is as good
as one that was taken. A threshold that should hold with a stated probability has to be on the safe side: it is the largest of five estimates,
each from a fifth of the reads, and so at least as high as the median of such estimates with a probability of 1 - 2^-5 = 0.97, whatever the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.detection.statistics import (
    Statistic,
    StatisticName,
    confidences,
    rounded,
    shrunk_covariances,
)
from lifesim.streams import generator, stream_key

_GROUPS = 5
_BEYOND = 50  # simulated devices of each group that exceed its estimate
_LEAST_SPREAD = 1e-4  # of a logit, relative to its picture's largest: where there is no noise, the length of a difference is told in these
_AT_ONCE = 1 << 12  # tests


@dataclass(frozen=True, slots=True)
class Averaging:
    """How many reads of one visit are averaged for a test and for the baseline, and the correlation of any two of them.

    ``baseline_reads`` 0: the baseline is not read but known, such as worked out by whoever knows the stuck cells.
    """

    reads: int = 1
    baseline_reads: int = 1
    correlation: float = 0.0

    @property
    def of_test(self) -> float:
        """The variance of an averaged test, relative to that of a single read."""
        return _variance_of_mean(self.reads, self.correlation)

    @property
    def of_baseline(self) -> float:
        """The same of a baseline."""
        return _variance_of_mean(self.baseline_reads, self.correlation) if self.baseline_reads else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class NullReads:
    """Reads of a network without faults, taken apart by picture, and how a device averages them.

    ``deviations`` float64 [n, m, c]: from their mean. The mean of r correlated reads deviates like a single one, scaled; which is exact where logits
    are normal, as sums of many products nearly are. ``drift`` [m, c]: how far logits move at the ends of the temperature's range.
    """

    deviations: np.ndarray
    mean: np.ndarray
    averaging: Averaging
    drift: np.ndarray | None = None

    @classmethod
    def of(cls, reads: np.ndarray, averaging: Averaging, drift: np.ndarray | None = None) -> NullReads:
        """Take independent single reads, logits [n, m, c]."""
        mean = reads.mean(axis=0, dtype=float)
        return cls(reads - mean, mean, averaging, drift)

    @classmethod
    def halves(
        cls, reads: np.ndarray, averaging: Averaging, drift: np.ndarray | None = None
    ) -> tuple[NullReads, NullReads]:
        """Take independent single reads, logits [n, m, c]: half of them to tell the noise from, half for thresholds, as no statistic is a fair judge of
        the reads that it has been fitted to.
        """
        half = len(reads) // 2
        return cls.of(reads[:half], averaging, drift), cls.of(reads[half:], averaging, drift)

    def statistics(self, statistic: Statistic, devices: int, tests: int, key: int) -> np.ndarray:
        """Return what ``tests`` successive tests of devices, each with a baseline of its own, show where nothing is wrong: int64 [devices, tests]."""
        rng, at_once = generator(key), max(1, _AT_ONCE // (tests + 1))
        found = [
            self._some_statistics(statistic, min(at_once, devices - done), tests, rng)
            for done in range(0, devices, at_once)
        ]
        return np.concatenate(found)

    def in_groups(self, statistic: Statistic, rate: float, tests: int, key: int) -> list[np.ndarray]:
        """Return for each fifth of the reads the :meth:`statistics` of as many devices as :func:`upper_limit` needs for a rate.

        Raises ValueError if there are too few reads.
        """
        size, devices = len(self.deviations) // _GROUPS, math.ceil(_BEYOND / rate)
        if size < 2:
            raise ValueError(f"{len(self.deviations)} reads are too few for a threshold")
        return [
            NullReads(part, self.mean, self.averaging, self.drift).statistics(
                statistic, devices, tests, stream_key(key, group)
            )
            for group, part in enumerate(np.split(self.deviations[: _GROUPS * size], _GROUPS))
        ]

    def _some_statistics(
        self, statistic: Statistic, devices: int, tests: int, rng: np.random.Generator
    ) -> np.ndarray:
        n, m, _ = self.deviations.shape
        pictures, of_baseline = np.arange(m), rng.integers(0, n, (devices, 1, m))
        # Never the baseline's own read.
        of_test = (of_baseline + rng.integers(1, n, (devices, tests, m))) % n
        baselines = math.sqrt(self.averaging.of_baseline) * self.deviations[of_baseline, pictures]
        reads = math.sqrt(self.averaging.of_test) * self.deviations[of_test, pictures]
        if self.drift is not None:
            reads = reads + rng.uniform(-1.0, 1.0, (devices, tests, 1, 1)) * self.drift
        if statistic.name == "max_dp":
            moved = np.abs(confidences(self.mean + reads) - confidences(self.mean + baselines))
            return rounded(1e5 * moved.max(axis=(-2, -1)))
        return rounded(1e3 * statistic.of_whitened(statistic.whitened(reads - baselines)))


def fit(name: StatisticName, null: NullReads) -> Statistic:
    """Return the statistic for the noise of these reads, blind to their drift."""
    floor = _LEAST_SPREAD * np.maximum(np.abs(null.mean).max(axis=1), np.finfo(np.float32).tiny)
    return Statistic.of(name, shrunk_covariances(null.deviations, floor), null.drift)


def upper_limit(groups: Sequence[np.ndarray], rate: float) -> int:
    """Return what at most a share ``rate`` exceed, on the safe side: the largest estimate of several samples [n]."""
    return max(int(np.sort(sample)[len(sample) - 1 - math.floor(rate * len(sample))]) for sample in groups)


def _variance_of_mean(reads: int, correlation: float) -> float:
    return (1.0 + (reads - 1) * correlation) / reads
