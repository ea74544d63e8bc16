"""What a copy answers depends on its codes and the pictures alone, to the last bit."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
