"""Many faulty copies of one network at once, each copy with the same bits as if it were alone.

Floating point depends on shapes: the same product in a larger matrix may be summed in another order. So every
call is cut into chunks of one fixed shape, copies x pictures, filled up where need be, on one thread. A
copy's weights begin on a 64-byte boundary wherever it stands, as kernels for aligned and for other addresses
may differ too. What a copy answers then depends on its weights and the pictures alone.

A copy is a sequence of arrays, one per layer [fan_in, fan_out]: int16 codes in the layer's format, or float32 weights as they are, for
cells that hold something between codes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.crossbar.tiles import TILE_SIDE
from lifesim.network.architecture import Architecture
from lifesim.network.datasets import load_dataset
from lifesim.network.forward import (
    CellNoise,
    ConversionNoise,
    LayerNoise,
    WeightNoise,
    compute_layout,
    forward,
    single_threaded,
    to_input,
    to_rows,
)
from lifesim.network.model import Model
from lifesim.scenario.network import DataSource

PICTURES_PER_PIECE = 16
# Many copies in a chunk save overhead where a copy is little work; from so many MACs per picture one will do.
_MACS_PER_CHUNK = 1 << 20
# Hardly slower than more, and a copy that comes alone pays for all eight.
_MOST_COPIES_PER_CHUNK = 8
_FLOATS_PER_BOUNDARY = 16
INPUT_BITS = 16
"""Inputs are fed bit by bit: 16 bits relative to the largest of their vector, signs apart."""

NoiseKind = Literal["weight", "cell_analog", "cell_adc"]


@dataclass(frozen=True, slots=True)
class Noise:
    """Read noise, redrawn for every MVM. What deviates, independently of all others, by N(0, ``sigma``^2) of itself:

    ``weight``: every weight. ``cell_analog``: the conductance of every cell, so that a weight deviates by what its cells' levels are worth.
    ``cell_adc``: every conversion of a column of cells, one for each digit, input bit and tile of 128 rows, by ``sigma`` of the full scale
    (128 cells at the top level).

    ``z``: standard normal float32 [K, m, E], one number for each MVM result: layers in order, within a layer
    [fan_out, positions] (positions in row-major order). ``E`` is :attr:`Evaluator.noise_elements`.
    """

    sigma: float
    z: np.ndarray
    kind: NoiseKind = "weight"

    def __post_init__(self) -> None:
        if self.kind not in get_args(NoiseKind):
            raise ValueError(f"read noise is one of {', '.join(get_args(NoiseKind))}, not {self.kind}")


class Evaluator:
    """Evaluates copies of one network that differ in their weights; ``encoding``: how the noise finds them in cells."""

    def __init__(
        self,
        architecture: Architecture,
        formats: Sequence[FixedPoint],
        biases: Sequence[np.ndarray],
        device: str = "cpu",
        encoding: Encoding = SLC,
    ) -> None:
        self.architecture = architecture
        self.formats = tuple(formats)
        self.encoding = encoding
        self.device = torch.device(device)
        self.copies_per_chunk = max(1, min(_MOST_COPIES_PER_CHUNK, _MACS_PER_CHUNK // architecture.macs))
        # Copied into memory that torch aligned.
        self._biases = [torch.tensor(b, dtype=torch.float32, device=self.device) for b in biases]

    @classmethod
    def of(cls, model: Model, device: str = "cpu", encoding: Encoding = SLC) -> Evaluator:
        """Return an evaluator for copies of ``model``."""
        return cls(model.architecture, model.formats, model.biases, device, encoding)

    @property
    def noise_elements(self) -> int:
        """Number of MVM results of one inference: the length E of the noise of a picture."""
        return sum(layer.positions * layer.fan_out for layer in self.architecture.crossbar_layers)

    def logits(
        self, copies: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, noise: Noise | None = None
    ) -> np.ndarray:
        """Return float32 logits [K, m, classes].

        Parameters
        ----------
        copies : K copies, each per layer int16 codes or float32 weights [fan_in, fan_out]
        pictures : uint8 [m, channels, height, width]
        noise : of all copies, or None for an ideal read
        """
        return self._evaluate(copies, pictures, noise, softmax=False)

    def confidences(
        self, copies: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, noise: Noise | None = None
    ) -> np.ndarray:
        """Return float32 softmax outputs [K, m, classes]; parameters as of :meth:`logits`."""
        return self._evaluate(copies, pictures, noise, softmax=True)

    def correct(
        self, copies: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """Return for each copy how many pictures it classifies as labelled, int64 [K]. An ideal read."""
        return (self.logits(copies, pictures).argmax(axis=2) == labels).sum(axis=1, dtype=np.int64)

    def picture_gradients(
        self, copy: Sequence[np.ndarray], pictures: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """Return the gradient of each picture's cross-entropy in its own pixels, as the network sees them. An ideal read.

        float32 [m, channels, height, width]; a picture's gradient does not depend on its neighbours.
        """
        gradients = np.empty(pictures.shape, dtype=np.float32)
        first_step = self.architecture.steps[0]
        with single_threaded():
            weights = self._weights([copy])
            for start in range(0, len(pictures), PICTURES_PER_PIECE):
                piece = slice(start, start + PICTURES_PER_PIECE)
                x = to_input(self.architecture, _filled(pictures[piece]), self.device)[None].requires_grad_()
                logits = forward(self.architecture, weights, self._biases, to_rows(first_step, x))[0]
                targets = torch.tensor(_filled(labels[piece]), device=self.device)
                # The sum, not the mean: a picture's gradient does not depend on the pictures beside it.
                loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, x)
                gradients[piece] = gradient[0].permute(0, 3, 1, 2)[: len(pictures[piece])].cpu().numpy()
        return gradients

    @torch.inference_mode()
    def _evaluate(
        self, copies: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, noise: Noise | None, softmax: bool
    ) -> np.ndarray:
        count, m = len(copies), len(pictures)
        out = np.empty((count, m, self.architecture.classes), dtype=np.float32)
        with single_threaded():
            pieces = [
                self._rows(pictures[start : start + PICTURES_PER_PIECE])
                for start in range(0, m, PICTURES_PER_PIECE)
            ]
            for first in range(0, count, self.copies_per_chunk):
                chunk = slice(first, min(first + self.copies_per_chunk, count))
                weights = self._weights(copies[chunk])
                noisy = noise and self._noise_of(noise, copies[chunk])
                for piece, rows in enumerate(pieces):
                    part = slice(piece * PICTURES_PER_PIECE, min((piece + 1) * PICTURES_PER_PIECE, m))
                    layer_noise = noisy and self._drawn(noisy, noise.z[chunk, part])
                    logits = forward(self.architecture, weights, self._biases, rows, layer_noise)
                    answers = torch.softmax(logits, dim=2) if softmax else logits
                    out[chunk, part] = answers[: chunk.stop - first, : part.stop - part.start].cpu().numpy()
        return out

    def _rows(self, pictures: np.ndarray) -> torch.Tensor:
        return to_rows(
            self.architecture.steps[0], to_input(self.architecture, _filled(pictures), self.device)[None]
        ).contiguous()

    def _weights(self, copies: Sequence[Sequence[np.ndarray]]) -> list[torch.Tensor]:
        weights = []
        for layer, fmt in zip(zip(*copies, strict=True), self.formats, strict=True):
            if all(array.dtype == np.int16 for array in layer):
                weights.append((layer, fmt.scale))  # scaled where it is laid out, in one pass
            else:
                weights.append(([fmt.dequantise(a) if a.dtype == np.int16 else a for a in layer], 1.0))
        return self._laid_out(weights)

    def _laid_out(self, layers: Sequence[tuple[Sequence[np.ndarray], float]]) -> list[torch.Tensor]:
        """Return float32 [copies_per_chunk, fan_in, fan_out] per layer of the copies' arrays times a factor, with zeros behind."""
        stacked = [torch.from_numpy(np.stack(arrays)).to(self.device) for arrays, _ in layers]
        out = []
        for values, (_, factor) in zip(compute_layout(self.architecture, stacked), layers, strict=True):
            copies, fan_in, fan_out = values.shape
            stride = -(-fan_in * fan_out // _FLOATS_PER_BOUNDARY) * _FLOATS_PER_BOUNDARY
            buffer = torch.zeros(self.copies_per_chunk, stride, device=self.device)
            laid_out = buffer.as_strided((self.copies_per_chunk, fan_in, fan_out), (stride, fan_out, 1))
            laid_out[:copies] = values
            out.append(laid_out.mul_(factor))
        return out

    def _noise_of(
        self, noise: Noise, copies: Sequence[Sequence[np.ndarray]]
    ) -> list[Callable[[torch.Tensor], LayerNoise]]:
        """Return for each layer what makes its noise from standard normals [copies_per_chunk, rows, fan_out]."""
        layers = self.architecture.crossbar_layers
        match noise.kind:
            case "weight":
                return [functools.partial(WeightNoise, noise.sigma)] * len(layers)
            case "cell_analog":
                squares = cell_squares(self.encoding)
                held = [
                    [squares[(a if a.dtype == np.int16 else fmt.quantise(a)).view(np.uint16)] for a in layer]
                    for layer, fmt in zip(zip(*copies, strict=True), self.formats, strict=True)
                ]
                factors = [(noise.sigma * fmt.scale) ** 2 for fmt in self.formats]
                variances = self._laid_out(list(zip(held, factors, strict=True)))
                return [functools.partial(CellNoise, v) for v in variances]
            case "cell_adc":
                steps = [
                    noise.sigma * fmt.scale * conversion_spread(self.encoding, layer.fan_in)
                    for layer, fmt in zip(layers, self.formats, strict=True)
                ]
                return [functools.partial(ConversionNoise, step) for step in steps]

    def _drawn(
        self, noisy: Sequence[Callable[[torch.Tensor], LayerNoise]], z: np.ndarray
    ) -> list[LayerNoise]:
        full = torch.zeros(self.copies_per_chunk, PICTURES_PER_PIECE, z.shape[2], device=self.device)
        full[: z.shape[0], : z.shape[1]] = torch.from_numpy(z)
        layers = self.architecture.crossbar_layers
        parts = full.split([layer.positions * layer.fan_out for layer in layers], dim=2)
        return [
            make(part.unflatten(2, (layer.fan_out, -1)).transpose(2, 3).flatten(1, 2))
            for make, part, layer in zip(noisy, parts, layers, strict=True)
        ]


@functools.cache
def cell_squares(encoding: Encoding) -> np.ndarray:
    """Return for every code, in the order of its bits, sum_j (digit_value_j level_j)^2: float32 [65536].

    Times (sigma scale)^2 it is the variance of the weight if each of its cells deviates by a relative N(0, sigma^2).
    """
    codes = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    return ((encoding.levels(codes) * encoding.digit_values()) ** 2).sum(axis=1).astype(np.float32)


def conversion_spread(encoding: Encoding, fan_in: int) -> float:
    """Return the standard deviation of an MVM's result, in codes times the largest |x|, if a conversion's is its full scale.

    The square is the sum over tiles, digits j and input bits b of (digit_value_j 2^b / 2^16 * 128 * top level)^2.
    """
    tiles = -(-fan_in // TILE_SIDE)
    bits = np.sum(4.0 ** np.arange(INPUT_BITS)) / 4.0**INPUT_BITS
    return (
        TILE_SIDE * encoding.top_level * float(np.sqrt(tiles * np.sum(encoding.digit_values() ** 2) * bits))
    )


def correct_in_part(
    model: Model, copies: Sequence[Sequence[np.ndarray]], source: DataSource, part: str, device: str = "cpu"
) -> np.ndarray:
    """Return how many pictures of a data set's part each copy of ``model`` gets right, int64 [K]."""
    pictures, labels = load_dataset(source).part(part)
    return Evaluator.of(model, device).correct(copies, pictures, labels)


def _filled(array: np.ndarray) -> np.ndarray:
    """Return up to PICTURES_PER_PIECE pictures or labels with zeros behind, so that there are as many."""
    full = np.zeros((PICTURES_PER_PIECE, *array.shape[1:]), dtype=array.dtype)
    full[: len(array)] = array
    return full
