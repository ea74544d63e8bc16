"""How much a layer's inputs exercise its cells: a cell is read once for every input bit that is one."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from lifesim.crossbar.fixedpoint import MOST_FRACTION_BITS, FixedPoint
from lifesim.network.architecture import Architecture, Conv, Dense
from lifesim.network.evaluate import INPUT_BITS
from lifesim.network.forward import compute_layout, forward, single_threaded, to_input, to_rows
from lifesim.network.model import Model

_PICTURES_PER_PIECE = 64


def input_ones_share(model: Model, pictures: np.ndarray) -> tuple[float, ...]:
    """Return for each crossbar layer the share of its input bits that are one, on average over its rows and ``pictures``.

    Inputs are applied bit by bit as 16-bit two's complement codes (ISAAC, Shafiee et al., ISCA 2016), each layer's in the tightest
    fixed-point format that holds its largest input among ``pictures`` (uint8 [m, channels, height, width]). A convolution applies a vector
    at every position.
    """
    return tuple(
        _ones_share(step, _inputs(model, index, pictures))
        for index, step in enumerate(model.architecture.steps)
        if isinstance(step, Conv | Dense)
    )


@torch.inference_mode()
def _inputs(model: Model, index: int, pictures: np.ndarray) -> torch.Tensor:
    """Return what step ``index`` gets, [1, m, height, width, channels] or [1, m, features]."""
    whole, pieces = model.architecture, []
    with single_threaded():
        for start in range(0, len(pictures), _PICTURES_PER_PIECE):
            x = to_input(whole, pictures[start : start + _PICTURES_PER_PIECE])[None]
            if index:
                x = _after(dataclasses.replace(whole, steps=whole.steps[:index]), model, x)
            pieces.append(x)
    return torch.cat(pieces, dim=1)


def _after(before: Architecture, model: Model, x: torch.Tensor) -> torch.Tensor:
    """Return what the first steps of a network make of its input."""
    layers = len(before.crossbar_layers)
    weights = compute_layout(before, [torch.tensor(w)[None] for w in model.weights()[:layers]])
    biases = [torch.tensor(b) for b in model.biases[:layers]]
    return forward(before, weights, biases, to_rows(before.steps[0], x))


def _ones_share(step: Conv | Dense, inputs: torch.Tensor) -> float:
    values = inputs.numpy()
    codes = FixedPoint.tightest([values], MOST_FRACTION_BITS).quantise(values).view(np.uint16)
    # A one is counted at every position and row at which its input is applied.
    rows = to_rows(step, torch.from_numpy(_ones(codes).astype(np.float32)))
    return float(rows.mean(dtype=torch.float64)) / INPUT_BITS


def _ones(codes: np.ndarray) -> np.ndarray:
    """Return how many of each code's bits are one, uint8."""
    of_byte = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
    return of_byte[codes & 0xFF] + of_byte[codes >> 8]
