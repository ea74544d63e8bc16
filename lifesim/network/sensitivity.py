"""What pictures reveal of weights through read noise: a function of the pixels that can be differentiated.

A weight that is off by d moves a logit by d times the gradient; read noise moves it too. To first order both follow from one backward pass, and the
ratio of their squares is what a test can see of the weight (its Fisher information, per squared weight).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lifesim.crossbar.encoding import BITS_PER_WEIGHT, SLC, Encoding
from lifesim.network.architecture import AvgPool, Conv, Dense, MaxPool, Relu
from lifesim.network.evaluate import NoiseKind, cell_squares, conversion_spread
from lifesim.network.forward import single_threaded, to_input
from lifesim.network.model import Model

_PICTURES_AT_ONCE = 32
_LEAST = 1e-30  # of a variance, so that there is none to divide by that is 0


@dataclass(frozen=True, slots=True)
class Read:
    """Logits [m, classes] of m pictures; per crossbar layer all MVM results [m, ...] and the variances of their noise."""

    logits: torch.Tensor
    results: list[torch.Tensor]
    variances: list[torch.Tensor]


class Sensitivity:
    """How the logits of a network that holds ``codes`` (int16 per layer) depend on its weights and on noise of ``sigma`` (see
    :class:`lifesim.network.evaluate.Noise`).
    """

    def __init__(
        self,
        model: Model,
        codes: Sequence[np.ndarray],
        sigma: float,
        kind: NoiseKind = "weight",
        encoding: Encoding = SLC,
        device: str = "cpu",
    ) -> None:
        self.architecture, self.device = model.architecture, torch.device(device)
        self.formats = model.formats

        def placed(array: np.ndarray) -> torch.Tensor:
            return torch.tensor(array, dtype=torch.float32, device=self.device)

        weights = [f.dequantise(c) for f, c in zip(self.formats, codes, strict=True)]
        self._weights = [placed(w).requires_grad_() for w in weights]
        self._biases = [placed(b) for b in model.biases]
        # Per layer the variances of the weights, or the standard deviation of a result whose largest input is 1.
        self._noise: list[torch.Tensor | float]
        match kind:
            case "weight":
                self._noise = [placed((sigma * w) ** 2) for w in weights]
            case "cell_analog":
                squares = cell_squares(encoding)
                self._noise = [
                    placed(squares[c.view(np.uint16)] * (sigma * f.scale) ** 2)
                    for f, c in zip(self.formats, codes, strict=True)
                ]
            case "cell_adc":
                self._noise = [
                    sigma * f.scale * conversion_spread(encoding, len(c))
                    for f, c in zip(self.formats, codes, strict=True)
                ]

    def inputs(self, pictures: np.ndarray) -> torch.Tensor:
        """Return pictures uint8 [m, channels, height, width] as :meth:`read` takes them, float32 [m, height, width, channels]."""
        return to_input(self.architecture, pictures, self.device)

    def read(self, x: torch.Tensor, smoothness: float = 0.0, reach: float = 0.0) -> Read:
        """Return what the network makes of inputs.

        ``smoothness``: ReLUs become softplus functions whose bend is so wide, in units of the root mean square of what enters them, channel by
        channel; only then do units that are off have a gradient by which they can be turned on. ``reach``: gradients pass through units, too, that are off
        by less than so many standard deviations of their noise.
        """
        x, layer = x.permute(0, 3, 1, 2), 0
        total = torch.zeros_like(x)  # variance of x, as if what it is summed from were independent
        results, variances = [], []
        for step in self.architecture.steps:
            match step:
                case Relu():
                    if reach:
                        on = x > -reach * total.sqrt()
                        x, total = _ReluReaching.apply(x, on), total * on
                    else:
                        x = _softplus(x, smoothness) if smoothness else F.relu(x)
                case MaxPool():
                    if reach:
                        total = _of_largest(step, x, total)
                    x = F.max_pool2d(x, step.size, step.step, ceil_mode=True)
                case AvgPool():
                    x = F.avg_pool2d(x, step.size, step.step, ceil_mode=True)
                    if reach:
                        total = F.avg_pool2d(total, step.size, step.step, ceil_mode=True) / step.size**2
                case Conv() | Dense():
                    x, variance = self._multiply(step, layer, x)
                    if reach:
                        total = variance.detach() + self._passed_on(step, layer, total)
                    results.append(x)
                    variances.append(variance)
                    layer += 1
        return Read(x, results, variances)

    @torch.no_grad()
    def _passed_on(self, step: Conv | Dense, layer: int, variance: torch.Tensor) -> torch.Tensor:
        """Return the variances of an MVM's results that come from those of its inputs."""
        squares = self._weights[layer] ** 2
        if isinstance(step, Dense):
            return variance.flatten(1) @ squares
        return F.conv2d(variance, _kernels(step, squares), padding=step.padding)

    def _multiply(self, step: Conv | Dense, layer: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return an MVM's results and the variances of their noise."""
        weight, bias, noise = self._weights[layer], self._biases[layer], self._noise[layer]
        if isinstance(step, Dense):
            x = x.flatten(1)
            if isinstance(noise, float):
                return x @ weight + bias, (x.abs().amax(1, keepdim=True) * noise) ** 2
            return x @ weight + bias, (x * x) @ noise

        result = F.conv2d(x, _kernels(step, weight), bias, padding=step.padding)
        if isinstance(noise, float):
            largest = F.pad(x.abs().amax(1, keepdim=True), (step.padding,) * 4)
            return result, (F.max_pool2d(largest, step.kernel, 1) * noise) ** 2
        return result, F.conv2d(x * x, _kernels(step, noise), padding=step.padding)

    def noise_covariance(self, pictures: np.ndarray, reach: float = 0.0) -> np.ndarray:
        """Return the covariance of each picture's logits under read noise, to first order: float64 [m, classes, classes].

        ``reach``: a unit that is off counts as on, with the noise that then gets through, if noise of so many standard deviations would turn it on.
        Now and then it does, and a covariance that knows nothing of it is too small for those reads.
        """
        classes = self.architecture.classes
        out = np.zeros((len(pictures), classes, classes))
        with single_threaded():
            for first in range(0, len(pictures), _PICTURES_AT_ONCE):
                part = slice(first, first + _PICTURES_AT_ONCE)
                read = self.read(self.inputs(pictures[part]), reach=reach)
                rows = [
                    torch.autograd.grad(read.logits[:, c].sum(), read.results, retain_graph=True)
                    for c in range(classes)
                ]
                for of_layer, variance in zip(zip(*rows, strict=True), read.variances, strict=True):
                    moved = torch.stack([(g * variance.sqrt()).flatten(1) for g in of_layer], dim=1)
                    out[part] += (moved @ moved.transpose(1, 2)).detach().cpu().numpy()
        return out

    def revealed(self, read: Read, directions: torch.Tensor) -> torch.Tensor:
        """Return which share of the weights' bits the pictures reveal, estimated along random ``directions`` of the logits [m, classes].

        A sum of all pictures' logits, each along its direction and in units of its noise, has a gradient of which the squares are on average
        1 / classes of each weight's information I: the squared shift of all whitened logits by a change of 1. A flip of bit b is seen where
        I 4^b scale^2 is well above the scatter of a chi-square statistic over all logits; so log4 of I counts the bits that are, smoothly.
        """
        along = (directions * read.logits).sum(dim=1)
        by_result = torch.autograd.grad(along.sum(), read.results, create_graph=True)
        noise = sum((g * g * v).flatten(1).sum(dim=1) for g, v in zip(by_result, read.variances, strict=True))
        by_weight = torch.autograd.grad(along, self._weights, (noise + _LEAST).rsqrt(), create_graph=True)
        classes = self.architecture.classes
        seen_from = 4 * math.sqrt(
            2 * directions.numel()
        )  # standard deviations of a chi-square with so many degrees
        total: torch.Tensor | float = 0.0
        for gradient, fmt in zip(by_weight, self.formats, strict=True):
            top_bit = fmt.scale * 2.0 ** (BITS_PER_WEIGHT - 1)
            total = total + torch.log1p(gradient**2 * (classes * top_bit**2 / seen_from)).sum()
        return total / (self.architecture.weights * BITS_PER_WEIGHT * math.log(4))


class _ReluReaching(torch.autograd.Function):
    """A ReLU whose gradient is 1 where it is told to be."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, on: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(on)
        return F.relu(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (on,) = ctx.saved_tensors
        return gradient * on, None


def _of_largest(step: MaxPool, x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the values at the places where x is the largest of its pool."""
    places = F.max_pool2d(x, step.size, step.step, ceil_mode=True, return_indices=True)[1]
    return values.flatten(2).gather(2, places.flatten(2)).view(places.shape)


def _kernels(step: Conv, matrix: torch.Tensor) -> torch.Tensor:
    return matrix.T.reshape(step.channels, -1, step.kernel, step.kernel)


def _softplus(x: torch.Tensor, smoothness: float) -> torch.Tensor:
    others = [dim for dim in range(x.dim()) if dim != 1]
    bend = smoothness * x.detach().square().mean(others, keepdim=True).sqrt() + _LEAST
    return bend * F.softplus(x / bend)
