"""To first order, the noise of logits and what pictures reveal of weights: against sampled noise, closed forms and finite differences."""

import math

import numpy as np
import pytest
import torch

from lifesim.crossbar.encoding import BITS_PER_WEIGHT, Encoding
from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Relu
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.network.sensitivity import Sensitivity
from lifesim.normals import unit_normals

SMALL = Architecture(
    "small",
    (2, 7, 6),
    (Conv("a", 3, 3, 1), Relu(), MaxPool(2), Conv("b", 4, 2), AvgPool(2, 1), Relu(), Dense("c", 6), Relu(),
     Dense("d", 3)),
)  # fmt: skip
ONE_LAYER = Architecture("one layer", (1, 4, 4), (Dense("a", 3),))
SIGMAS = {
    "weight": 2e-3,
    "cell_analog": 2e-4,
    "cell_adc": 2e-6,
}  # so small that the first order is all there is


def random_model(architecture, seed=0):
    rng = np.random.default_rng(seed)
    layers = architecture.crossbar_layers
    weights = [rng.normal(size=(layer.fan_in, layer.fan_out)) / layer.fan_in**0.5 for layer in layers]
    return Model.quantised(architecture, weights, [rng.normal(size=layer.fan_out) for layer in layers])


def pictures_for(architecture, count, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, *architecture.input_shape), np.uint8)


@pytest.mark.parametrize("encoding", [Encoding(), Encoding(2)])
@pytest.mark.parametrize("kind", SIGMAS)
def test_the_covariance_is_that_of_sampled_noise(kind, encoding):
    """Each of the 2 x 6 different entries within 5 standard errors: var of a sampled covariance is (s_ii s_jj + s_ij^2) / n."""
    model, n = random_model(SMALL), 6000
    pictures = pictures_for(SMALL, 2)
    evaluator = Evaluator.of(model, encoding=encoding)
    z = unit_normals(3, 2 * n, evaluator.noise_elements).reshape(n, 2, -1)
    reads = np.concatenate(
        [
            evaluator.logits([model.codes] * 500, pictures, Noise(SIGMAS[kind], z[i : i + 500], kind))
            for i in range(0, n, 500)
        ]
    ).astype(float)
    expected = Sensitivity(model, model.codes, SIGMAS[kind], kind, encoding).noise_covariance(pictures)
    assert expected.shape == (2, 3, 3)
    for picture in range(2):
        sampled = np.cov(reads[:, picture], rowvar=False)
        variances = np.diag(expected[picture])
        errors = np.sqrt((np.outer(variances, variances) + expected[picture] ** 2) / n)
        assert np.all(np.abs(sampled - expected[picture]) < 5 * errors)


ONE_UNIT = Architecture("one unit", (1, 1, 1), (Dense("a", 1), Relu(), Dense("b", 2)))


@pytest.mark.parametrize(
    ("off_by", "reach", "on"), [(-1.0, 0.0, True), (3.0, 0.0, False), (3.0, 2.0, False), (3.0, 4.0, True)]
)
def test_a_unit_that_noise_may_turn_on_counts_as_on(off_by, reach, on):
    """A unit that is off, or on, by so many standard deviations of its own noise."""
    x = 255 / 256
    spread = 0.002 * 0.5 * x
    bias = -0.5 * x - off_by * spread
    weights = np.array([[0.5, -0.25]])
    model = Model.quantised(ONE_UNIT, [np.array([[0.5]]), weights], [np.array([bias]), np.zeros(2)])
    found = Sensitivity(model, model.codes, 0.002).noise_covariance(
        np.full((1, 1, 1, 1), 255, np.uint8), reach
    )[0]
    own = np.diag(np.square(0.002 * weights[0] * max(0.0, -off_by) * spread))
    np.testing.assert_allclose(found, own + on * weights.T @ weights * spread**2, rtol=1e-3, atol=1e-12)


def test_the_further_the_reach_the_more_noise():
    """Of every logit on average, through all kinds of steps; with no reach worth the name it is that of the network as it is."""
    dark = random_model(SMALL)
    model = Model.quantised(SMALL, dark.weights(), [b - 0.3 for b in dark.biases])
    pictures = pictures_for(SMALL, 8)
    sensitivity = Sensitivity(model, model.codes, 0.05)

    def noise(reach):
        return np.trace(sensitivity.noise_covariance(pictures, reach), axis1=1, axis2=2)

    np.testing.assert_allclose(noise(1e-9), noise(0.0), rtol=1e-5)
    assert noise(0.0).mean() < noise(2.0).mean() < noise(1e9).mean()


def test_the_covariance_does_not_depend_on_neighbours():
    model = random_model(SMALL)
    pictures = pictures_for(SMALL, 40)
    sensitivity = Sensitivity(model, model.codes, 0.01)
    whole = sensitivity.noise_covariance(pictures)
    for one in (0, 31, 32, 39):
        alone = sensitivity.noise_covariance(pictures[one : one + 1])[0]
        np.testing.assert_allclose(whole[one], alone, rtol=1e-4, atol=1e-9)


