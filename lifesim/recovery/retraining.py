"""Fault-masking retraining in the cloud: train what can be changed around the cells that cannot (Eq. 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.crossbar.fixedpoint import quantise
from lifesim.network.datasets import Dataset
from lifesim.network.forward import single_threaded, to_input
from lifesim.network.model import Model
from lifesim.network.training import adam, loss_gradients
from lifesim.streams import generator, stream_key

_PICTURES_TO_CHOOSE_BY = 512
# A badly damaged network has gradients a hundred times the usual ones, which would throw it off for good.
_MOST_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class RetrainingSettings:
    """Gradient descent: updates, pictures in each, learning rate, share of the weights that is trained; how steps and stuck bits go together."""

    steps: int
    batch_size: int
    learning_rate: float
    trainable_fraction: float
    straight_through: bool = False


def retrain(
    model: Model, fault_map: FaultMap, dataset: Dataset, settings: RetrainingSettings, device: str = "cpu"
) -> Model:
    """Return ``model`` with codes that make up for the stuck cells of ``fault_map``.

    w <- Mask(w - eta dE/dw): after every update, weights with stuck cells are quantised and their stuck bits
    take their stuck value, so that the loss is always that of the network as the device would hold it. Only
    the ``trainable_fraction`` of the weights whose gradient under the map is largest is trained, which keeps
    the delta small; 1 trains all, as the paper does. All other codes, and the biases, are those of ``model``.
    Beyond the paper, a step's gradient is shortened to norm 1 and weights stay within their format. One thread, seeded by model and map: same
    arguments, versions and CPU type, same bytes.

    ``settings.straight_through``: updates add up in weights that nobody masks, and only the loss sees them through the mask (a straight-through
    gradient: Bengio et al. 2013), with Adam, a rate in root mean squares of a layer's weights, decaying to 0 along half a cosine. What Eq. 6 throws
    back at every step then gets away: a small weight with a high bit stuck at 1 need only change its sign, as all high bits of small negative
    codes are 1.
    """
    rng = generator(stream_key("retraining", model.digest.hex(), fault_map.digest().hex()))
    pictures, labels = dataset.part("train")
    with single_threaded():
        targets = torch.tensor(labels, device=device)
        network = _FlatNetwork(model, fault_map, device)

        def gradient(batch: np.ndarray) -> torch.Tensor:
            images = to_input(model.architecture, pictures[batch], device)
            return network.gradient(images, targets[torch.from_numpy(batch).to(device)])

        probe = rng.permutation(len(pictures))[:_PICTURES_TO_CHOOSE_BY]
        trained = _largest(gradient(probe).cpu().numpy(), settings.trainable_fraction)
        scales = _scales(model)[trained]
        mask = _Mask(model, fault_map, trained)
        at, masked_at = (torch.from_numpy(index).to(device) for index in (trained, mask.weights))
        fmt = model.formats[0]
        lowest, highest = (
            torch.from_numpy((end * scales).astype(np.float32)).to(device)
            for end in (fmt.lowest, fmt.highest)
        )
        descend = _Adam(model, trained, device) if settings.straight_through else _shortened
        unmasked = torch.from_numpy(_flatten(model.weights())[trained]).to(device)
        moving = unmasked if settings.straight_through else network.weights[at]
        for number, batch in enumerate(_batches(rng, len(pictures), settings), 1):
            moving = descend(moving, gradient(batch)[at], number, settings).clamp_(lowest, highest)
            network.weights[at] = moving
            masked = mask(network.weights[masked_at].cpu().numpy())
            network.weights[masked_at] = torch.from_numpy(masked).to(device)
            if not settings.straight_through:
                moving = network.weights[at]
        codes = _flatten(model.codes)
        codes[trained] = quantise(moving.cpu().numpy(), scales)
        return model.with_codes(_unflatten(model, codes))


def _shortened(
    weights: torch.Tensor, gradient: torch.Tensor, number: int, settings: RetrainingSettings
) -> torch.Tensor:
    """Return weights after a step of plain descent."""
    return (
        weights - settings.learning_rate / max(1.0, float(gradient.norm()) / _MOST_GRADIENT_NORM) * gradient
    )


class _Adam:
    """Steps of Adam (Kingma & Ba 2015) for the ``trained`` weights, whose unit is the root mean square of their layer."""

    def __init__(self, model: Model, trained: np.ndarray, device: str) -> None:
        rms = [np.sqrt(np.mean(np.square(w, dtype=np.float64))) for w in model.weights()]
        units = np.repeat(rms, [c.size for c in model.codes])[trained].astype(np.float32)
        self._units = torch.from_numpy(units).to(device)
        self._moments = torch.zeros_like(self._units), torch.zeros_like(self._units)

    def __call__(
        self, weights: torch.Tensor, gradient: torch.Tensor, number: int, settings: RetrainingSettings
    ) -> torch.Tensor:
        """Return weights after step ``number``, from 1."""
        in_units = weights / self._units
        rate = settings.learning_rate * (1 + math.cos(math.pi * (number - 1) / settings.steps)) / 2
        adam(in_units, gradient * self._units, *self._moments, number, rate)
        return in_units * self._units


class _FlatNetwork:
    """The network that a device holds, its weights in one vector of floats that training moves."""

    def __init__(self, model: Model, fault_map: FaultMap, device: str) -> None:
        self.architecture = model.architecture
        held = model.with_codes(apply_map(model.codes, fault_map)).weights()
        self.weights = torch.from_numpy(_flatten(held)).to(device)
        self._biases = [torch.tensor(b, device=device) for b in model.biases]
        layers, parts = self.architecture.crossbar_layers, self.weights.split([c.size for c in model.codes])
        # Views: they follow the vector.
        self._matrices = [
            w.view(1, layer.fan_in, layer.fan_out) for w, layer in zip(parts, layers, strict=True)
        ]

    def gradient(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the mean cross-entropy in all weights, as one vector."""
        gradients = loss_gradients(self.architecture, [*self._matrices, *self._biases], images, targets)
        return torch.cat([g.reshape(-1) for g in gradients[: len(self._matrices)]])


