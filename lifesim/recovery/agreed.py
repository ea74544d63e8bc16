"""Which weights retraining may move, agreed on between cloud and devices when a network is deployed: an update need not say where its changes are.

They are chosen before any training, as those on which the loss depends most when some cells are stuck. Training all and keeping the largest changes
would spread each correction over the whole network.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import random_map
from lifesim.network.architecture import Dense
from lifesim.network.datasets import load_dataset
from lifesim.network.forward import single_threaded
from lifesim.network.model import Model
from lifesim.network.tail import Tail
from lifesim.recovery.nearest import nearest_codes
from lifesim.scenario.network import DataSource
from lifesim.streams import generator, stream_key

_COPIES, _PICTURES = 8, 256
_STUCK_RATE = 0.01  # of cells: where nearest codes alone begin to fail
_TO_TOP = 0.5


@dataclass(frozen=True, eq=False)
class Agreed:
    """Per crossbar layer the weights that may move: sorted int64 indices into its codes laid flat."""

    weights: tuple[np.ndarray, ...]

    @property
    def first(self) -> int:
        """The first layer of which anything may move."""
        return next(
            (layer for layer, chosen in enumerate(self.weights) if len(chosen)), len(self.weights) - 1
        )

    @property
    def count(self) -> int:
        """Number of weights that may move."""
        return sum(map(len, self.weights))


@functools.lru_cache(maxsize=16)
def agree(
    model: Model, data: DataSource, fraction: float, encoding: Encoding, torch_device: str = "cpu"
) -> Agreed:
    """Return a share ``fraction`` of the weights of ``model``, all in the dense layers at its end, of which the first is left out if there are
    more: those with the largest gradients, root mean square over copies with 1 % of cells stuck that hold the nearest codes.

    (The first of several has most of the weights and hardly any of these; without it a step of training is many times faster, and measured as good.)

    Raises UserError if the network does not end in dense layers.
    """
    tail = Tail.of(model.architecture)
    if sum(isinstance(step, Dense) for step in tail.steps) > 1:
        tail = Tail.of(model.architecture, tail.first + 1)
    pictures, labels = load_dataset(data).part("train")
    key = stream_key("agreed weights", model.digest.hex())
    layer_cells = [codes.size * encoding.cells_per_weight for codes in model.codes]
    squares: Sequence[np.ndarray] = [np.zeros(codes.size) for codes in model.codes[tail.first :]]
    with single_threaded():
        for copy in range(_COPIES):
            stuck = random_map(stream_key(key, copy), layer_cells, _STUCK_RATE, _TO_TOP, encoding)
            weights = model.with_codes(nearest_codes(model.codes, stuck)).weights()
            batch = generator(stream_key(key, copy, "pictures")).permutation(len(pictures))[:_PICTURES]
            x = tail.enters(model.architecture, weights, model.biases, pictures[batch], torch_device)
            gradients = tail.gradients(
                x[None],
                [torch.tensor(w, device=torch_device)[None] for w in weights[tail.first :]],
                [torch.tensor(b, device=torch_device)[None] for b in model.biases[tail.first :]],
                torch.eye(model.architecture.classes, device=torch_device)[labels[batch]][None],
            )
            for square, gradient in zip(squares, gradients, strict=True):
                square += gradient.cpu().numpy().reshape(-1).astype(np.float64) ** 2
    flat = np.concatenate(squares)
    count = min(max(1, round(fraction * model.architecture.weights)), len(flat))
    chosen = np.sort(np.argsort(-flat, kind="stable")[:count])
    ends = np.cumsum([len(square) for square in squares])
    starts = [0, *ends[:-1].tolist()]
    parts = np.split(chosen, np.searchsorted(chosen, ends)[:-1])
    before = (np.empty(0, np.int64),) * tail.first
    return Agreed((*before, *(part - start for part, start in zip(parts, starts, strict=True))))
