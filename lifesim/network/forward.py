"""The network as one function of weights and pictures, for evaluation, training, retraining and FGSM alike.

Every crossbar layer is one matrix-vector multiplication (MVM) per position, all of them in one ``torch.bmm``
over the copies of the network. Pictures are kept channels-last, so that patches are copied in long runs and
an MVM's result is the next layer's picture as it stands.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.network.architecture import Architecture, Conv, Dense, MaxPool, Relu
from lifesim.network.datasets import PIXEL_SCALE


@dataclass(frozen=True, slots=True)
class LayerNoise:
    """Read noise of a layer: relative ``sigma`` of its weights, standard normal ``z`` [K, rows, fan_out]."""

    sigma: float
    z: torch.Tensor


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let torch use one thread: with two, sums are grouped otherwise and the last bits differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def to_input(pictures: np.ndarray, device: str | torch.device = "cpu") -> torch.Tensor:
    """Return pictures uint8 [m, channels, height, width] as float32 [m, height, width, channels] below 1."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)))
    return pixels.to(device).to(torch.float32) * PIXEL_SCALE


def compute_layout(architecture: Architecture, weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Reorder the rows of convolutions from (channel, row, column) to (row, column, channel).

    ``weights``: per layer [K, fan_in, fan_out], of any type.
    """
    kernels = [
        step.kernel if isinstance(step, Conv) else 1
        for step in architecture.steps
        if isinstance(step, Conv | Dense)
    ]
    return [
        w if k == 1 else w.unflatten(1, (-1, k, k)).permute(0, 2, 3, 1, 4).flatten(1, 3)
        for w, k in zip(weights, kernels, strict=True)
    ]


def to_rows(step: Conv | Dense, x: torch.Tensor) -> torch.Tensor:
    """Return the vectors [K, m * positions, fan_in] that a crossbar layer multiplies.

    ``x`` is [K, m, height, width, channels] or [K, m, features]. The vectors of the first step are the same
    for every copy of a network (K = 1): make them once.
    """
    if isinstance(step, Dense):
        return (x.permute(0, 1, 4, 2, 3) if x.dim() == 5 else x).flatten(2)
    windows = x.unfold(2, step.kernel, 1).unfold(3, step.kernel, 1)  # [K, m, h, w, c, row, column]
    return windows.permute(0, 1, 2, 3, 5, 6, 4).flatten(4).flatten(1, 3)


def forward(
    architecture: Architecture,
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    rows: torch.Tensor,
    noise: Sequence[LayerNoise] | None = None,
) -> torch.Tensor:
    """Return logits [K, m, classes] of K copies for m pictures.

    Parameters
    ----------
    weights : in the order of :func:`compute_layout`, per layer [K, fan_in, fan_out]
    biases : per layer [fan_out]
    rows : :func:`to_rows` of the first step, [1, m * positions, fan_in]
    noise : per layer, or None for an ideal read
    """
    copies, layer, x = weights[0].shape[0], 0, rows.expand(weights[0].shape[0], -1, -1)
    for index, step in enumerate(architecture.steps):
        if isinstance(step, Relu):
            x = x.relu_()
        elif isinstance(step, MaxPool):
            x = _max_pool(x, step.size)
        else:
            if index > 0:
                x = to_rows(step, x)
            x = _multiply(x, weights[layer], biases[layer], noise[layer] if noise else None)
            if isinstance(step, Conv):
                x = x.view(copies, -1, *architecture.shapes[index + 1][1:], step.channels)
            layer += 1
    return x


def _multiply(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, noise: LayerNoise | None
) -> torch.Tensor:
    """x @ weight + bias; noise of every weight alone adds N(0, sigma^2 sum w^2 x^2) to an MVM's result."""
    result = torch.bmm(x, weight)
    if noise:
        deviation = torch.bmm(x * x, weight * weight).sqrt_().mul_(noise.sigma)
        result.addcmul_(deviation, noise.z)
    return result.add_(bias)


def _max_pool(x: torch.Tensor, size: int) -> torch.Tensor:
    for dim in (2, 3):
        slices = [x[(slice(None),) * dim + (slice(offset, None, size),)] for offset in range(size)]
        x = functools.reduce(torch.maximum, slices)
    return x
