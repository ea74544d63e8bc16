"""How much a network's answers depend on each of its weights: what an error there is worth, squared.

The mean square of the loss's gradient (the diagonal of the empirical Fisher information) as a product of one number a row and one a column, so that
a device can keep it. Measured to place units as well as the gradients themselves, and much better than to count all weights alike
(docs/beyond.md).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.network.datasets import load_dataset
from lifesim.network.forward import single_threaded, to_input
from lifesim.network.model import Model
from lifesim.network.training import loss_gradients
from lifesim.scenario.network import DataSource
from lifesim.streams import generator, stream_key

_BATCHES, _PICTURES = 256, 4  # few pictures each: the gradients of many would cancel


@dataclass(frozen=True, eq=False)
class Importance:
    """Per crossbar layer a factor for each row (float64 [fan_in]) and for each column (float64 [fan_out])."""

    rows: tuple[np.ndarray, ...]
    columns: tuple[np.ndarray, ...]

    @classmethod
    def even(cls, model: Model) -> Importance:
        """Return that of weights which all count alike."""
        sizes = [codes.shape for codes in model.codes]
        return cls(tuple(np.ones(n) for n, _ in sizes), tuple(np.ones(n) for _, n in sizes))

    def of_layer(self, layer: int) -> np.ndarray:
        """Return what a squared error of each weight is worth, float64 [fan_in, fan_out]."""
        return np.outer(self.rows[layer], self.columns[layer])


@functools.lru_cache(maxsize=16)
def importance_of(model: Model, data: DataSource, torch_device: str = "cpu") -> Importance:
    """Return how much the training pictures' loss depends on the weights of ``model``."""
    pictures, labels = load_dataset(data).part("train")
    key = stream_key("importance", model.digest.hex())
    batches = generator(key).integers(0, len(pictures), (_BATCHES, _PICTURES))
    squares = [np.zeros(codes.shape) for codes in model.codes]
    with single_threaded():
        weights = [torch.tensor(w, device=torch_device)[None] for w in model.weights()]
        biases = [torch.tensor(b, device=torch_device) for b in model.biases]
        for batch in batches:
            images = to_input(model.architecture, pictures[batch], torch_device)
            targets = torch.tensor(labels[batch], device=torch_device)
            gradients = loss_gradients(model.architecture, [*weights, *biases], images, targets)
            for square, gradient in zip(squares, gradients, strict=False):
                square += gradient.cpu().numpy().reshape(square.shape).astype(np.float64) ** 2
    rows = tuple(square.mean(axis=1) / _BATCHES for square in squares)
    columns = tuple(square.mean(axis=0) / (square.mean() or 1.0) for square in squares)
    return Importance(rows, columns)
