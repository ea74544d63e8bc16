"""Models are values: read-only, and known by a digest of all that they are."""

import dataclasses

import numpy as np
import pytest

from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.network.architecture import Architecture, Dense, Relu
from lifesim.network.model import Model


@pytest.fixture
def model():
    architecture = Architecture("small", (1, 2, 2), (Dense("fc1", 3), Relu(), Dense("fc2", 2)))
    rng = np.random.default_rng(1)
    weights = [rng.uniform(-1.5, 1.5, (4, 3)), rng.uniform(-1, 1, (3, 2))]
    return Model.quantised(architecture, weights, [np.array([0.1, 0.2, 0.3]), np.array([0.5, -0.5])])


def test_one_format_holds_all_weights_within_half_a_step(model):
    assert str(model.fixed_point) == "Q1.14"
    rng = np.random.default_rng(1)
    exact = rng.uniform(-1.5, 1.5, (4, 3))
    assert np.abs(model.weights()[0] - exact).max() <= model.fixed_point.scale / 2
    assert [b.dtype for b in model.biases] == [np.float32] * 2


def test_equal_content_has_equal_digest_and_any_change_another(model):
    same = dataclasses.replace(model, codes=tuple(c.copy() for c in model.codes))
    assert same.digest == model.digest and len(model.digest) == 16
    one_bit = model.codes[1].copy()
    one_bit[2, 1] ^= 1
    others = [
        model.with_codes((model.codes[0], one_bit)),
        dataclasses.replace(model, biases=(model.biases[0], model.biases[1] + np.float32(1))),
        dataclasses.replace(model, fixed_point=FixedPoint(fraction_bits=13)),
        dataclasses.replace(model, architecture=dataclasses.replace(model.architecture, name="other")),
    ]
    assert len({model.digest, *(other.digest for other in others)}) == 5


def test_arrays_are_copies_that_nobody_can_change(model):
    mine = model.codes[0].copy()
    other = model.with_codes((mine, model.codes[1]))
    mine += 1
    assert np.array_equal(other.codes[0], model.codes[0])
    with pytest.raises(ValueError, match="read-only"):
        other.codes[0][0, 0] = 1


def test_shapes_must_fit_the_architecture(model):
    with pytest.raises(ValueError, match="do not fit"):
        model.with_codes(model.codes[::-1])
