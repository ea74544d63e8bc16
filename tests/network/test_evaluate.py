"""What a copy answers depends on its codes and the pictures alone, to the last bit."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.network.architecture import Architecture, Conv, Dense, MaxPool, Relu, load_architecture
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model

# Layers whose sizes fill no cache line, so that a copy's place would matter if it could.
ODD = Architecture(
    "odd", (1, 9, 9), (Conv("conv1", 3, 2), MaxPool(2), Dense("fc1", 7), Relu(), Dense("fc2", 5))
)


def random_model(architecture, seed=1):
    rng = np.random.default_rng(seed)
    layers = architecture.crossbar_layers
    weights = [rng.uniform(-1, 1, (layer.fan_in, layer.fan_out)) / layer.fan_in**0.5 for layer in layers]
    return Model.quantised(architecture, weights, [rng.normal(size=layer.fan_out) for layer in layers])


def copies_of(model, count, seed=2):
    rng = np.random.default_rng(seed)
    return [
        tuple(np.bitwise_xor(c, rng.integers(0, 512, c.shape, np.int16)) for c in model.codes)
        for _ in range(count)
    ]


def pictures_for(architecture, count, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (count, *architecture.input_shape), dtype=np.uint8)


def evaluator_of(model):
    return Evaluator.of(model)


@pytest.mark.parametrize(
    "architecture", [ODD, load_architecture("mlp"), load_architecture("lenet")], ids=lambda a: a.name
)
def test_companions_and_place_change_no_bit(architecture):
    model = random_model(architecture)
    evaluator, pictures = evaluator_of(model), pictures_for(architecture, 20)
    copies = copies_of(model, 19)
    noise = Noise(
        0.01, np.random.default_rng(4).standard_normal((19, 20, evaluator.noise_elements), dtype=np.float32)
    )
    together = evaluator.confidences(copies, pictures, noise)
    for k in range(0, 19, 3):
        alone = evaluator.confidences([copies[k]], pictures, Noise(0.01, noise.z[k : k + 1]))
        assert np.array_equal(alone[0], together[k])
    order = np.random.default_rng(5).permutation(19)
    shuffled = evaluator.confidences([copies[k] for k in order], pictures, Noise(0.01, noise.z[order]))
    assert np.array_equal(shuffled, together[order])


@settings(deadline=None, max_examples=30)
@given(place=st.integers(0, 40), companions=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_companions_and_place_change_no_bit_whatever_they_are(place, companions, seed):
    model = random_model(ODD)
    evaluator, pictures = evaluator_of(model), pictures_for(ODD, 3)
    copies = copies_of(model, max(place, companions) + 1, seed)
    assert np.array_equal(
        evaluator.logits(copies, pictures)[place], evaluator.logits([copies[place]], pictures)[0]
    )


def test_no_faults_is_the_clean_network_to_the_bit(mlp_model, mnist5k):
    evaluator = evaluator_of(mlp_model)
    pictures, _ = mnist5k.part("test")
    unharmed = apply_map(mlp_model.codes, FaultMap.empty(3))
    damaged = tuple(c ^ np.int16(1) for c in mlp_model.codes)
    clean = evaluator.logits([mlp_model.codes], pictures)[0]
    assert np.array_equal(evaluator.logits([damaged, unharmed], pictures)[1], clean)


def test_logits_are_the_networks(mlp_model, mnist5k):
    """An oracle in float64 from weights and biases; float32 sums of 784 terms agree to about 1e-5."""
    pictures, labels = mnist5k.part("test")
    x = pictures.reshape(len(pictures), -1) / 256
    for weight, bias in list(zip(mlp_model.weights(), mlp_model.biases, strict=True))[:-1]:
        x = np.maximum(x @ weight.astype(float) + bias, 0)
    x = x @ mlp_model.weights()[-1].astype(float) + mlp_model.biases[-1]
    evaluator = evaluator_of(mlp_model)
    np.testing.assert_allclose(evaluator.logits([mlp_model.codes], pictures)[0], x, rtol=1e-4, atol=1e-4)
    exponentials = np.exp(x - x.max(axis=1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(evaluator.confidences([mlp_model.codes], pictures)[0], softmax, atol=1e-5)
    assert evaluator.correct([mlp_model.codes], pictures, labels) == [(x.argmax(axis=1) == labels).sum()]


def test_noise_of_no_strength_is_no_noise():
    model = random_model(ODD)
    evaluator, pictures = evaluator_of(model), pictures_for(ODD, 4)
    z = np.ones((1, 4, evaluator.noise_elements), np.float32)
    silent, ideal = (evaluator.logits([model.codes], pictures, noise) for noise in (Noise(0.0, z), None))
    assert np.array_equal(silent, ideal)
    assert not np.array_equal(evaluator.logits([model.codes], pictures, Noise(0.01, z)), ideal)


def test_threads_change_no_bit_and_are_given_back():
    model = random_model(ODD)
    evaluator, pictures = evaluator_of(model), pictures_for(ODD, 40)
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            answers.append(evaluator.logits([model.codes], pictures))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*answers)


def test_a_picture_gradient_does_not_depend_on_its_neighbours():
    model = random_model(ODD)
    evaluator, pictures, labels = evaluator_of(model), pictures_for(ODD, 20), np.arange(20) % 5
    together = evaluator.picture_gradients(model.codes, pictures, labels)
    changed = pictures_for(ODD, 20, seed=9)
    changed[17] = pictures[17]
    assert np.array_equal(evaluator.picture_gradients(model.codes, changed, labels)[17], together[17])


def test_a_picture_gradient_points_uphill():
    """The loss grows along the gradient as a central difference says."""
    model = random_model(ODD)
    evaluator, labels = evaluator_of(model), np.array([2])
    picture = pictures_for(ODD, 1)
    gradient = evaluator.picture_gradients(model.codes, picture, labels)[0, 0]
    inner = (picture[0, 0] >= 1) & (picture[0, 0] <= 254)
    pixel = np.unravel_index(np.where(inner, np.abs(gradient), 0).argmax(), gradient.shape)

    def loss(step):
        moved = picture.astype(int)
        moved[0, 0][pixel] += step
        moved = moved.astype(np.uint8)
        return -np.log(evaluator.confidences([model.codes], moved)[0, 0, 2].astype(float))

    assert (loss(1) - loss(-1)) / (2 / 256) == pytest.approx(gradient[pixel], rel=0.02)


# -- copies of floats --


def test_floats_that_are_codes_answer_as_codes_do():
    model = random_model(ODD)
    evaluator, pictures = evaluator_of(model), pictures_for(ODD, 20)
    codes = copies_of(model, 3)[2]
    floats = tuple(f.dequantise(c) for f, c in zip(model.formats, codes, strict=True))
    expected = evaluator.logits([codes], pictures)
    mixed = (codes[0], *floats[1:])
    for copy in (floats, mixed):
        assert np.array_equal(evaluator.logits([copy], pictures), expected)
    labels = np.zeros(20, np.int64)
    gradients = [evaluator.picture_gradients(c, pictures, labels) for c in (codes, floats)]
    assert np.array_equal(*gradients)


@pytest.mark.parametrize("kind", ["weight", "cell_analog", "cell_adc"])
@pytest.mark.parametrize("choice", ["global", "per_layer"])
def test_company_of_floats_and_codes_changes_no_bit(kind, choice):
    base = random_model(ODD)
    model = Model.quantised(ODD, base.weights(), base.biases, choice)
    evaluator, pictures = evaluator_of(model), pictures_for(ODD, 18)
    rng = np.random.default_rng(7)
    copies = [
        tuple(
            c if (k + i) % 3 else f.dequantise(c) + rng.normal(size=c.shape, scale=0.01).astype(np.float32)
            for i, (c, f) in enumerate(zip(codes, model.formats, strict=True))
        )
        for k, codes in enumerate(copies_of(model, 11))
    ]
    z = rng.standard_normal((11, 18, evaluator.noise_elements), dtype=np.float32)
    together = evaluator.logits(copies, pictures, Noise(0.01, z, kind))
    for k in range(11):
        alone = evaluator.logits([copies[k]], pictures, Noise(0.01, z[k : k + 1], kind))
        assert np.array_equal(alone[0], together[k])


# -- read noise against brute force --

ENCODINGS = {
    "SLC": SLC,
    "SLC offset": Encoding(1, offset=True),
    "MLC": Encoding(2, offset=True),
    "paper_bits": Encoding(2),
}
SMALL = Architecture("small", (1, 12, 12), (Dense("fc1", 3),))  # 144 rows: two tiles


def moments(sample):
    """Mean and variance of a sample, each with its standard error."""
    n, variance = len(sample), sample.var(axis=0, ddof=1)
    fourth = ((sample - sample.mean(axis=0)) ** 4).mean(axis=0)
    return sample.mean(axis=0), np.sqrt(variance / n), variance, np.sqrt((fourth - variance**2) / n)


def agrees(model, encoding, kind, sigma, sample):
    """The evaluator's mean and variance of a result lie within 3 standard errors of a sample [n, 3] of it."""
    evaluator, picture = Evaluator.of(model, encoding=encoding), pictures_for(SMALL, 1)
    ideal = evaluator.logits([model.codes], picture)[0, 0].astype(float)
    z = np.ones((1, 1, 3), np.float32)
    deviation = evaluator.logits([model.codes], picture, Noise(sigma, z, kind))[0, 0] - ideal
    mean, mean_error, variance, variance_error = moments(sample)
    assert (variance_error < 0.01 * variance).all(), "the sample is large enough to tell"
    assert (np.abs(mean - ideal) < 3 * mean_error).all()
    assert (np.abs(deviation**2 - variance) < 3 * variance_error).all()