class _Mask:
    """Eq. 6's Mask for the ``trained`` weights that have stuck cells; ``weights`` are their flat indices."""

    def __init__(self, model: Model, fault_map: FaultMap, trained: np.ndarray) -> None:
        offsets = np.cumsum([0, *(c.size for c in model.codes[:-1])])
        stuck = [
            o + np.unique(c // fault_map.encoding.cells_per_weight)
            for o, c in zip(offsets, fault_map.cells, strict=True)
        ]
        self.weights = np.intersect1d(np.concatenate(stuck), trained, assume_unique=True)
        # What stuck cells make of all zeros and of all ones: the bits that they set, those that they leave.
        self._scales = _scales(model)[self.weights]
        self._set, self._kept = (
            _flatten(apply_map([np.full_like(c, bits) for c in model.codes], fault_map))[self.weights]
            for bits in (0, -1)
        )

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return the weights that the cells hold when these have been programmed."""
        codes = quantise(weights, self._scales) & self._kept | self._set
        return (codes * self._scales).astype(np.float32)  # exact, as in FixedPoint.dequantise


def _scales(model: Model) -> np.ndarray:
    """Return what the least significant bit of every weight is worth, float64, flat."""
    return np.repeat([f.scale for f in model.formats], [c.size for c in model.codes])


def _largest(gradient: np.ndarray, fraction: float) -> np.ndarray:
    """Return the sorted indices of the share of entries, at least one, that are largest (ties: the first; what is not a number: last)."""
    count = max(1, round(fraction * gradient.size))
    size = np.nan_to_num(np.abs(gradient), nan=-1.0, posinf=np.inf)
    least = np.partition(size, gradient.size - count)[gradient.size - count]
    larger = np.flatnonzero(size > least)
    equal = np.flatnonzero(size == least)[: count - len(larger)]
    return np.sort(np.concatenate([larger, equal]))


def _batches(rng: np.random.Generator, pictures: int, settings: RetrainingSettings) -> list[np.ndarray]:
    """Return the pictures of each step: all of them in random order, again and again."""
    needed = settings.steps * settings.batch_size
    order = np.concatenate([rng.permutation(pictures) for _ in range(-(-needed // pictures))])
    return np.split(order[:needed], settings.steps)


def _flatten(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([a.reshape(-1) for a in arrays])


def _unflatten(model: Model, codes: np.ndarray) -> tuple[np.ndarray, ...]:
    parts = np.split(codes, np.cumsum([c.size for c in model.codes[:-1]]))
    return tuple(part.reshape(c.shape) for part, c in zip(parts, model.codes, strict=True))
