"""The fixed-point format of weights: one type owns width, sign and scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LEAST_FRACTION_BITS, MOST_FRACTION_BITS = -16, 40


def quantise(weights: np.ndarray, scales: float | np.ndarray) -> np.ndarray:
    """Return int16 codes of weights whose least significant bits are worth ``scales``: round half to even, saturate."""
    codes = np.rint(np.asarray(weights, dtype=np.float64) / scales)
    return np.clip(codes, -(1 << 15), (1 << 15) - 1).astype(np.int16)


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Signed two's complement with ``width`` bits, of which ``fraction_bits`` lie behind the point (Qm.n, n = fraction_bits).

    RRAMedy uses 16 bits. A code ``c`` stands for the weight ``c * 2**-fraction_bits``. The scale may be any power of two that float32
    arithmetic with squares can bear: more than 15 fraction bits (m < 0) are a scale below that of Q0.15.
    """

    width: int = 16
    fraction_bits: int = 15

    def __post_init__(self) -> None:
        if self.width != 16 or not LEAST_FRACTION_BITS <= self.fraction_bits <= MOST_FRACTION_BITS:
            raise ValueError(
                f"need 16 bits and {LEAST_FRACTION_BITS}..{MOST_FRACTION_BITS} behind the point, "
                f"got {self.width} and {self.fraction_bits}"
            )

    @classmethod
    def tightest(cls, weights: Iterable[np.ndarray], most_fraction_bits: int = 15) -> FixedPoint:
        """Return the format with the most fraction bits that holds every weight without saturating.

        By default m >= 0, as a Qm.n of numbers below 1 is usually written. Weights that are all zero get Q0.15. Raises ValueError for
        weights that no format holds.
        """
        arrays = [np.asarray(w, dtype=np.float64) for w in weights]
        lowest, highest = (
            min((w.min() for w in arrays if w.size), default=0.0),
            max((w.max() for w in arrays if w.size), default=0.0),
        )
        if lowest == highest == 0:
            return cls()
        for fraction_bits in range(most_fraction_bits, LEAST_FRACTION_BITS - 1, -1):
            fmt = cls(fraction_bits=fraction_bits)
            if np.rint(lowest / fmt.scale) >= fmt.lowest and np.rint(highest / fmt.scale) <= fmt.highest:
                return fmt
        raise ValueError("weights do not fit into 16 bits")

    @property
    def scale(self) -> float:
        """The weight of the least significant bit."""
        return 2.0**-self.fraction_bits

    @property
    def lowest(self) -> int:
        return -(1 << (self.width - 1))

    @property
    def highest(self) -> int:
        return (1 << (self.width - 1)) - 1

    def quantise(self, weights: np.ndarray) -> np.ndarray:
        """Return int16 codes: round half to even, saturate."""
        return quantise(weights, self.scale)

    def dequantise(self, codes: np.ndarray) -> np.ndarray:
        """Return float32 weights; exact, as a 16-bit code fits into the 24-bit significand."""
        return np.asarray(codes, dtype=np.float32) * np.float32(self.scale)

    def __str__(self) -> str:
        return f"Q{self.width - 1 - self.fraction_bits}.{self.fraction_bits}"
