"""The one forward function against oracles: torch's own layers, and the definition of read noise in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Relu, load_architecture
from lifesim.network.forward import WeightNoise, compute_layout, forward, single_threaded, to_input, to_rows
from lifesim.network.training import convolved

CONVNET = Architecture(
    "small",
    (3, 14, 12),
    (
        Conv("conv1", 4, 3),
        MaxPool(2),
        Relu(),
        Conv("conv2", 5, 2),
        Relu(),
        Dense("fc1", 7),
        Relu(),
        Dense("fc2", 3),
    ),
)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def random_network(architecture, copies, rng):
    layers = architecture.crossbar_layers
    weights = [
        torch.from_numpy(rng.normal(size=(copies, la.fan_in, la.fan_out)) / la.fan_in**0.5).float()
        for la in layers
    ]
    return weights, [torch.from_numpy(rng.normal(size=la.fan_out)).float() for la in layers]


def run(architecture, weights, biases, pictures, noise=None):
    rows = to_rows(architecture.steps[0], to_input(architecture, pictures)[None])
    return forward(architecture, compute_layout(architecture, weights), biases, rows, noise)


def test_agrees_with_torchs_own_layers(rng):
    weights, biases = random_network(CONVNET, 2, rng)
    pictures = rng.integers(0, 256, (6, 3, 14, 12), dtype=np.uint8)
    ours = run(CONVNET, weights, biases, pictures)
    nn = torch.nn.functional
    for copy in range(2):
        kernels = [w[copy].T for w in weights]
        x = torch.from_numpy(pictures / 256).float()
        x = nn.relu(nn.max_pool2d(nn.conv2d(x, kernels[0].reshape(4, 3, 3, 3), biases[0]), 2))
        x = nn.relu(nn.conv2d(x, kernels[1].reshape(5, 4, 2, 2), biases[1])).flatten(1)
        x = nn.relu(nn.linear(x, kernels[2], biases[2]))
        torch.testing.assert_close(ours[copy], nn.linear(x, kernels[3], biases[3]), rtol=1e-5, atol=1e-5)


def test_rows_are_in_the_order_of_torchs_unfold(rng):
    """Codes are stored so; a layer's matrix multiplies unfold's columns."""
    conv = Architecture("conv", (2, 5, 6), (Conv("conv1", 3, 2), Dense("fc1", 60)))
    weights, biases = random_network(conv, 1, rng)
    weights[1] = torch.eye(60)[None]  # passes the convolution's results on, ordered (channel, row, column)
    biases = [torch.zeros(3), torch.zeros(60)]
    pictures = rng.integers(0, 256, (1, 2, 5, 6), dtype=np.uint8)
    columns = torch.nn.functional.unfold(torch.from_numpy(pictures / 256).float(), 2)[0]
    torch.testing.assert_close(
        run(conv, weights, biases, pictures)[0, 0].reshape(3, 20), weights[0][0].T @ columns
    )


def test_noise_follows_its_definition(rng):
    """Each MVM result deviates by z times sigma sqrt(sum w^2 x^2), in the order [positions, fan_out]."""
    conv = Architecture("conv", (1, 4, 4), (Conv("conv1", 2, 3), Dense("fc1", 8)))
    weights, _ = random_network(conv, 1, rng)
    weights[1] = torch.eye(8)[None]
    biases = [torch.ones(2), torch.zeros(8)]
    pictures = rng.integers(0, 256, (1, 1, 4, 4), dtype=np.uint8)
    z = rng.normal(size=(4, 2)).astype(np.float32)
    noise = [WeightNoise(0.1, torch.from_numpy(z)[None]), WeightNoise(0.1, torch.zeros(1, 1, 8))]
    x, w = pictures[0, 0] / 256, weights[0][0].numpy().astype(float)
    patches = np.array([x[r : r + 3, c : c + 3].reshape(-1) for r in (0, 1) for c in (0, 1)])
    expected = patches @ w + 1 + 0.1 * np.sqrt(patches**2 @ w**2) * z
    assert run(conv, weights, biases, pictures, noise)[0, 0].numpy() == pytest.approx(
        expected.T.reshape(-1), rel=1e-5
    )


def test_noise_is_what_independent_weights_would_give(rng):
    """An MVM's variance over perturbed weights is sigma^2 sum w^2 x^2, within 4 standard errors."""
    dense = Architecture("dense", (1, 4, 4), (Dense("fc1", 1),))
    weights, biases = random_network(dense, 1, rng)
    pictures = rng.integers(0, 256, (1, 1, 4, 4), dtype=np.uint8)
    deviation = run(dense, weights, biases, pictures, [WeightNoise(0.1, torch.ones(1, 1, 1))]) - run(
        dense, weights, biases, pictures
    )
    trials = 40_000
    perturbed = weights[0] * (1 + 0.1 * torch.from_numpy(rng.normal(size=(trials, 16, 1))).float())
    sample = run(dense, [perturbed], biases, pictures)[:, 0, 0].numpy().std()
    assert sample == pytest.approx(float(deviation), rel=4 / np.sqrt(2 * trials))


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(5, 9),
    width=st.integers(5, 9),
    size=st.integers(1, 4),
    stride=st.integers(0, 4),
    pool=st.sampled_from([MaxPool, AvgPool]),
    padding=st.integers(0, 3),
)
def test_padding_and_pooling_agree_with_torchs_in_any_shape(height, width, size, stride, pool, padding):
    """Caffe's average over a window that the border cuts short divides by the pixels within; torch's ceil mode does the same."""
    assume(stride <= size)
    rng = np.random.default_rng(1)
    net = Architecture("n", (2, height, width), (Conv("c", 3, 2, padding), pool(size, stride), Dense("f", 2)))
    weights, biases = random_network(net, 1, rng)
    pictures = rng.integers(0, 256, (2, 2, height, width), dtype=np.uint8)
    nn = torch.nn.functional
    x = torch.from_numpy(pictures / 256).float()
    x = nn.conv2d(x, weights[0][0].T.reshape(3, 2, 2, 2), biases[0], padding=padding)
    pooled = {MaxPool: nn.max_pool2d, AvgPool: nn.avg_pool2d}[pool](x, size, stride or size, ceil_mode=True)
    assert net.shapes[2] == tuple(pooled.shape[1:])
    expected = pooled.flatten(1) @ weights[1][0] + biases[1]
    torch.testing.assert_close(run(net, weights, biases, pictures)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["convnet_quick", "lenet", "mlp"])
def test_training_goes_through_the_same_function(rng, name):
    net = load_architecture(name)
    weights, biases = random_network(net, 1, rng)
    pictures = rng.integers(0, 256, (3, *net.input_shape), dtype=np.uint8)
    ours = convolved(net.steps, [w[0] for w in weights], biases, to_input(net, pictures))
    expected = run(net, weights, biases, pictures)[0]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_input_is_what_scale_and_mean_say(rng):
    net = Architecture("n", (3, 2, 2), (Dense("f", 2),), input_scale=0.5, input_mean=(1.0, 2.0, 3.0))
    pictures = rng.integers(0, 256, (4, 3, 2, 2), dtype=np.uint8)
    expected = (pictures - np.array([1.0, 2.0, 3.0])[:, None, None]) / 2
    assert np.array_equal(to_input(net, pictures).permute(0, 3, 1, 2).numpy(), expected)


def test_single_threaded_gives_the_threads_back():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), single_threaded():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before
