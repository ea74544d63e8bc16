"""What a weight's error is worth: as the network's loss has it, layer by layer, row by row, column by column."""

import numpy as np

from lifesim.network.evaluate import Evaluator
from lifesim.recovery.importance import Importance, importance_of
from lifesim.scenario.network import DataSource

DATA = DataSource("mnist5k")


def test_errors_of_important_weights_cost_more(mlp_model, mnist5k):
    """The same error in the quarter of the rows, or columns, of a layer that count most, and in that which counts least."""
    importance = importance_of(mlp_model, DATA)
    pictures, labels = mnist5k.part("spec")
    evaluator, rng = Evaluator.of(mlp_model), np.random.default_rng(1)

    def loss(weights):
        logits = evaluator.logits([weights], pictures)[0].astype(float)
        logits -= logits.max(axis=1, keepdims=True)
        return -np.mean(logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(axis=1)))

    def spoilt(layer, axis, some):
        weights = [w.copy() for w in mlp_model.weights()]
        lines = weights[layer] if axis == 0 else weights[layer].T
        lines[some] += rng.normal(0, 0.3, lines[some].shape).astype(np.float32)
        return weights

    clean = loss(mlp_model.weights())
    for layer in range(len(mlp_model.codes)):
        for axis, factors in ((0, importance.rows[layer]), (1, importance.columns[layer])):
            order = np.argsort(factors, kind="stable")
            quarter = max(1, len(order) // 4)
            costs = [
                np.mean([loss(spoilt(layer, axis, some)) for _ in range(5)]) - clean
                for some in (order[:quarter], order[-quarter:])
            ]
            assert costs[1] > 1.2 * max(costs[0], 0.01), (layer, axis)


def test_rows_that_no_picture_reaches_are_worth_nothing(mlp_model, mnist5k):
    pictures, _ = mnist5k.part("train")
    never = ~pictures.reshape(len(pictures), -1).any(axis=0)
    rows = importance_of(mlp_model, DATA).rows[0]
    assert never.sum() > 50 and (rows[never] == 0).all() and (rows > 0).sum() > 300


def test_even_importance_counts_all_alike(mlp_model):
    even = Importance.even(mlp_model)
    assert all((even.of_layer(i) == np.ones(c.shape)).all() for i, c in enumerate(mlp_model.codes))
