"""Copies multiplied through are what the plain path makes of them (states that differ in some weights: test_walk)."""

import numpy as np
import pytest

from lifesim.crossbar.encoding import SLC
from lifesim.network.architecture import Architecture, Conv, Dense, MaxPool, Relu
from lifesim.network.dense import packed_places, tabulate
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.program import compile_program
from lifesim.network.walk import Walker, slack
from tests.network.test_walk import ARCHITECTURES, random_model


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
@pytest.mark.parametrize("m", [1, 21])
def test_copies_are_those_of_the_plain_path(architecture, m):
    """Codes and weights between codes, by the layer."""
    rng, model = np.random.default_rng(m), random_model(architecture, m)
    drifted = tuple(w + rng.normal(0, 0.01, w.shape).astype(np.float32) for w in model.weights())
    copies = [drifted, model.codes, (*model.codes[:-1], drifted[-1]), drifted]
    pictures = rng.integers(0, 256, (m, *architecture.input_shape), dtype=np.uint8)
    fast = Walker(model, SLC).logits_of_copies(copies, pictures)
    plain = Evaluator.of(model).logits(copies, pictures)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, plain, rtol=0, atol=slack(fast) / 2)
    np.testing.assert_array_equal(fast[0], fast[3])


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_every_weight_lies_where_it_is_said_to(architecture):
    model = random_model(architecture, 1)
    net = tabulate(model, compile_program(architecture))
    flat = np.concatenate([w.reshape(-1) for w in model.weights()])
    places = packed_places(net)
    np.testing.assert_array_equal(net.weights[places], flat)
    assert len(np.unique(places)) == len(flat)


def test_what_is_not_finite_is_reported():
    """A copy that overflows leaves the others alone."""
    architecture = Architecture("small", (1, 6, 6), (Conv("a", 3, 3), Relu(), MaxPool(2), Dense("b", 4)))
    model = random_model(architecture, 1)
    calm = tuple(model.weights())
    wild = (np.full_like(calm[0], 3e38), calm[1])
    pictures = np.full((16, 1, 6, 6), 255, np.uint8)
    fast = Walker(model, SLC).logits_of_copies([calm, wild, calm], pictures)
    assert np.isfinite(fast).all(axis=(1, 2)).tolist() == [True, False, True]
    assert np.isnan(fast[1]).all()
    bright = Model(
        Architecture("bright", (1, 6, 6), architecture.steps, 1e38), model.formats, model.codes, model.biases
    )
    assert np.isnan(Walker(bright, SLC).logits_of_copies([model.codes], pictures)).all()
