"""Training of a network from nothing: Adam on slightly shifted pictures, one thread, every draw keyed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from lifesim.network.architecture import Architecture
from lifesim.network.datasets import Dataset
from lifesim.network.forward import compute_layout, forward, single_threaded, to_input, to_rows
from lifesim.network.model import Model
from lifesim.scenario.presets import load_preset
from lifesim.streams import generator, stream_key

CODE_VERSION = 1
"""Raise it with every change that alters what :func:`train` returns: it is part of a cached model's name."""

_DECAYS = 0.9, 0.999
_EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train.

    ``learning_rate`` decays to zero along half a cosine; ``shift_pixels`` moves every picture by up to so
    many pixels in each direction; ``weight_limit`` clips weights, which keeps the fixed-point format tight.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    shift_pixels: int
    weight_limit: float

    @classmethod
    def of_preset(cls, network_name: str) -> TrainingSettings:
        """Return the settings in the preset of a network. Raises UserError for an unknown name."""
        values = load_preset("network", network_name).values
        return cls(**{name: values[name] for name in cls.__slots__})


def train(
    architecture: Architecture, dataset: Dataset, seed: int, settings: TrainingSettings | None = None
) -> Model:
    """Return a network trained on the part ``train`` and quantised in the tightest format of its weights.

    Same arguments, versions and CPU type: same bytes. ``settings`` default to those of the preset named as
    the architecture.
    """
    settings = settings or TrainingSettings.of_preset(architecture.name)
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
        _descend(architecture, weights, biases, to_input(pictures), torch.tensor(labels), settings, rng)
        return Model.quantised(architecture, [w[0].numpy() for w in weights], [b.numpy() for b in biases])


def _descend(
    architecture: Architecture,
    weights: list[torch.Tensor],
    biases: list[torch.Tensor],
    pictures: torch.Tensor,
    labels: torch.Tensor,
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> None:
    """Train ``weights`` and ``biases`` in place on ``pictures`` [n, h, w, c]."""
    count, height, width, _ = pictures.shape
    shift = settings.shift_pixels
    limit = settings.weight_limit * (1 - 2.0**-15)  # what the largest code stands for
    padded = F.pad(pictures, (0, 0, shift, shift, shift, shift))
    parameters = [*weights, *biases]
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    steps, step = settings.epochs * (count // settings.batch_size), 0
    for _ in range(settings.epochs):
        order = rng.permutation(count)
        offsets = torch.from_numpy(rng.integers(0, 2 * shift + 1, (2, count, 1)))
        rows_at, columns_at = offsets[0] + torch.arange(height), offsets[1] + torch.arange(width)
        for first in range(0, count - settings.batch_size + 1, settings.batch_size):
            batch = torch.from_numpy(order[first : first + settings.batch_size])
            x = padded[batch[:, None, None], rows_at[batch][:, :, None], columns_at[batch][:, None, :]]
            gradients = loss_gradients(
                architecture, parameters, to_rows(architecture.steps[0], x[None]), labels[batch]
            )
            step += 1
            rate = settings.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
            for parameter, gradient, moment in zip(parameters, gradients, moments, strict=True):
                _adam(parameter, gradient, *moment, step, rate)
            for weight in weights:
                weight.clamp_(-limit, limit)


def loss_gradients(
    architecture: Architecture, parameters: list[torch.Tensor], rows: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return the gradients of one copy's mean cross-entropy in ``parameters``.

    These are the weights [1, fan_in, fan_out] of all layers, then their biases [fan_out].
    """
    leaves = [p.detach().requires_grad_() for p in parameters]
    layers = len(architecture.crossbar_layers)
    weights = compute_layout(architecture, leaves[:layers])
    logits = forward(architecture, weights, leaves[layers:], rows)[0]
    return torch.autograd.grad(F.cross_entropy(logits, labels), leaves)


def _adam(
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
