"""Walking from state to state gives what evaluating every state by itself gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.overlay import DOWN, UP, Written
from lifesim.network import walk
from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Relu, load_architecture
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.walk import Walker, slack, walker_of

SLC, MLC = Encoding(), Encoding(2, True)
ARCHITECTURES = [
    load_architecture("mlp"),
    load_architecture("lenet"),
    load_architecture("convnet_quick"),
    # Two layers without a function between, windows that the border cuts, an odd number of outputs, zeros around.
    Architecture(
        "odd",
        (2, 9, 8),
        (Conv("a", 3, 3, 1), Conv("b", 5, 2), AvgPool(3, 2), Relu(), Conv("c", 3, 3, 2), MaxPool(2, 1),
         Dense("d", 7), Dense("e", 5), Relu(), Dense("f", 4)),
    ),
    Architecture("relu at the end", (1, 5, 5), (Dense("a", 6), Relu(), Relu(), Dense("b", 3), Relu())),
    Architecture("one layer", (1, 4, 4), (Dense("a", 3),)),
    Architecture("large kernel", (3, 20, 20), (Conv("a", 9, 9, 4), Relu(), Dense("b", 3)), 1.0, (100.0, 90.0, 80.0)),
]  # fmt: skip


def random_model(architecture, seed):
    rng = np.random.default_rng(seed)
    layers = architecture.crossbar_layers
    weights = [rng.uniform(-1, 1, (layer.fan_in, layer.fan_out)) / layer.fan_in**0.5 for layer in layers]
    biases = [rng.normal(size=layer.fan_out) for layer in layers]
    return Model.quantised(architecture, weights, biases, "per_layer" if seed % 2 else "global")


def random_overlay(model, encoding, rng, most):
    """Cells of each layer, some of them written twice, with levels and moves."""
    overlay = []
    for codes in model.codes:
        n_cells = codes.size * encoding.cells_per_weight
        n = rng.integers(0, min(most, n_cells) + 1)
        cells = rng.choice(n_cells, n, replace=False)
        written = np.array([*range(encoding.top_level + 1), UP, DOWN], np.uint8)
        overlay.append((Written(cells, rng.choice(written, n)), Written(cells[: n // 2], 0)))
    return overlay


def held(model, encoding, overlay):
    return tuple(encoding.write_over(c, over) for c, over in zip(model.codes, overlay, strict=True))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(ARCHITECTURES),
    st.sampled_from([SLC, MLC]),
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 3, 40, 400]),
    st.sampled_from([1, 16, 21]),
    st.booleans(),
    st.booleans(),
)
def test_every_state_is_as_if_evaluated_alone(architecture, encoding, seed, most, m, independent, walks):
    """Walked to or multiplied."""
    rng = np.random.default_rng(seed)
    model = random_model(architecture, seed)
    states = [random_overlay(model, encoding, rng, most) for _ in range(5)]
    states[3] = states[1]
    pictures = rng.integers(0, 256, (m, *architecture.input_shape), dtype=np.uint8)
    walker = Walker(model, encoding)
    changes = walker.changes(states, independent=independent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "walking_is_faster", lambda *_, **__: walks)
        agree_with_the_plain_path(walker, changes, states, pictures)


def agree_with_the_plain_path(walker, changes, states, pictures):
    model, encoding = walker.model, walker.encoding
    fast = walker.logits(changes, pictures)
    plain = Evaluator.of(model).logits([held(model, encoding, s) for s in states], pictures)
    np.testing.assert_allclose(fast, plain, rtol=0, atol=2 * slack(fast) / 4)
    some = np.array([1, 2, 4])
    passing = walker.logits(changes, pictures, some)
    np.testing.assert_allclose(passing, plain[some], rtol=0, atol=2 * slack(fast) / 4)
    # Nothing is left behind.
    np.testing.assert_array_equal(walker.logits(changes, pictures), fast)


@pytest.mark.parametrize("walks", [True, False])
def test_a_long_walk_does_not_stray(walks, monkeypatch):
    """Four hundred states, each with some cells more, and a way back: errors do not add up."""
    model, rng = random_model(load_architecture("lenet"), 2), np.random.default_rng(1)
    whole = [
        (rng.permutation(c.size * 16)[:4000], rng.integers(0, 2, 4000).astype(np.uint8)) for c in model.codes
    ]
    shares = [*range(0, 4000, 20), *range(4000, 0, -20), 0]
    states = [[(Written(cells[:n], levels[:n]),) for cells, levels in whole] for n in shares]
    pictures = rng.integers(0, 256, (16, 1, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(walk, "walking_is_faster", lambda *_, **__: walks)
    walker = Walker(model, SLC)
    walked = walker.logits(walker.changes(states), pictures)
    alone = walker.logits(walker.changes(states, independent=True), pictures)
    np.testing.assert_allclose(walked, alone, rtol=0, atol=2 * slack(alone) / 4)
    np.testing.assert_allclose(walked[-1], walked[0], rtol=0, atol=2 * slack(alone) / 4)


def test_slack_of_confidences_is_half_that_of_logits():
    """Softmax: no confidence moves by more than half of what its logits do."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (1000, 10))
    moved = logits + 1e-3 * rng.choice([-1, 1], logits.shape)

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    assert np.abs(softmax(moved) - softmax(logits)).max() <= 0.5e-3
    assert slack(np.array([[3.0, -1.0]])) == 1e-4
    assert slack(np.array([[3.0, -400.0]])) == pytest.approx(1e-2)
    assert slack(np.array([[3.0, np.nan]])) == slack(np.array([[np.inf]])) == np.inf


def test_walkers_are_kept_by_model_and_encoding():
    model, other = (random_model(load_architecture("mlp"), seed) for seed in (1, 2))
    assert walker_of(model, SLC) is walker_of(model, SLC)
    assert walker_of(model, SLC) is not walker_of(other, SLC)
    assert walker_of(model, SLC) is not walker_of(model, MLC)
    pictures = Architecture("pictures", (1, 4, 4), (Conv("a", 3, 2),))
    assert walker_of(random_model(pictures, 1), SLC) is None
    with pytest.raises(ValueError, match="one number a class"):
        Walker(random_model(pictures, 1), SLC)
