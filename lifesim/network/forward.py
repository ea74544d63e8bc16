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
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Pool, Relu
from lifesim.network.backward import MaxPooled, Patches, is_learning


class LayerNoise(Protocol):
    """Read noise of a layer: standard normal ``z`` [K, rows, fan_out], and how far one of them moves a result."""

    z: torch.Tensor

    def deviation(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the standard deviations [K, rows, fan_out or 1] of x [K, rows, fan_in] @ weight [K, fan_in, fan_out]."""


@dataclass(frozen=True, slots=True)
class WeightNoise:
    """Every weight deviates by a relative N(0, sigma^2): a result's variance is sigma^2 sum x^2 w^2."""

    sigma: float
    z: torch.Tensor

    def deviation(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.bmm(x * x, weight * weight).sqrt_().mul_(self.sigma)


@dataclass(frozen=True, slots=True)
class CellNoise:
    """Every weight i has a variance v_i of its own, that of its cells: a result's is sum x_i^2 v_i.

    ``variances`` [K, fan_in, fan_out].
    """

    variances: torch.Tensor
    z: torch.Tensor

    def deviation(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.bmm(x * x, self.variances).sqrt_()


@dataclass(frozen=True, slots=True)
class ConversionNoise:
    """Results deviate by ``step`` times the largest |x| of their vector, whatever the weights."""

    step: float
    z: torch.Tensor

    def deviation(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x.abs().amax(dim=2, keepdim=True).mul_(self.step)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Let torch use one thread: with two, sums are grouped otherwise and the last bits differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def to_input(
    architecture: Architecture, pictures: np.ndarray, device: str | torch.device = "cpu"
) -> torch.Tensor:
    """Return pictures uint8 [m, channels, height, width] as the network's input, float32 [m, height, width, channels]."""
    # Always a copy: of pictures with one channel there would be none, and torch warns of arrays that are read-only.
    pixels = torch.from_numpy(np.array(pictures.transpose(0, 2, 3, 1), order="C"))
    x = pixels.to(device).to(torch.float32)
    if architecture.input_mean:
        x -= torch.tensor(architecture.input_mean, dtype=torch.float32, device=device)
    return x * architecture.input_scale


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
    if step.padding:
        x = F.pad(x, (0, 0) + (step.padding,) * 4)
    if is_learning(x):
        return Patches.apply(x, step.kernel, _patches)
    return _patches(x, step.kernel)


def _patches(x: torch.Tensor, kernel: int) -> torch.Tensor:
    windows = x.unfold(2, kernel, 1).unfold(3, kernel, 1)  # [K, m, h, w, c, row, column]
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
            x = _max_pool(x, step)
        elif isinstance(step, AvgPool):
            x = _avg_pool(x, step)
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
    """x @ weight + bias, each result displaced by its noise."""
    result = torch.bmm(x, weight)
    if noise:
        result.addcmul_(noise.deviation(x, weight), noise.z)
    return result.add_(bias)


def _max_pool(x: torch.Tensor, step: MaxPool) -> torch.Tensor:
    """The maximum is separable: rows first, then columns."""
    if is_learning(x) and step.step >= step.size:
        return MaxPooled.apply(x, step.size, step.step, functools.partial(_max_pool, step=step))
    for dim in (2, 3):
        x = functools.reduce(torch.maximum, _shifted(x, step, dim, float("-inf")))
    return x


def _avg_pool(x: torch.Tensor, step: AvgPool) -> torch.Tensor:
    """The mean over what lies within the picture is separable too: sums over sums, counts times counts."""
    for dim in (2, 3):
        side = x.shape[dim]
        sums = functools.reduce(torch.add, _shifted(x, step, dim, 0.0))
        within = [min(step.size, side - first) for first in range(0, step.step * sums.shape[dim], step.step)]
        counts = torch.tensor(within, dtype=x.dtype, device=x.device)
        x = sums / counts.view((-1,) + (1,) * (x.dim() - dim - 1))
    return x


def _shifted(x: torch.Tensor, step: Pool, dim: int, beyond: float) -> list[torch.Tensor]:
    """Return the first, second, ... entry of every window along ``dim``; ``beyond`` stands outside of the picture."""
    windows = -(-(x.shape[dim] - step.size) // step.step) + 1
    reach = step.step * (windows - 1) + 1
    missing = reach + step.size - 1 - x.shape[dim]
    if missing:
        x = F.pad(x, (0, 0) * (x.dim() - dim - 1) + (0, missing), value=beyond)
    return [
        x.narrow(dim, offset, reach)[(slice(None),) * dim + (slice(None, None, step.step),)]
        for offset in range(step.size)
    ]
