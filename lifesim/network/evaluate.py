"""Many faulty copies of one network at once, each copy with the same bits as if it were alone.

Floating point depends on shapes: the same product in a larger matrix may be summed in another order. So every
call is cut into chunks of one fixed shape, copies x pictures, filled up where need be, on one thread. A
copy's weights begin on a 64-byte boundary wherever it stands, as kernels for aligned and for other addresses
may differ too. What a copy answers then depends on its codes and the pictures alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.network.architecture import Architecture
from lifesim.network.datasets import load_dataset
from lifesim.network.forward import LayerNoise, compute_layout, forward, single_threaded, to_input, to_rows
from lifesim.network.model import Model

PICTURES_PER_PIECE = 16
# Many copies in a chunk save overhead where a copy is little work; from so many MACs per picture one will do.
_MACS_PER_CHUNK = 1 << 20
# Hardly slower than more, and a copy that comes alone pays for all eight.
_MOST_COPIES_PER_CHUNK = 8
_FLOATS_PER_BOUNDARY = 16


@dataclass(frozen=True, slots=True)
class Noise:
    """Read noise: every weight deviates independently by a relative N(0, sigma^2), redrawn for every MVM.

    ``z``: standard normal float32 [K, m, E], one number for each MVM result: layers in order, within a layer
    [positions, fan_out] (positions in row-major order). ``E`` is :attr:`Evaluator.noise_elements`.
    """

    sigma: float
    z: np.ndarray


class Evaluator:
    """Evaluates copies of one network that differ in their codes."""

    def __init__(
        self,
        architecture: Architecture,
        fixed_point: FixedPoint,
        biases: Sequence[np.ndarray],
        device: str = "cpu",
    ) -> None:
        self.architecture = architecture
        self.fixed_point = fixed_point
        self.device = torch.device(device)
        self.copies_per_chunk = max(1, min(_MOST_COPIES_PER_CHUNK, _MACS_PER_CHUNK // architecture.macs))
        # Copied into memory that torch aligned.
        self._biases = [torch.tensor(b, dtype=torch.float32, device=self.device) for b in biases]

    @classmethod
    def of(cls, model: Model, device: str = "cpu") -> Evaluator:
        """Return an evaluator for copies of ``model``."""
        return cls(model.architecture, model.fixed_point, model.biases, device)

    @property
    def noise_elements(self) -> int:
        """Number of MVM results of one inference: the length E of the noise of a picture."""
        return sum(layer.positions * layer.fan_out for layer in self.architecture.crossbar_layers)

    def logits(
        self, codes: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, noise: Noise | None = None
    ) -> np.ndarray:
        """Return float32 logits [K, m, classes].

        Parameters
        ----------
        codes : K copies, each per layer int16 [fan_in, fan_out]
        pictures : uint8 [m, channels, height, width]
        noise : of all copies, or None for an ideal read
        """
        return self._evaluate(codes, pictures, noise, softmax=False)

    def confidences(
        self, codes: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, noise: Noise | None = None
    ) -> np.ndarray:
        """Return float32 softmax outputs [K, m, classes]; parameters as of :meth:`logits`."""
        return self._evaluate(codes, pictures, noise, softmax=True)

    def correct(
        self, codes: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """Return for each copy how many pictures it classifies as labelled, int64 [K]. An ideal read."""
        return (self.logits(codes, pictures).argmax(axis=2) == labels).sum(axis=1, dtype=np.int64)

    def picture_gradients(
        self, codes: Sequence[np.ndarray], pictures: np.ndarray, labels: np.ndarray
    ) -> np.ndarray:
        """Return the gradient of each picture's cross-entropy in its own pixels (in [0, 1)). An ideal read.

        float32 [m, channels, height, width]; a picture's gradient does not depend on its neighbours.
        """
        gradients = np.empty(pictures.shape, dtype=np.float32)
        first_step = self.architecture.steps[0]
        with single_threaded():
            weights = self._weights([codes])
            for start in range(0, len(pictures), PICTURES_PER_PIECE):
                piece = slice(start, start + PICTURES_PER_PIECE)
                x = to_input(_filled(pictures[piece]), self.device)[None].requires_grad_()
                logits = forward(self.architecture, weights, self._biases, to_rows(first_step, x))[0]
                targets = torch.tensor(_filled(labels[piece]), device=self.device)
                # The sum, not the mean: a picture's gradient does not depend on the pictures beside it.
                loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
                (gradient,) = torch.autograd.grad(loss, x)
                gradients[piece] = gradient[0].permute(0, 3, 1, 2)[: len(pictures[piece])].cpu().numpy()
        return gradients

    @torch.inference_mode()
    def _evaluate(
        self, codes: Sequence[Sequence[np.ndarray]], pictures: np.ndarray, noise: Noise | None, softmax: bool
    ) -> np.ndarray:
        copies, m = len(codes), len(pictures)
        out = np.empty((copies, m, self.architecture.classes), dtype=np.float32)
        with single_threaded():
            pieces = [
                self._rows(pictures[start : start + PICTURES_PER_PIECE])
                for start in range(0, m, PICTURES_PER_PIECE)
            ]
            for first in range(0, copies, self.copies_per_chunk):
                chunk = slice(first, min(first + self.copies_per_chunk, copies))
                weights = self._weights(codes[chunk])
                for piece, rows in enumerate(pieces):
                    part = slice(piece * PICTURES_PER_PIECE, min((piece + 1) * PICTURES_PER_PIECE, m))
                    layer_noise = noise and self._noise(noise.sigma, noise.z[chunk, part])
                    logits = forward(self.architecture, weights, self._biases, rows, layer_noise)
                    answers = torch.softmax(logits, dim=2) if softmax else logits
                    out[chunk, part] = answers[: chunk.stop - first, : part.stop - part.start].cpu().numpy()
        return out

    def _rows(self, pictures: np.ndarray) -> torch.Tensor:
        return to_rows(
            self.architecture.steps[0], to_input(_filled(pictures), self.device)[None]
        ).contiguous()

    def _weights(self, codes: Sequence[Sequence[np.ndarray]]) -> list[torch.Tensor]:
        stacked = [torch.from_numpy(np.stack(layer)).to(self.device) for layer in zip(*codes, strict=True)]
        return [self._dequantised(layer) for layer in compute_layout(self.architecture, stacked)]

    def _dequantised(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the weights of ``codes`` [k, fan_in, fan_out], zeros up to the copies of a chunk."""
        copies, fan_in, fan_out = codes.shape
        stride = -(-fan_in * fan_out // _FLOATS_PER_BOUNDARY) * _FLOATS_PER_BOUNDARY
        buffer = torch.zeros(self.copies_per_chunk, stride, device=self.device)
        weights = buffer.as_strided((self.copies_per_chunk, fan_in, fan_out), (stride, fan_out, 1))
        weights[:copies] = codes
        return weights.mul_(self.fixed_point.scale)

    def _noise(self, sigma: float, z: np.ndarray) -> list[LayerNoise]:
        full = torch.zeros(self.copies_per_chunk, PICTURES_PER_PIECE, z.shape[2], device=self.device)
        full[: z.shape[0], : z.shape[1]] = torch.from_numpy(z)
        sizes = [layer.positions * layer.fan_out for layer in self.architecture.crossbar_layers]
        return [
            LayerNoise(sigma, part.reshape(self.copies_per_chunk, -1, layer.fan_out))
            for part, layer in zip(full.split(sizes, dim=2), self.architecture.crossbar_layers, strict=True)
        ]


def correct_in_part(
    model: Model, copies: Sequence[Sequence[np.ndarray]], dataset: str, part: str, device: str = "cpu"
) -> np.ndarray:
    """Return how many pictures of a data set's part each copy of ``model`` gets right, int64 [K]."""
    pictures, labels = load_dataset(dataset).part(part)
    return Evaluator.of(model, device).correct(copies, pictures, labels)


def _filled(array: np.ndarray) -> np.ndarray:
    """Return up to PICTURES_PER_PIECE pictures or labels with zeros behind, so that there are as many."""
    full = np.zeros((PICTURES_PER_PIECE, *array.shape[1:]), dtype=array.dtype)
    full[: len(array)] = array
    return full
