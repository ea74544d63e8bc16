"""How the inputs of each crossbar layer go together: what an error of its weights does to its results, in numbers that a device can keep.

An error d [fan_in] of the weights of one output moves that output by d . x, on average by E[(d . x)^2] = d^T H d with H = E[x x^T]. H is kept as in factor
analysis (Spearman 1904; with principal components for the factors: Thomson 1939): what inputs have in common through a few features, and
what each has of its own. Neighbouring pixels, channels of one picture and hidden units of one class are so alike that 32 features do nearly as well as
all of H (docs/beyond.md), for a twentieth of the numbers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from lifesim.network.architecture import Conv, Dense
from lifesim.network.datasets import load_dataset
from lifesim.network.forward import single_threaded, to_input
from lifesim.network.model import Model
from lifesim.network.training import convolved
from lifesim.recovery.compensation import Correlations
from lifesim.scenario.network import DataSource
from lifesim.streams import generator, stream_key

FEATURES = 32
_PICTURES, _PICTURES_AT_ONCE = 1024, 64
_MOST_VECTORS = 1 << 16  # of a layer: those of neighbouring positions say much the same
_DAMPING = 0.01  # of the mean square of an input, which each gets for what these pictures do not show; as much as GPTQ (Frantar et al. 2023)


@functools.lru_cache(maxsize=16)
def correlations_of(model: Model, data: DataSource, torch_device: str = "cpu") -> Correlations:
    """Return how the inputs of the layers of ``model`` go together on training pictures; no labels are used."""
    pictures, _ = load_dataset(data).part("train")
    order = generator(stream_key("correlations", model.digest.hex())).permutation(len(pictures))
    chosen = pictures[np.sort(order[:_PICTURES])]
    with single_threaded():
        weights = [torch.tensor(w, device=torch_device) for w in model.weights()]
        biases = [torch.tensor(b, device=torch_device) for b in model.biases]
        found = [
            in_common(_second_moments(model, index, weights, biases, chosen, torch_device))
            for index, step in enumerate(model.architecture.steps)
            if isinstance(step, Conv | Dense)
        ]
    return Correlations(tuple(own for own, _ in found), tuple(shared for _, shared in found))


def in_common(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what each input has of its own (float16 [n]) and what it has of the features that all share (float16 [n, features]).

    ``moments``: E[x x^T], float64 [n, n]. In units of the mean of E[x^2], as only ratios matter.
    """
    moments = moments / (np.trace(moments) / len(moments) or 1.0)
    values, vectors = torch.linalg.eigh(torch.from_numpy(moments))
    features = min(FEATURES, len(moments))
    largest = values.numpy()[-features:].clip(0)
    # The sign of an eigenvector is anybody's: its largest entry is to be positive.
    vectors = vectors.numpy()[:, -features:]
    at = np.abs(vectors).argmax(axis=0)
    shared = (vectors * np.sign(vectors[at, np.arange(features)]) * np.sqrt(largest)).astype(np.float16)
    own = np.diag(moments) - (shared.astype(np.float64) ** 2).sum(axis=1)
    return (own.clip(0) + _DAMPING).astype(np.float16), shared


@torch.inference_mode()
def _second_moments(
    model: Model,
    index: int,
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    pictures: np.ndarray,
    device: str,
) -> np.ndarray:
    """Return E[x x^T] of the vectors that step ``index`` multiplies, float64 [fan_in, fan_in]."""
    architecture = model.architecture
    step, before = architecture.steps[index], architecture.steps[:index]
    total: np.ndarray | float = 0.0
    count = 0
    for first in range(0, len(pictures), _PICTURES_AT_ONCE):
        part = pictures[first : first + _PICTURES_AT_ONCE]
        x = convolved(before, weights, biases, to_input(architecture, part, device))
        if isinstance(step, Conv):
            vectors = F.unfold(x, step.kernel, padding=step.padding).transpose(1, 2).flatten(0, 1)
            positions = len(vectors) // len(part)
            every = max(1, positions * len(pictures) // _MOST_VECTORS)
            while math.gcd(every, positions) > 1:  # no position is left out for good
                every += 1
            vectors = vectors[::every]
        else:
            vectors = x.flatten(1)
        total = total + (vectors.T @ vectors).double().cpu().numpy()
        count += len(vectors)
    return total / count
