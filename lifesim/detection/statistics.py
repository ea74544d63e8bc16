"""By how much a read of the test pictures differs from the baseline, in units of the reads' own noise.

The paper's criteria see one confidence of a picture and compare it with 3 %, whatever the noise. These see all confidences or logits; from which
value on they alarm is found out from fault-free reads (:mod:`lifesim.detection.nullreads`). Noise is drawn anew for every picture, so covariances
are those of a picture's logits.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

StatisticName = Literal["max_dp", "chi_square", "mahalanobis", "mahalanobis_max"]
MOST = 2**31 - 1
"""The statistic of what is not a number, and of what is no smaller."""

_HEAD = struct.Struct("<BBHB")  # name, classes, pictures, whether a direction is left out
_MANTISSA = 2**15 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Statistic:
    """A number for the difference of two reads of ``m`` pictures, made so that it travels in few bytes and is the same at both ends.

    ``max_dp``: the largest change of any confidence, in thousandths of a per cent. The others, in thousandths, are lengths of whitened differences
    of logits: ``chi_square`` by the standard deviation of each logit, ``mahalanobis`` by the covariance of each picture's, both over all pictures;
    ``mahalanobis_max`` of the picture with the largest.

    ``mantissas`` int16 [m, c (c + 1) / 2], ``exponents`` int16 [m]: the rows of each picture's lower triangular whitening, times 2 ** exponent.
    ``blind`` int16 [m, c]: the whitened direction that is left out, as temperature moves logits along it; None where all are seen.
    """

    name: StatisticName
    mantissas: np.ndarray
    exponents: np.ndarray
    blind: np.ndarray | None = None

    @classmethod
    def of(
        cls, name: StatisticName, covariances: np.ndarray, direction: np.ndarray | None = None
    ) -> Statistic:
        """Return the statistic for logits with these covariances [m, c, c], positive definite, that does not see ``direction`` [m, c]."""
        if name == "max_dp":
            m, c, _ = covariances.shape
            return cls(name, np.zeros((m, c * (c + 1) // 2), np.int16), np.zeros(m, np.int16))
        if name == "chi_square":
            spreads = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
            whitening = np.eye(covariances.shape[1]) / spreads[:, None, :]
        else:
            # Scaled first: no network's logits are too large or too small to be squared.
            spreads = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
            correlations = covariances / spreads[:, :, None] / spreads[:, None, :]
            whitening = np.linalg.inv(np.linalg.cholesky(correlations)) / spreads[:, None, :]
        exponents = np.frexp(np.abs(whitening).max(axis=(1, 2)))[1] - 15
        scaled = np.ldexp(whitening, -exponents[:, None, None])
        low = scaled[:, *np.tril_indices(whitening.shape[1])]
        mantissas = np.clip(np.rint(low), -_MANTISSA, _MANTISSA).astype(np.int16)
        found = cls(name, mantissas, exponents.astype(np.int16))
        if direction is None:
            return found
        whitened = found.whitened(direction)
        largest = np.abs(whitened).max()
        if not (np.isfinite(largest) and largest > 0.0):
            return found
        return cls(
            name, found.mantissas, found.exponents, np.rint(whitened / largest * _MANTISSA).astype(np.int16)
        )

    @property
    def classes(self) -> int:
        return (math.isqrt(8 * self.mantissas.shape[1] + 1) - 1) // 2

    @property
    def whitening(self) -> np.ndarray:
        """The lower triangular matrices that make the noise of each picture white, float64 [m, c, c]."""
        c = self.classes
        whitening = np.zeros((len(self.mantissas), c, c))
        whitening[:, *np.tril_indices(c)] = np.ldexp(self.mantissas.astype(float), self.exponents[:, None])
        return whitening

    def whitened(self, differences: np.ndarray) -> np.ndarray:
        """Return differences of logits [..., m, c] in units of their noise, float64."""
        return np.matmul(self.whitening, np.asarray(differences, float)[..., None])[..., 0]

    def between(self, baseline: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Return by how much logits [..., m, c] differ from the baseline's [m, c], or from one each: int64 [...], ``MOST`` for what is not finite."""
        return rounded(self._between(baseline, logits))

    def at_most(self, baseline: np.ndarray, logits: np.ndarray, slack: float) -> np.ndarray:
        """Return what :meth:`between` is at most for logits within ``slack`` of those given: int64 [...].

        A length grows by no more than that of the largest step: the sum of the absolute values of each row of the whitening, times ``slack``.
        A confidence p changes by p (1 - p) times twice the slack at most, so by half of it.
        """
        if self.name == "max_dp":
            further = 1e5 * 0.5 * slack
        else:
            of_pictures = np.square(np.abs(self.whitening).sum(axis=2)).sum(axis=1)
            # A direction left out goes through all pictures.
            of_one = self.name == "mahalanobis_max" and self.blind is None
            worst = of_pictures.max() if of_one else of_pictures.sum()
            further = 1e3 * slack * math.sqrt(worst)
        found = self._between(baseline, logits)
        # Rounding may lift what is just below; float64's own errors are far below one unit of either.
        return np.where(np.isfinite(found), rounded(found + further + 1e-6 * np.abs(found)), MOST)

    def of_whitened(self, whitened: np.ndarray) -> np.ndarray:
        """Return the length of whitened differences [..., m, c] as the statistic has it, float64 [...]."""
        squares = np.square(whitened).sum(axis=-1)
        if self.blind is None:
            lost = np.zeros(squares.shape[:-1])
        else:
            unseen = self.blind / np.linalg.norm(self.blind.astype(float))
            along = np.einsum("...mc,mc->...", whitened, unseen)
            if self.name == "mahalanobis_max":
                squares = np.square(whitened - along[..., None, None] * unseen).sum(axis=-1)
            lost = np.square(along)
        if self.name == "mahalanobis_max":
            return np.sqrt(squares.max(axis=-1))
        return np.sqrt(np.maximum(squares.sum(axis=-1) - lost, 0.0))

    def _between(self, baseline: np.ndarray, logits: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            if self.name == "max_dp":
                moved = np.abs(confidences(logits) - confidences(baseline))
                return 1e5 * moved.max(axis=(-2, -1))
            differences = np.asarray(logits, float) - np.asarray(baseline, float)
            return 1e3 * self.of_whitened(self.whitened(differences))

    def encode(self) -> bytes:
        """Return the statistic in bytes; of what is diagonal, the diagonal alone."""
        m, c = len(self.mantissas), self.classes
        head = _HEAD.pack(get_args(StatisticName).index(self.name), c, m, self.blind is not None)
        sent = self.mantissas[:, self._sent(self.name, c)]
        blind = b"" if self.blind is None else self.blind.astype("<i2").tobytes()
        return head + self.exponents.astype("<i2").tobytes() + sent.astype("<i2").tobytes() + blind

    @classmethod
    def decode(cls, data: bytes) -> Statistic:
        """Read what :meth:`encode` has written. Raises ValueError if it is anything else."""
        names = get_args(StatisticName)
        if len(data) < _HEAD.size:
            raise ValueError("no statistic: too short")
        number, c, m, is_blind = _HEAD.unpack_from(data)
        if number >= len(names):
            raise ValueError(f"no statistic has the number {number}")
        name = names[number]
        sent = cls._sent(name, c)
        numbers = data[_HEAD.size :]
        ends = np.cumsum([m, m * len(sent), is_blind * m * c])
        if len(numbers) != 2 * ends[-1]:
            raise ValueError(f"no statistic of {m} pictures: {len(data)} bytes")
        exponents, some, blind = np.split(np.frombuffer(numbers, "<i2").astype(np.int16), ends[:-1])
        mantissas = np.zeros((m, c * (c + 1) // 2), np.int16)
        mantissas[:, sent] = some.reshape(m, -1)
        return cls(name, mantissas, exponents, blind.reshape(m, c) if is_blind else None)

    @staticmethod
    def _sent(name: StatisticName, classes: int) -> np.ndarray:
        """Return which numbers of a triangle are not zero for certain."""
        rows, columns = np.tril_indices(classes)
        if name == "max_dp":
            return np.empty(0, np.intp)
        return np.flatnonzero(rows == columns) if name == "chi_square" else np.arange(len(rows))


def shrunk_covariances(deviations: np.ndarray, floor: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the covariances [m, c, c] of each picture's logits from deviations [n, m, c] from their mean.

    Each is drawn towards the same variance for all logits and no covariances, the more the fewer reads there are: the combination with the least
    expected squared error (Ledoit and Wolf, J. Multivariate Anal. 88, 2004, section 3.2). With any noise at all it is positive definite, from three reads on. No variance is below ``floor`` [m] squared.
    """
    n, m, c = deviations.shape
    size = np.maximum(np.abs(deviations).max(axis=(0, 2)), np.finfo(float).tiny)
    x = deviations / size[:, None]
    sample = np.einsum("nmi,nmj->mij", x, x) / n
    mean_variance = np.trace(sample, axis1=1, axis2=2) / c
    target = mean_variance[:, None, None] * np.eye(c)
    distance = np.square(sample - target).sum(axis=(1, 2))
    # sum_k |x_k x_k' - S|^2 = sum_k |x_k|^4 - n |S|^2
    scatter = np.square(np.square(x).sum(axis=2)).sum(axis=0) / n - np.square(sample).sum(axis=(1, 2))
    towards = np.clip(scatter / n / np.maximum(distance, np.finfo(float).tiny), 0.0, 1.0)[:, None, None]
    shrunk = (towards * target + (1.0 - towards) * sample) * np.square(size)[:, None, None]
    return shrunk + np.square(np.broadcast_to(floor, m))[:, None, None] * np.eye(c)


def confidences(logits: np.ndarray) -> np.ndarray:
    """Return confidences [..., classes] in float64."""
    logits = np.asarray(logits, float)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def rounded(values: np.ndarray) -> np.ndarray:
    """Return values as int64, ``MOST`` for what is not a number or larger."""
    # What is not a number compares with nothing.
    return np.rint(np.where(values < MOST, values, MOST)).astype(np.int64)
