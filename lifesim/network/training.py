"""Training of a network from nothing: Adam on slightly shifted pictures, one thread, every draw keyed."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, Described, MaxPool, Relu, Step
from lifesim.network.datasets import Dataset
from lifesim.network.forward import compute_layout, forward, single_threaded, to_input, to_rows
from lifesim.network.model import Model
from lifesim.scenario.network import Network
from lifesim.streams import generator, stream_key

CODE_VERSION = 1
"""Raise it with every change that alters what :func:`train` returns: it is part of a cached model's name."""

_DECAYS = 0.9, 0.999
_EPSILON = 1e-8
# Many copies of a small network go through patches of pictures; one copy of a large one, in training, through torch's convolutions: four times
# as fast for 12 million MACs.
_CONVOLVED_FROM_MACS = 1 << 22


@dataclass(frozen=True, slots=True, repr=False)
class TrainingSettings(Described):
    """How to train.

    ``learning_rate`` decays to zero along half a cosine; ``shift_pixels`` moves every picture by up to so
    many pixels in each direction; ``flip`` mirrors half of them, left to right; ``weight_limit`` clips weights, which keeps the
    fixed-point format tight.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    shift_pixels: int
    weight_limit: float
    flip: bool = False

    @classmethod
    def of(cls, network: Network) -> TrainingSettings:
        """Return the settings of a scenario's network."""
        return cls(**{name: getattr(network, name) for name in cls.__slots__})


@dataclass(frozen=True, eq=False)
class Trained:
    """What training ends with: per crossbar layer weights float32 [fan_in, fan_out] and biases float32 [fan_out]."""

    architecture: Architecture
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @functools.cached_property
    def digest(self) -> bytes:
        """A 16-byte hash (blake2b) of weights and biases, their types and shapes."""
        digest = hashlib.blake2b(digest_size=16)
        for array in (*self.weights, *self.biases):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.tobytes())
        return digest.digest()

    def model(self, choice: str | Mapping[str, str] = "global") -> Model:
        """Return the network in fixed point; ``choice`` as for :func:`lifesim.network.model.choose_formats`."""
        return Model.quantised(self.architecture, self.weights, self.biases, choice)


def train(architecture: Architecture, dataset: Dataset, seed: int, settings: TrainingSettings) -> Trained:
    """Return a network trained on the part ``train``. Same arguments, versions and CPU type: same bytes."""
    pictures, labels = dataset.part("train")
    rng = generator(stream_key("training", architecture.name, dataset.name, seed))
    layers = architecture.crossbar_layers
    with single_threaded():
        # He et al. (2015) scaled by 1/sqrt(3), as torch initialises its layers.
        bounds = [math.sqrt(2 / layer.fan_in) for layer in layers]
        weights = [
            torch.from_numpy(rng.uniform(-b, b, (1, layer.fan_in, layer.fan_out)).astype(np.float32))
            for b, layer in zip(bounds, layers, strict=True)
        ]
        biases = [torch.zeros(layer.fan_out) for layer in layers]
        _descend(architecture, weights, biases, pictures, torch.tensor(labels), settings, rng)
        return Trained(architecture, tuple(w[0].numpy() for w in weights), tuple(b.numpy() for b in biases))


