"""The fixed-point format of weights: one type owns width, sign and scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Signed two's complement with ``width`` bits, of which ``fraction_bits`` lie behind the point (Qm.n, n = fraction_bits).

    RRAMedy uses 16 bits. A code ``c`` stands for the weight ``c * 2**-fraction_bits``.
    """

    width: int = 16
    fraction_bits: int = 15

    def __post_init__(self) -> None:
        if self.width != 16 or not 0 <= self.fraction_bits <= self.width - 1:
            raise ValueError(
                f"need 16 bits and 0..15 behind the point, got {self.width} and {self.fraction_bits}"
            )

    @classmethod
    def tightest(cls, weights: Iterable[np.ndarray], width: int = 16) -> FixedPoint:
        """Return the format with the most fraction bits (m >= 0) that holds every weight without saturating."""
        arrays = [np.asarray(w, dtype=np.float64) for w in weights]
        for fraction_bits in range(width - 1, -1, -1):
            fmt = cls(width, fraction_bits)
            if all(
                np.all((np.rint(w / fmt.scale) >= fmt.lowest) & (np.rint(w / fmt.scale) <= fmt.highest))
                for w in arrays
            ):
                return fmt
        raise ValueError(f"weights do not fit into {width} bits")

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
        codes = np.rint(np.asarray(weights, dtype=np.float64) / self.scale)
        return np.clip(codes, self.lowest, self.highest).astype(np.int16)

    def dequantise(self, codes: np.ndarray) -> np.ndarray:
        """Return float32 weights; exact, as a 16-bit code fits into the 24-bit significand."""
        return np.asarray(codes, dtype=np.float32) * np.float32(self.scale)

    def __str__(self) -> str:
        return f"Q{self.width - 1 - self.fraction_bits}.{self.fraction_bits}"
