"""A trained network as a device gets it: codes for the crossbars, digital biases, one fixed-point format."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.network.architecture import Architecture


@dataclass(frozen=True, eq=False)
class Model:
    """One version of a network. The arrays are read-only; models with equal content have equal digests.

    Parameters
    ----------
    codes : per crossbar layer int16 [fan_in, fan_out]
    biases : per crossbar layer float32 [fan_out]
    """

    architecture: Architecture
    fixed_point: FixedPoint
    codes: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        layers = self.architecture.crossbar_layers
        object.__setattr__(self, "codes", tuple(_frozen(c, np.int16) for c in self.codes))
        object.__setattr__(self, "biases", tuple(_frozen(b, np.float32) for b in self.biases))
        shapes = [c.shape for c in self.codes], [b.shape for b in self.biases]
        if shapes != (
            [(layer.fan_in, layer.fan_out) for layer in layers],
            [(layer.fan_out,) for layer in layers],
        ):
            raise ValueError(f"codes and biases of shapes {shapes} do not fit {self.architecture.name}")

    @classmethod
    def quantised(
        cls, architecture: Architecture, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]
    ) -> Model:
        """Return float weights in the tightest format that holds all of them (one format per network)."""
        fixed_point = FixedPoint.tightest(weights)
        return cls(architecture, fixed_point, tuple(fixed_point.quantise(w) for w in weights), tuple(biases))

    @functools.cached_property
    def digest(self) -> bytes:
        """A 16-byte hash (blake2b) of everything that the model is: its version on the link."""
        digest = hashlib.blake2b(repr((self.architecture, self.fixed_point)).encode(), digest_size=16)
        for array in (*self.codes, *self.biases):
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.digest()

    def weights(self) -> tuple[np.ndarray, ...]:
        """The weights that the codes stand for, float32 [fan_in, fan_out] per layer."""
        return tuple(self.fixed_point.dequantise(c) for c in self.codes)

    def with_codes(self, codes: Sequence[np.ndarray]) -> Model:
        """Return the model with other codes and the same biases and format."""
        return Model(self.architecture, self.fixed_point, tuple(codes), self.biases)


def _frozen(array: np.ndarray, dtype: type) -> np.ndarray:
    # A view of a read-only array that owns its data cannot be made writeable again by accident.
    if array.dtype == dtype and not array.flags.writeable and array.flags.c_contiguous and array.base is None:
        return array
    array = np.array(array, dtype=dtype, order="C")
    array.flags.writeable = False
    return array
