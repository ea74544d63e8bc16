"""The dense layers at a network's end by themselves: what enters them, and gradients as through the whole network."""

import numpy as np
import pytest
import torch

from lifesim.errors import UserError
from lifesim.network.architecture import Architecture, Conv, Dense, MaxPool, Relu
from lifesim.network.evaluate import Evaluator
from lifesim.network.forward import to_input
from lifesim.network.tail import Tail
from lifesim.network.training import loss_gradients

CONVOLUTIONAL = Architecture(
    "net",
    (2, 8, 8),
    (Conv("c", 3, 3), MaxPool(2), Relu(), Dense("d", 5), Relu(), Dense("e", 4), Relu()),
    1 / 256,
)


def random_weights(architecture, seed):
    rng = np.random.default_rng(seed)
    layers = architecture.crossbar_layers
    weights = [rng.normal(0, 0.4, (x.fan_in, x.fan_out)).astype(np.float32) for x in layers]
    return weights, [rng.normal(0, 0.4, x.fan_out).astype(np.float32) for x in layers]


@pytest.mark.parametrize("first", [None, 2])
def test_gradients_are_those_through_the_whole_network(first):
    tail = Tail.of(CONVOLUTIONAL, first)
    assert tail.first == (first or 1)
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 256, (20, 2, 8, 8), np.uint8)
    labels = rng.integers(0, 4, 20)
    copies = [random_weights(CONVOLUTIONAL, seed) for seed in (1, 2)]
    entering = torch.stack([tail.enters(CONVOLUTIONAL, *copy, pictures) for copy in copies])
    weights, biases = (
        [
            torch.from_numpy(np.stack(of_layer))
            for of_layer in zip(*(c[i][tail.first :] for c in copies), strict=True)
        ]
        for i in (0, 1)
    )
    wanted = torch.eye(4)[labels].expand(2, -1, -1)
    found = tail.gradients(entering, weights, biases, wanted)
    for copy, (own_weights, own_biases) in enumerate(copies):
        parameters = [*(torch.from_numpy(w)[None] for w in own_weights), *map(torch.from_numpy, own_biases)]
        whole = loss_gradients(
            CONVOLUTIONAL, parameters, to_input(CONVOLUTIONAL, pictures), torch.tensor(labels)
        )
        for ours, theirs in zip(found, whole[tail.first : 3], strict=True):
            assert torch.allclose(ours[copy], theirs[0], atol=1e-6)


def test_a_network_of_dense_layers_is_all_tail(mlp_model, mnist5k):
    tail = Tail.of(mlp_model.architecture)
    pictures, _ = mnist5k.part("spec")
    x = tail.enters(mlp_model.architecture, mlp_model.weights(), mlp_model.biases, pictures[:30])
    assert tail.first == 0 and torch.equal(x, to_input(mlp_model.architecture, pictures[:30]).flatten(1))
    behind = Tail.of(mlp_model.architecture, 2)
    x = behind.enters(mlp_model.architecture, mlp_model.weights(), mlp_model.biases, pictures[:30])
    logits = x.numpy() @ mlp_model.weights()[2] + mlp_model.biases[2]
    assert np.allclose(logits, Evaluator.of(mlp_model).logits([mlp_model.codes], pictures[:30])[0], atol=1e-4)


def test_a_network_that_ends_in_pictures_or_a_layer_before_the_tail_is_refused():
    with pytest.raises(UserError, match="does not end in dense layers"):
        Tail.of(Architecture("net", (1, 8, 8), (Conv("c", 3, 8),), 1.0))
    with pytest.raises(ValueError, match="begin with 1"):
        Tail.of(CONVOLUTIONAL, 0)
