"""What tests show where nothing is wrong: fault-free reads, from which thresholds are calibrated.

They are reads that were taken, or drawn from the law that they have to first order. Few reads stand for many, as the noise of different pictures is
independent: a read in which every picture's part comes from another read is as good as one that was taken. A threshold that should hold with a stated
probability has to be on the safe side: it is the largest of five estimates, each from reads of its own, and so at least as high as the median of such
estimates with a probability of 1 - 2^-5 = 0.97, whatever the distribution. Where the law is known, it is the larger of what that and the reads say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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


class FaultFree(Protocol):
    """A source of reads for tests of devices without faults, and how a device averages its reads.

    ``mean`` [m, c]: of the logits. The mean of r correlated reads deviates from it like a single one, scaled; which is exact where logits are normal, as
    sums of many products nearly are. ``drift`` [m, c]: how far logits move at the ends of the temperature's range.
    """

    mean: np.ndarray
    averaging: Averaging
    drift: np.ndarray | None

    def drawn(self, devices: int, tests: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return deviations of single reads: of the devices' baselines [devices, 1, m, c] and of their tests [devices, tests, m, c]."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalReads:
    """Reads whose logits are normal, with ``factors`` [m, c, c] of their covariances (Cholesky): there is no end to them."""

    factors: np.ndarray
    mean: np.ndarray
    averaging: Averaging
    drift: np.ndarray | None = None

    @classmethod
    def of(
        cls, covariances: np.ndarray, mean: np.ndarray, averaging: Averaging, drift: np.ndarray | None = None
    ) -> NormalReads:
        """Take covariances [m, c, c]."""
        return cls(np.linalg.cholesky(covariances), mean, averaging, drift)

    def drawn(self, devices: int, tests: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        z = rng.standard_normal((devices, 1 + tests, *self.mean.shape))
        deviations = np.matmul(self.factors, z[..., None])[..., 0]
        return deviations[:, :1], deviations[:, 1:]


@dataclass(frozen=True, slots=True, eq=False)
class NullReads:
    """Reads that were taken, apart by picture: ``deviations`` float64 [n, m, c] from their mean."""

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

    def drawn(self, devices: int, tests: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        n, m, _ = self.deviations.shape
        pictures, of_baseline = np.arange(m), rng.integers(0, n, (devices, 1, m))
        # Never the baseline's own read.
        of_test = (of_baseline + rng.integers(1, n, (devices, tests, m))) % n
        return self.deviations[of_baseline, pictures], self.deviations[of_test, pictures]

    def fifths(self) -> list[NullReads]:
        """Return five sources that have no read in common. Raises ValueError if there are too few."""
        size = len(self.deviations) // _GROUPS
        if size < 2:
            raise ValueError(f"{len(self.deviations)} reads are too few for a threshold")
        fifths = np.split(self.deviations[: _GROUPS * size], _GROUPS)
        return [NullReads(fifth, self.mean, self.averaging, self.drift) for fifth in fifths]


def null_statistics(
    source: FaultFree, statistic: Statistic, devices: int, tests: int, key: int
) -> np.ndarray:
    """Return what ``tests`` successive tests of devices, each with a baseline of its own, show where nothing is wrong: int64 [devices, tests]."""
    rng, at_once = generator(key), max(1, _AT_ONCE // (tests + 1))
    found = [
        _some_statistics(source, statistic, min(at_once, devices - done), tests, rng)
        for done in range(0, devices, at_once)
    ]
    return np.concatenate(found)


def fault_free_tests(
    name: StatisticName,
    reads: np.ndarray,
    averaging: Averaging,
    rate: float,
    key: int,
    drift: np.ndarray | None = None,
    covariances: np.ndarray | None = None,
    tests: int = 1,
) -> tuple[Statistic, list[np.ndarray]]:
    """Return the statistic, and samples int64 [devices, tests] of what it shows in successive tests without faults: enough for :func:`upper_limit`.

    ``reads``: logits [n, m, c] of independent single reads. ``covariances`` [m, c, c]: those that they have in theory; then one sample is of the reads and
    one of normal ones with these covariances. Without, half of the reads tell the noise, and there is a sample of each fifth of the other half. ``drift``
    [m, c]: how far logits move at the ends of the temperature's range. ``key`` addresses how they are put together. Raises ValueError for too few reads.
    """
    sources: list[FaultFree]
    if covariances is None:
        to_fit, to_judge = NullReads.halves(reads, averaging, drift)
        statistic, sources = fit(name, to_fit), [*to_judge.fifths()]
    else:
        taken = NullReads.of(reads, averaging, drift)
        law = NormalReads.of(covariances, taken.mean, averaging, drift)
        statistic, sources = Statistic.of(name, covariances, drift), [taken, law]
    # Of a law there is no end of reads: as many devices as the five samples have together.
    devices = math.ceil(_BEYOND / rate)
    return statistic, [
        null_statistics(
            source,
            statistic,
            devices if isinstance(source, NullReads) else _GROUPS * devices,
            tests,
            stream_key(key, i),
        )
        for i, source in enumerate(sources)
    ]


def _some_statistics(
    source: FaultFree, statistic: Statistic, devices: int, tests: int, rng: np.random.Generator
) -> np.ndarray:
    of_baselines, of_tests = source.drawn(devices, tests, rng)
    baselines = math.sqrt(source.averaging.of_baseline) * of_baselines
    reads = math.sqrt(source.averaging.of_test) * of_tests
    if source.drift is not None:
        reads = reads + rng.uniform(-1.0, 1.0, (devices, tests, 1, 1)) * source.drift
    if statistic.name == "max_dp":
        moved = np.abs(confidences(source.mean + reads) - confidences(source.mean + baselines))
        return rounded(1e5 * moved.max(axis=(-2, -1)))
    return rounded(1e3 * statistic.of_whitened(statistic.whitened(reads - baselines)))


def fit(name: StatisticName, null: NullReads) -> Statistic:
    """Return the statistic for the noise of these reads, blind to their drift."""
    return Statistic.of(name, shrunk_covariances(null.deviations, _floor(null.mean)), null.drift)


def with_floor(covariances: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return covariances [m, c, c] that are positive definite even where there is no noise; ``mean`` [m, c]: of the logits."""
    return covariances + np.square(_floor(mean))[:, None, None] * np.eye(covariances.shape[1])


def upper_limit(groups: Sequence[np.ndarray], rate: float) -> int:
    """Return what at most a share ``rate`` exceed, on the safe side: the largest estimate of several samples [n]."""
    return max(int(np.sort(sample)[len(sample) - 1 - math.floor(rate * len(sample))]) for sample in groups)


def _floor(mean: np.ndarray) -> np.ndarray:
    return _LEAST_SPREAD * np.maximum(np.abs(mean).max(axis=1), np.finfo(np.float32).tiny)


def _variance_of_mean(reads: int, correlation: float) -> float:
    return (1.0 + (reads - 1) * correlation) / reads