def test_sharp_reads_are_those_of_the_network():
    model = random_model(SMALL)
    pictures = pictures_for(SMALL, 5)
    sensitivity = Sensitivity(model, model.codes, 0.01)
    logits = Evaluator.of(model).logits([model.codes], pictures)[0]
    shown = sensitivity.read(sensitivity.inputs(pictures)).logits.detach().numpy()
    np.testing.assert_allclose(shown, logits, rtol=1e-4, atol=1e-4)
    nearly = sensitivity.read(sensitivity.inputs(pictures), 1e-3).logits.detach().numpy()
    np.testing.assert_allclose(nearly, logits, atol=0.02)


def closed_form(model, sigma, x, directions):
    """What a network of one layer reveals, in float64: x [m, fan_in], directions [m, classes]."""
    (fmt,) = model.formats
    (codes,) = model.codes
    weights = fmt.dequantise(codes).astype(float)
    variances = (x * x) @ (sigma * weights) ** 2
    noise = (directions**2 * variances).sum(axis=1)
    gradient = np.einsum("mi,mk->ik", x / np.sqrt(noise)[:, None], directions)
    seen_from = 4 * math.sqrt(2 * directions.size)
    information = gradient**2 * directions.shape[1] * (fmt.scale * 2.0 ** (BITS_PER_WEIGHT - 1)) ** 2
    return np.log1p(information / seen_from).sum() / (weights.size * BITS_PER_WEIGHT * math.log(4))


def test_what_one_layer_reveals_is_its_closed_form_and_so_is_its_gradient():
    model, rng = random_model(ONE_LAYER), np.random.default_rng(5)
    sensitivity = Sensitivity(model, model.codes, 0.01)
    x = rng.uniform(0.1, 1.0, (4, 1, 4, 4)).transpose(0, 2, 3, 1)
    directions = rng.normal(size=(4, 3))
    free = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    revealed = sensitivity.revealed(sensitivity.read(free), torch.tensor(directions, dtype=torch.float32))
    assert float(revealed.detach()) == pytest.approx(
        closed_form(model, 0.01, x.reshape(4, 16), directions), rel=1e-4
    )
    (gradient,) = torch.autograd.grad(revealed, free)
    step = 1e-5
    for place in [(0, 0, 0, 0), (1, 2, 3, 0), (3, 3, 1, 0)]:
        moved = np.zeros_like(x)
        moved[place] = step
        up, down = (
            closed_form(model, 0.01, (x + sign * moved).reshape(4, 16), directions) for sign in (1, -1)
        )
        assert float(gradient[place]) == pytest.approx((up - down) / (2 * step), rel=2e-3, abs=1e-7)


def test_the_squares_along_random_directions_are_a_weights_information():
    """A single picture, one layer: E over directions of the squared whitened gradient is about the Fisher information over the classes.

    With as many variances as classes, all alike, the information of weight (i, k) is x_i^2 / variance_k exactly.
    """
    rng = np.random.default_rng(7)
    signs = rng.choice([-1.0, 1.0], (16, 3))
    model = Model.quantised(ONE_LAYER, [0.25 * signs], [np.zeros(3)])
    x = rng.uniform(0.1, 1.0, 16)
    variance = (x**2).sum() * (0.01 * 0.25) ** 2
    n = 20_000
    directions = rng.normal(size=(n, 3))
    squares = (x[None, :, None] * directions[:, None, :]) ** 2 / ((directions**2).sum(axis=1) * variance)[
        :, None, None
    ]
    errors = squares.std(axis=0) / np.sqrt(n)
    expected = np.repeat(x[:, None] ** 2 / variance / 3, 3, axis=1)
    assert np.all(np.abs(squares.mean(axis=0) - expected) < 5 * errors)
    # The same quantity is what `revealed` takes the logarithm of.
    sensitivity = Sensitivity(model, model.codes, 0.01)
    shown = torch.tensor(x.reshape(1, 4, 4, 1), dtype=torch.float32)
    one = torch.tensor(directions[:1], dtype=torch.float32)
    found = float(sensitivity.revealed(sensitivity.read(shown), one).detach())
    (fmt,) = model.formats
    exact = np.log1p(
        squares[0] * 3 * (fmt.scale * 2.0 ** (BITS_PER_WEIGHT - 1)) ** 2 / (4 * math.sqrt(2 * 3))
    )
    assert found == pytest.approx(exact.sum() / (48 * BITS_PER_WEIGHT * math.log(4)), rel=1e-3)


def test_more_pictures_reveal_more_and_more_noise_hides():
    model = random_model(SMALL)
    pictures = pictures_for(SMALL, 8)
    directions = torch.tensor(np.random.default_rng(2).normal(size=(8, 3)), dtype=torch.float32)

    def revealed(sigma, count):
        sensitivity = Sensitivity(model, model.codes, sigma)
        read = sensitivity.read(sensitivity.inputs(pictures[:count]))
        return float(sensitivity.revealed(read, directions[:count]).detach())

    assert revealed(0.003, 8) > revealed(0.003, 1) > 0.0
    assert revealed(0.003, 8) > revealed(0.03, 8) > revealed(0.3, 8)
