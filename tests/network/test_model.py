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
    assert model.formats_text() == "Q1.14"
    rng = np.random.default_rng(1)
    exact = rng.uniform(-1.5, 1.5, (4, 3))
    assert np.abs(model.weights()[0] - exact).max() <= model.formats[0].scale / 2
    assert [b.dtype for b in model.biases] == [np.float32] * 2


def test_equal_content_has_equal_digest_and_any_change_another(model):
    same = dataclasses.replace(model, codes=tuple(c.copy() for c in model.codes))
    assert same.digest == model.digest and len(model.digest) == 16
    one_bit = model.codes[1].copy()
    one_bit[2, 1] ^= 1
    others = [
        model.with_codes((model.codes[0], one_bit)),
        dataclasses.replace(model, biases=(model.biases[0], model.biases[1] + np.float32(1))),
        dataclasses.replace(model, formats=(FixedPoint(fraction_bits=13),) * 2),
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


def weights_of(architecture, sizes):
    rng = np.random.default_rng(2)
    layers = architecture.crossbar_layers
    return [
        size * rng.uniform(-1, 1, (la.fan_in, la.fan_out)) for size, la in zip(sizes, layers, strict=True)
    ]


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ("global", "Q0.15"),
        ("per_layer", "fc1 Q-4.19, fc2 Q0.15"),
        ("Q3.12", "Q3.12"),
        ({"fc2": "Q2.13"}, "fc1 Q-4.19, fc2 Q2.13"),
        ({"fc1": "Q0.15", "fc2": "Q0.15"}, "Q0.15"),
    ],
)
def test_formats_are_chosen_as_asked(model, choice, text):
    weights = weights_of(model.architecture, (0.05, 0.9))
    chosen = Model.quantised(model.architecture, weights, model.biases, choice)
    assert chosen.formats_text() == text
    for exact, held, fmt in zip(weights, chosen.weights(), chosen.formats, strict=True):
        assert np.abs(held - exact).max() <= fmt.scale / 2


def test_a_given_format_saturates(model):
    weights = weights_of(model.architecture, (0.05, 3.0))
    held = Model.quantised(model.architecture, weights, model.biases, "Q0.15").weights()
    assert np.array_equal(
        held[1], np.clip(np.round(weights[1] * 2**15) / 2**15, -1, 1 - 2**-15).astype(np.float32)
    )
    assert held[1].max() == 1 - 2**-15
    assert np.allclose(held[0], weights[0], atol=2**-16)


def test_one_format_for_each_layer(model):
    with pytest.raises(ValueError, match="1 formats do not fit the 2 layers"):
        dataclasses.replace(model, formats=model.formats[:1])


def test_the_scale_of_a_layer_belongs_to_its_digest(model):
    formats = (model.formats[0], FixedPoint(fraction_bits=17))
    other = dataclasses.replace(model, formats=formats)
    assert other.digest != model.digest != dataclasses.replace(model, formats=formats[::-1]).digest
