"""What a faulty cell is worth: a number for what it does to a test, and one for what it does to the accuracy, from gradients.

To first order a weight that is off by d moves an output by d times its gradient, and what many faulty cells do adds up like noise: squares
add. The *harm* of a cell is such a square, summed over the outputs that matter: the golden confidences of the test pictures (in units of what alarms), or
the margins of the pictures nearest to the decision boundary. It says how large a perturbation is, not which pictures it changes; what it comes
to is found out by evaluation (:mod:`lifesim.fleet.surrogate.response`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lifesim.crossbar.encoding import Encoding
from lifesim.detection.criteria import SDC3_THOUSANDTHS
from lifesim.fleet.cells import Layout
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator
from lifesim.network.forward import single_threaded, to_input
from lifesim.network.model import Model
from lifesim.network.training import convolved
from lifesim.scenario.network import DataSource
from lifesim.streams import generator, stream_key

NEAREST = 192  # pictures whose margins count
PATHS = 192  # orders in which the cells of a bank expire, of which each device has one
_FARTHEST = 1 << 14  # cells of such an order; beyond, cells are worth their mean
_STEP = 1.08  # from one number of expired cells that is tabulated to the next

TEST, LOSS, WRONG, TEST_AGAIN = range(4)
"""Kinds of harm: to a test with the pictures of the deployment, to the accuracy; whether a cell shows another level than was written, which a read-back
sees; and to a test with the pictures of a redeployment, which are others for each device: on average."""
KINDS = 4


@dataclass(frozen=True, eq=False, slots=True)
class BankHarm:
    """What the faulty cells of a bank are worth.

    ``stuck`` float32 [kinds, levels, cells]: of a cell that is stuck at a level. ``expired`` [kinds, paths, grid]: what the first cells to expire are worth
    together, in each of some random orders, once there are ``counts`` [paths, grid] of them: few cells are worth more than all others, so that it grows by
    leaps. ``mean`` [kinds]: what one is worth on average.
    """

    stuck: np.ndarray
    counts: np.ndarray
    expired: np.ndarray
    mean: np.ndarray

    def of_stuck(self, cells: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return what cells that stick one after the other are worth together, after each of them and before the first: float64 [kinds, cells + 1]."""
        harm = np.zeros((KINDS, len(cells) + 1))
        np.cumsum(self.stuck[:, levels, cells], axis=1, dtype=np.float64, out=harm[:, 1:])
        return harm

    def of_expired(self, kind: int, path: int, count: np.ndarray) -> np.ndarray:
        """Return what the first ``count`` cells to expire on a path are worth together."""
        counts = self.counts[path]
        found = self.expired[kind, path][np.searchsorted(counts, count, side="right") - 1]
        return found + np.maximum(count - counts[-1], 0) * self.mean[kind]


def bank_harms(
    model: Model,
    source: DataSource,
    pictures: np.ndarray,
    again: np.ndarray | None,
    layout: Layout,
    encoding: Encoding,
    expired_level: int,
) -> list[BankHarm]:
    """Return the harm of the cells of each bank that ``model`` fills; expired cells go to ``expired_level``.

    ``pictures``: with which it is tested; ``again``: those of many redeployments, None where there are none.
    """
    per_alarm = (1000.0 / (SDC3_THOUSANDTHS + 1)) ** 2
    of_test = [square * per_alarm for square in squared_gradients(model, pictures, _golden_confidences)]
    of_again = of_test
    if again is not None:
        per_test = per_alarm * len(pictures) / len(again)
        of_again = [square * per_test for square in squared_gradients(model, again, _golden_confidences)]
    near, _ = _nearest(model, source)
    of_loss = [square / len(near) for square in squared_gradients(model, near, _margins)]
    harms = []
    for number, bank in enumerate(layout.banks):
        stuck = np.zeros((KINDS, encoding.top_level + 1, bank.n_cells), np.float32)
        for layer, regions in enumerate(layout.regions):
            for region in regions:
                if region.bank == number:
                    of_layer = _of_cells(
                        model,
                        layer,
                        encoding,
                        {TEST: of_test[layer], LOSS: of_loss[layer], TEST_AGAIN: of_again[layer]},
                    )
                    stuck += of_layer[:, :, region.first_cell : region.first_cell + bank.n_cells]
        np.minimum(stuck[WRONG], 1, out=stuck[WRONG])
        harms.append(_with_paths(stuck, expired_level, stream_key("expiry", model.digest.hex(), bank.name)))
    return harms