@pytest.mark.parametrize("name", ENCODINGS)
def test_noise_of_cells_is_what_noisy_cells_give(name):
    """Every cell's conductance is drawn, columns are summed, digits put together."""
    encoding, sigma, draws = ENCODINGS[name], 0.02, 25_000
    model, rng = random_model(SMALL, seed=6), np.random.default_rng(8)
    x = pictures_for(SMALL, 1).reshape(-1) / 256
    levels = encoding.levels(model.codes[0]).astype(float)  # [rows, columns, digits]
    digits = encoding.digit_values()
    currents = np.einsum("i,iod->od", x, levels)  # what ideal cells give
    spread = sigma * x[:, None, None] * levels
    sample = np.empty((draws, 3))
    for first in range(0, draws, 500):
        noise = np.einsum("niod,iod->nod", rng.standard_normal((500, *levels.shape), np.float32), spread)
        sample[first : first + 500] = (currents + noise) @ digits
    bias = model.codes[0].astype(float).T @ x - currents @ digits  # what digital logic adds for the encoding
    agrees(model, encoding, "cell_analog", sigma, (sample + bias) * model.formats[0].scale + model.biases[0])


@pytest.mark.parametrize("name", ENCODINGS)
def test_noise_of_conversions_is_what_noisy_conversions_give(name):
    """Every conversion is drawn: of each digit, input bit and tile of 128 rows; bits and digits are put together."""
    encoding, sigma, draws = ENCODINGS[name], 0.01, 25_000
    model, rng = random_model(SMALL, seed=6), np.random.default_rng(9)
    x = pictures_for(SMALL, 1).reshape(-1) / 256
    full_scale = 128 * encoding.top_level
    bits = x.max() * 2.0 ** np.arange(16) / 2**16
    digits = encoding.digit_values()
    ideal = model.codes[0].astype(float).T @ x
    sample = np.empty((draws, 3))
    for first in range(0, draws, 500):
        conversions = rng.standard_normal((500, 2, 3, len(digits), 16), np.float32) * sigma * full_scale
        sample[first : first + 500] = ideal + np.einsum("ntodb,d,b->no", conversions, digits, bits)
    agrees(model, encoding, "cell_adc", sigma, sample * model.formats[0].scale + model.biases[0])


