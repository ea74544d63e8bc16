"""What cells are worth: gradients are those of the network, and harm of what cannot be seen is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lifesim.crossbar.encoding import SLC
from lifesim.fleet.cells import make_layout
from lifesim.fleet.surrogate.harm import (
    LOSS,
    PATHS,
    TEST,
    WRONG,
    BankHarm,
    bank_harms,
    codes_with,
    squared_gradients,
)
from lifesim.network.datasets import Dataset
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.scenario.network import DataSource


@pytest.fixture(scope="module")
def pictures(mnist5k: Dataset) -> np.ndarray:
    return mnist5k.part("validation")[0][:8]


@pytest.fixture(scope="module")
def layout(mlp_model: Model):
    return make_layout(mlp_model.architecture.crossbar_layers, SLC, {})


@pytest.fixture(scope="module")
def harms(mlp_model: Model, pictures: np.ndarray, layout) -> list[BankHarm]:
    return bank_harms(mlp_model, DataSource("mnist5k"), pictures, None, layout, SLC, 0)


def test_squares_are_those_of_small_differences(mlp_model: Model, pictures: np.ndarray) -> None:
    squares = squared_gradients(mlp_model, pictures, lambda logits: torch.softmax(logits, dim=1).amax(dim=1))
    evaluator = Evaluator.of(mlp_model)
    weights = [w.astype(np.float32) for w in mlp_model.weights()]
    top = evaluator.confidences([weights], pictures)[0].argmax(axis=1)
    step = 1e-2
    for layer, place in ((1, (3, 5)), (2, (7, 2))):
        shown = []
        for sign in (1, -1):
            moved = [w.copy() for w in weights]
            moved[layer][place] += sign * step
            shown.append(evaluator.confidences([moved], pictures)[0][np.arange(8), top].astype(float))
        found = np.sum(((shown[0] - shown[1]) / (2 * step)) ** 2)
        assert squares[layer][place] == pytest.approx(found, rel=0.05, abs=1e-8)


def test_a_cell_that_sticks_at_what_it_holds_does_no_harm(mlp_model: Model, harms: list[BankHarm]) -> None:
    for harm, codes in zip(harms, mlp_model.codes, strict=True):
        held = SLC.levels(codes.reshape(-1)).reshape(-1)
        cells = np.arange(len(held))
        assert not harm.stuck[:, held, cells].any()
        assert (harm.stuck[WRONG, 1 - held, cells] == 1).all()
        # A bit is worth twice the one below it, so its square four times as much.
        other = harm.stuck[LOSS, 1 - held, cells].reshape(-1, 16)
        assert np.allclose(other[:, 1:], 4 * other[:, :-1], rtol=1e-5)


def test_what_expires_adds_up_to_what_the_cells_are_worth(harms: list[BankHarm]) -> None:
    for harm in harms:
        whole = np.array([harm.of_expired(TEST, path, np.array([0, 16, 10**9]))[:2] for path in range(PATHS)])
        assert not whole[:, 0].any() and (whole[:, 1] >= 0).all()
        each = harm.stuck[TEST, 0].astype(float)
        error = each.std() / np.sqrt(PATHS / 16)
        assert abs(whole[:, 1].mean() - 16 * each.mean()) < 5 * error
        counts = np.array([0, 1, 5, 40, 300])
        grown = harm.of_expired(WRONG, 3, counts)
        assert (np.diff(grown) >= 0).all()


def test_codes_with_faults(mlp_model: Model, layout) -> None:
    none = (np.empty(0, np.int64), np.empty(0, np.uint8))
    faults = [none, (np.array([0, 17]), np.array([1, 0], np.uint8)), none]
    codes = codes_with(mlp_model, layout, SLC, faults)
    before, after = (SLC.levels(c[1].reshape(-1)).reshape(-1) for c in (mlp_model.codes, codes))
    assert after[0] == 1 and after[17] == 0
    assert np.array_equal(np.delete(before, [0, 17]), np.delete(after, [0, 17]))
    assert np.array_equal(codes[0], mlp_model.codes[0])