def squared_gradients(
    model: Model, pictures: np.ndarray, outputs: Callable[[torch.Tensor], torch.Tensor]
) -> list[np.ndarray]:
    """Return the squared gradients of one output for each picture, summed over the pictures: float64 [fan_in, fan_out] per layer.

    ``outputs``: from logits [m, classes] to one number a picture [m].
    """
    sums = [np.zeros(codes.shape) for codes in model.codes]
    with single_threaded():
        weights = [torch.tensor(w, requires_grad=True) for w in model.weights()]
        biases = [torch.tensor(b) for b in model.biases]
        for picture in range(len(pictures)):
            x = to_input(model.architecture, pictures[picture : picture + 1], torch.device("cpu"))
            (output,) = outputs(convolved(model.architecture.steps, weights, biases, x))
            for total, gradient in zip(sums, torch.autograd.grad(output, weights), strict=True):
                total += gradient.numpy().astype(np.float64).reshape(total.shape) ** 2
    return sums


def _golden_confidences(logits: torch.Tensor) -> torch.Tensor:
    return torch.softmax(logits, dim=1).amax(dim=1)


def _margins(logits: torch.Tensor) -> torch.Tensor:
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return first - second


def _nearest(model: Model, source: DataSource) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures of the spec set that are nearest to the decision boundary, and their margins."""
    pictures, _ = load_dataset(source).part("spec")
    logits = Evaluator.of(model).logits([model.codes], pictures)[0]
    ordered = np.sort(logits, axis=1)
    margins = ordered[:, -1] - ordered[:, -2]
    nearest = np.sort(np.argsort(margins, kind="stable")[:NEAREST])
    return pictures[nearest], margins[nearest]


def _of_cells(model: Model, layer: int, encoding: Encoding, squares: dict[int, np.ndarray]) -> np.ndarray:
    """Return the harm of each cell of a layer at each level: float32 [kinds, levels, cells]."""
    held = encoding.levels(model.codes[layer].reshape(-1))  # [weights, cells of a weight]
    worth = (1 << encoding.bits_per_cell) ** np.arange(held.shape[1], dtype=np.float64)
    worth *= model.formats[layer].scale
    harm = np.empty((KINDS, encoding.top_level + 1, held.size), np.float32)
    for level in range(encoding.top_level + 1):
        off = (level - held.astype(np.float64)) * worth
        for kind, of_weights in squares.items():
            harm[kind, level] = (of_weights.reshape(-1, 1) * off**2).reshape(-1)
        harm[WRONG, level] = (off != 0).reshape(-1)
    return harm


def _with_paths(stuck: np.ndarray, level: int, key: int) -> BankHarm:
    n_cells = stuck.shape[2]
    farthest = min(n_cells, _FARTHEST)
    steps = np.arange(1, 2 + np.log(farthest) / np.log(_STEP))
    counts = np.unique(np.minimum(np.ceil(_STEP**steps), farthest).astype(np.int64))
    counts = np.union1d([0, *range(1, min(17, farthest + 1)), farthest], counts)
    expired, reached = np.zeros((KINDS, PATHS, len(counts))), np.zeros((PATHS, len(counts)))
    rng = generator(key)
    for path in range(PATHS):
        cells = rng.choice(n_cells, farthest, replace=False, shuffle=True)
        # What a step of the grid brings comes all at once, anywhere in it.
        reached[path, 1:] = np.ceil(
            counts[:-1] + (counts[1:] - counts[:-1]) * (1.0 - rng.random(len(counts) - 1))
        )
        for kind in range(KINDS):
            sums = np.cumsum(stuck[kind, level, cells], dtype=np.float64)
            expired[kind, path, 1:] = sums[counts[1:] - 1]
    return BankHarm(stuck, reached, expired, stuck[:, level].mean(axis=1, dtype=np.float64))


def codes_with(
    model: Model, layout: Layout, encoding: Encoding, faults: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, ...]:
    """Return the codes of ``model`` with faulty cells in each bank, given as cells and levels."""
    codes = []
    for layer, regions in enumerate(layout.regions):
        held = model.codes[layer]
        for region in regions:
            cells, levels = faults[region.bank]
            held = encoding.write(held, cells.astype(np.int64) + region.first_cell, levels)
        codes.append(held)
    return tuple(codes)