def test_noise_of_weights_is_what_noisy_weights_give():
    model, rng = random_model(SMALL, seed=6), np.random.default_rng(10)
    x, weights = pictures_for(SMALL, 1).reshape(-1) / 256, model.weights()[0]
    noise = np.einsum("nio,i,io->no", rng.standard_normal((25_000, 144, 3), np.float32), x, weights)
    agrees(model, SLC, "weight", 0.05, x @ weights + 0.05 * noise + model.biases[0])


def test_noise_of_cells_is_that_of_the_nearest_code_where_weights_are_floats():
    model = random_model(ODD)
    evaluator, pictures = evaluator_of(model), pictures_for(ODD, 4)
    z = np.ones((1, 4, evaluator.noise_elements), np.float32)
    off_grid = tuple(
        w + np.float32(0.3 * f.scale) for w, f in zip(model.weights(), model.formats, strict=True)
    )

    def deviation(copy):
        noise = Noise(1e-3, z, "cell_analog")
        return evaluator.logits([copy], pictures, noise) - evaluator.logits([copy], pictures)

    np.testing.assert_allclose(deviation(off_grid), deviation(model.codes), rtol=0.01, atol=1e-4)


def test_a_normal_moves_the_result_of_its_channel_and_position():
    """Of a convolution whose results a second layer passes on: within a picture channels come first, then positions row by row."""
    architecture = Architecture("passed on", (1, 3, 3), (Conv("a", 2, 2), Dense("b", 8)))
    weights = [np.random.default_rng(1).uniform(0.1, 1, (4, 2)), np.eye(8)]
    model = Model.quantised(architecture, weights, [np.zeros(2), np.zeros(8)])
    evaluator, picture = Evaluator.of(model), np.full((1, 1, 3, 3), 200, np.uint8)
    ideal = evaluator.logits([model.codes], picture)
    for element in range(8):
        z = np.zeros((1, 1, evaluator.noise_elements), np.float32)
        z[0, 0, element] = 1
        moved = evaluator.logits([model.codes], picture, Noise(0.1, z)) != ideal
        assert np.flatnonzero(moved).tolist() == [element]


