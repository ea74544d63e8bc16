"""A trained network as a device gets it: codes for the crossbars, digital biases, the fixed-point formats of its layers."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.fixedpoint import MOST_FRACTION_BITS, FixedPoint
from lifesim.network.architecture import Architecture
from lifesim.scenario.network import fraction_bits


@dataclass(frozen=True, eq=False)
class Model:
    """One version of a network. The arrays are read-only; models with equal content have equal digests.

    Parameters
    ----------
    formats : per crossbar layer
    codes : per crossbar layer int16 [fan_in, fan_out]
    biases : per crossbar layer float32 [fan_out]
    """

    architecture: Architecture
    formats: tuple[FixedPoint, ...]
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
        if len(self.formats) != len(layers):
            raise ValueError(
                f"{len(self.formats)} formats do not fit the {len(layers)} layers of {self.architecture.name}"
            )

    @classmethod
    def quantised(
        cls,
        architecture: Architecture,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray],
        choice: str | Mapping[str, str] = "global",
    ) -> Model:
        """Return float weights in the formats of ``choice`` (see :func:`choose_formats`); what a format cannot hold saturates."""
        formats = choose_formats(choice, architecture, weights)
        codes = tuple(f.quantise(w) for f, w in zip(formats, weights, strict=True))
        return cls(architecture, formats, codes, tuple(biases))

    @functools.cached_property
    def digest(self) -> bytes:
        """A 16-byte hash (blake2b) of everything that the model is: its version on the link."""
        formats = self.formats[0] if len(set(self.formats)) == 1 else self.formats
        digest = hashlib.blake2b(repr((self.architecture, formats)).encode(), digest_size=16)
        for array in (*self.codes, *self.biases):
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Model) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def weights(self) -> tuple[np.ndarray, ...]:
        """The weights that the codes stand for, float32 [fan_in, fan_out] per layer."""
        return tuple(f.dequantise(c) for f, c in zip(self.formats, self.codes, strict=True))

    def formats_text(self) -> str:
        """The formats in words: one name if all layers have the same, else each with its layer's name."""
        if len(set(self.formats)) == 1:
            return str(self.formats[0])
        layers = self.architecture.crossbar_layers
        return ", ".join(f"{layer.name} {f}" for layer, f in zip(layers, self.formats, strict=True))

    def with_codes(self, codes: Sequence[np.ndarray]) -> Model:
        """Return the model with other codes and the same biases and formats."""
        return Model(self.architecture, self.formats, tuple(codes), self.biases)


def choose_formats(
    choice: str | Mapping[str, str], architecture: Architecture, weights: Sequence[np.ndarray]
) -> tuple[FixedPoint, ...]:
    """Return the format of every layer.

    ``choice``: "global", the tightest Qm.n (m >= 0) that holds all weights of the network; "per_layer", the tightest power-of-two scale of
    each layer; a name such as "Q1.14" for all layers; or a table of names by layer, where layers that it leaves out get their tightest.
    """
    if choice == "global":
        return (FixedPoint.tightest(weights),) * len(weights)
    layers = [layer.name for layer in architecture.crossbar_layers]
    if isinstance(choice, str):
        choice = {} if choice == "per_layer" else dict.fromkeys(layers, choice)
    return tuple(
        FixedPoint(fraction_bits=fraction_bits(choice[name]))
        if name in choice
        else FixedPoint.tightest([w], MOST_FRACTION_BITS)
        for name, w in zip(layers, weights, strict=True)
    )


def _frozen(array: np.ndarray, dtype: type) -> np.ndarray:
    # A view of a read-only array that owns its data cannot be made writeable again by accident.
    if array.dtype == dtype and not array.flags.writeable and array.flags.c_contiguous and array.base is None:
        return array
    array = np.array(array, dtype=dtype, order="C")
    array.flags.writeable = False
    return array