def _descend(
    architecture: Architecture,
    weights: list[torch.Tensor],
    biases: list[torch.Tensor],
    pictures: np.ndarray,
    labels: torch.Tensor,
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> None:
    """Train ``weights`` and ``biases`` in place on ``pictures`` uint8 [n, channels, height, width]."""
    count = len(pictures)
    size, shift = min(settings.batch_size, count), settings.shift_pixels
    parameters = [*weights, *biases]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    steps, step = settings.epochs * (count // size), 0
    limit = settings.weight_limit * (1 - 2.0**-15)  # what the largest code stands for
    for _ in range(settings.epochs):
        order = rng.permutation(count)
        offsets = rng.integers(0, 2 * shift + 1, (2, count))
        flipped = rng.integers(0, 2, count).astype(bool) if settings.flip else np.zeros(count, bool)
        for first in range(0, count - size + 1, size):
            batch = order[first : first + size]
            x = to_input(architecture, pictures[batch])
            if shift:
                x = _shifted(x, shift, *(torch.from_numpy(o[batch]) for o in offsets))
            if settings.flip:
                x = torch.where(torch.from_numpy(flipped[batch])[:, None, None, None], x.flip(2), x)
            gradients = loss_gradients(architecture, parameters, x, labels[torch.from_numpy(batch)])
            step += 1
            rate = settings.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            for parameter, gradient, moment in zip(parameters, gradients, moments, strict=True):
                adam(parameter, gradient, *moment, step, rate)
            for weight in weights:
                weight.clamp_(-limit, limit)


def _shifted(x: torch.Tensor, most: int, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Cut pictures [n, h, w, c] out of themselves with a border of ``most`` zeros, each from its own corner [n]."""
    count, height, width, _ = x.shape
    padded = F.pad(x, (0, 0, most, most, most, most))
    rows, columns = down[:, None] + torch.arange(height), right[:, None] + torch.arange(width)
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def loss_gradients(
    architecture: Architecture, parameters: list[torch.Tensor], x: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the gradients of one copy's mean cross-entropy in ``parameters``, for inputs ``x`` [m, height, width, channels].

    These are the weights [1, fan_in, fan_out] of all layers, then their biases [fan_out].
    """
    layers = len(architecture.crossbar_layers)
    if all(isinstance(step, Dense | Relu) for step in architecture.steps):
        return _dense_gradients(architecture.steps, parameters[:layers], parameters[layers:], x, labels)
    leaves = [p.detach().requires_grad_() for p in parameters]
    weights, biases = leaves[:layers], leaves[layers:]
    if architecture.macs < _CONVOLVED_FROM_MACS:
        rows = to_rows(architecture.steps[0], x[None])
        logits = forward(architecture, compute_layout(architecture, weights), biases, rows)[0]
    else:
        logits = convolved(architecture.steps, [w[0] for w in weights], biases, x)
    return torch.autograd.grad(F.cross_entropy(logits, labels), leaves)


def _dense_gradients(
    steps: Sequence[Step],
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    x: torch.Tensor,
    labels: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """Return :func:`loss_gradients` of a network of dense layers and ReLUs: the same operations as torch's autograd, bit for bit, without its graph.

    Most of a small network's training would be spent on that.
    """
    aten = torch.ops.aten
    x = to_rows(steps[0], x[None])
    layer, entered, passed = 0, [], []  # what enters each layer, and what comes out of each ReLU
    for step in steps:
        if isinstance(step, Dense):
            entered.append(x)
            x = torch.bmm(x, weights[layer]).add_(biases[layer])
            layer += 1
        else:
            x = x.relu_()
            passed.append(x)
    log_shares = torch.log_softmax(x[0], dim=1)
    gradient = torch.zeros_like(log_shares)
    gradient.scatter_(1, labels[:, None], -1.0 / len(labels))
    gradient = aten._log_softmax_backward_data(gradient, log_shares, 1, log_shares.dtype)[None]
    of_weights, of_biases = [], []
    for step in reversed(steps):
        if isinstance(step, Relu):
            gradient = aten.threshold_backward(gradient, passed.pop(), 0)
            continue
        layer -= 1
        of_biases.append(gradient.sum_to_size(biases[layer].shape))
        of_weights.append(entered[layer].transpose(1, 2).bmm(gradient))
        if layer:
            gradient = gradient.bmm(weights[layer].transpose(1, 2))
    return (*reversed(of_weights), *reversed(of_biases))


def convolved(
    steps: Sequence[Step],
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    x: torch.Tensor,
) -> torch.Tensor:
    """Return what a network's first ``steps`` make of inputs [m, height, width, channels], through torch's own layers.

    With all steps the same function as ``forward``, with other last bits; without dense ones pictures [m, channels, height, width].

    ``weights``: per layer [fan_in, fan_out], rows of convolutions as (channel, row, column).
    """
    x, layer = x.permute(0, 3, 1, 2), 0
    for step in steps:
        match step:
            case Relu():
                x = F.relu(x)
            case MaxPool():
                x = F.max_pool2d(x, step.size, step.step, ceil_mode=True)
            case AvgPool():
                x = F.avg_pool2d(x, step.size, step.step, ceil_mode=True)
            case Conv():
                kernels = weights[layer].T.reshape(step.channels, -1, step.kernel, step.kernel)
                x = F.conv2d(x, kernels, biases[layer], padding=step.padding)
                layer += 1
            case Dense():
                x = x.flatten(1) @ weights[layer] + biases[layer]
                layer += 1
    return x


def adam(
    parameter: torch.Tensor,
    gradient: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    step: int,
    rate: float,
) -> None:
    """One update of Adam (Kingma and Ba 2015, algorithm 1), in place."""
    mean.mul_(_DECAYS[0]).add_(gradient, alpha=1 - _DECAYS[0])
    square.mul_(_DECAYS[1]).addcmul_(gradient, gradient, value=1 - _DECAYS[1])
    corrected = (square / (1 - _DECAYS[1] ** step)).sqrt_().add_(_EPSILON)
    parameter.addcdiv_(mean, corrected, value=-rate / (1 - _DECAYS[0] ** step))