def test_a_kind_of_noise_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="weight, cell_analog, cell_adc"):
        Noise(0.1, np.zeros((1, 1, 1), np.float32), "cell")


DIGEST_OF_ANSWERS = """
import hashlib, sys
import numpy as np
from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.network.architecture import load_architecture
from lifesim.network.evaluate import Evaluator
data = np.load(sys.argv[1])
architecture = load_architecture("mlp")
formats = [FixedPoint(fraction_bits=int(data["fraction_bits"]))] * 3
evaluator = Evaluator(architecture, formats, [data[f"b{i}"] for i in range(3)])
answers = evaluator.confidences([[data[f"c{i}"] for i in range(3)]], data["pictures"])
print(hashlib.sha256(answers.tobytes()).hexdigest())
"""


def test_another_process_answers_the_same_bits(mlp_model, mnist5k, tmp_path):
    pictures, _ = mnist5k.part("test")
    answers = evaluator_of(mlp_model).confidences([mlp_model.codes], pictures)
    arrays = {f"c{i}": c for i, c in enumerate(mlp_model.codes)} | {
        f"b{i}": b for i, b in enumerate(mlp_model.biases)
    }
    np.savez(
        tmp_path / "model.npz", pictures=pictures, fraction_bits=mlp_model.formats[0].fraction_bits, **arrays
    )
    command = [sys.executable, "-c", DIGEST_OF_ANSWERS, str(tmp_path / "model.npz")]
    other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert other == hashlib.sha256(answers.tobytes()).hexdigest()
