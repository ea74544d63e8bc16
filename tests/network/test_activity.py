"""Ones at the input of a layer against a loop over positions, rows and bits."""

import numpy as np
import pytest

from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.network.activity import input_ones_share
from lifesim.network.architecture import Architecture, Conv, Dense, MaxPool, Relu
from lifesim.network.model import Model

STEPS = (Conv("conv", 3, 2), MaxPool(2), Dense("fc1", 4), Relu(), Dense("fc2", 2))


@pytest.fixture
def model():
    rng = np.random.default_rng(2)
    architecture = Architecture("small", (2, 5, 7), STEPS)
    layers = architecture.crossbar_layers
    return Model.quantised(
        architecture,
        [rng.uniform(-0.5, 0.5, (la.fan_in, la.fan_out)) for la in layers],
        [rng.uniform(-0.5, 0.5, la.fan_out) for la in layers],
    )


def ones(value, bits):
    """Ones of a value's 16-bit two's complement code with so many bits behind the point."""
    return bin(round(float(value) * 2**bits) % 2**16).count("1")


def by_hand(model, pictures):
    """The network in plain loops; returns all layers' input vectors, [vectors per picture, m, fan_in]."""
    conv, fc1, fc2 = (w.astype(np.float64) for w in model.weights())
    vectors = ([], [], [])
    for picture in pictures / 256:
        maps = np.empty((3, 4, 6))
        for row in range(4):
            for column in range(6):
                patch = picture[:, row : row + 2, column : column + 2].reshape(-1)
                vectors[0].append(patch)
                maps[:, row, column] = patch @ conv + model.biases[0]
        pooled = maps.reshape(3, 2, 2, 3, 2).max(axis=(2, 4)).reshape(-1)
        vectors[1].append(pooled)
        vectors[2].append(np.maximum(pooled @ fc1 + model.biases[1], 0))
    return [np.array(v) for v in vectors]


def test_the_share_is_that_of_every_vector(model):
    pictures = np.random.default_rng(3).integers(0, 256, (70, 2, 5, 7), dtype=np.uint8)
    pictures[:, :, 0] = 0
    shares = input_ones_share(model, pictures)
    assert len(shares) == 3
    for share, vectors in zip(shares, by_hand(model, pictures), strict=True):
        bits = FixedPoint.tightest([vectors], 40).fraction_bits
        expected = sum(ones(v, bits) for v in vectors.reshape(-1)) / (16 * vectors.size)
        # The last bits of float32 and float64 arithmetic may round to different codes.
        assert share == pytest.approx(expected, rel=0.01)
    exact = sum(bin(int(p)).count("1") for v in by_hand(model, pictures)[0] for p in 256 * v)
    assert shares[0] == pytest.approx(exact / (70 * 4 * 6 * 8 * 16), rel=1e-12), "pixels are exact"


def test_dark_pictures_exercise_nothing_at_first(model):
    shares = input_ones_share(model, np.zeros((2, 2, 5, 7), np.uint8))
    assert shares[0] == 0.0 and shares[1] > 0.0, "biases are not zero"


def test_digits_exercise_a_few_per_cent_of_what_they_could(mlp_model, mnist5k):
    """Most pixels of a digit are dark: 0.9 of 16 bits; a layer behind a ReLU sees more."""
    first, second, third = input_ones_share(mlp_model, mnist5k.part("spec")[0])
    assert first == pytest.approx(
        np.unpackbits(mnist5k.part("spec")[0][..., None], axis=-1).sum(axis=-1).mean() / 16
    )
    assert 0.03 < first < 0.1 < second < 0.5 and 0.1 < third < 0.5
