"""Shapes and counts of networks, and what is refused."""

import subprocess
import sys

import pytest

from lifesim.errors import UserError
from lifesim.network.architecture import (
    Architecture,
    Conv,
    CrossbarLayer,
    Dense,
    Relu,
    load_architecture,
    parse_steps,
)
from lifesim.scenario.presets import preset_names


def test_lenet_is_caffes():
    lenet = load_architecture("lenet")
    assert lenet.crossbar_layers == (
        CrossbarLayer("conv1", 25, 20, 24 * 24),
        CrossbarLayer("conv2", 500, 50, 8 * 8),
        CrossbarLayer("fc1", 800, 500, 1),
        CrossbarLayer("fc2", 500, 10, 1),
    )
    assert lenet.weights == 430_500
    assert lenet.macs == 2_293_000
    assert lenet.classes == 10


def test_convnet_quick_is_caffes():
    quick = load_architecture("convnet_quick")
    assert quick.shapes[::2] == ((3, 32, 32), (32, 16, 16), (32, 16, 16), (32, 8, 8), (64, 8, 8), (64,))
    assert quick.crossbar_layers == (
        CrossbarLayer("conv1", 75, 32, 32 * 32),
        CrossbarLayer("conv2", 800, 32, 16 * 16),
        CrossbarLayer("conv3", 800, 64, 8 * 8),
        CrossbarLayer("fc1", 1024, 64, 1),
        CrossbarLayer("fc2", 64, 10, 1),
    )
    assert (quick.weights, quick.macs) == (145_376, 12_354_176)
    # A March test costs 1064 inferences of one MAC a weight: RRAMedy's Table III gives 13.
    assert 1064 * quick.weights / quick.macs == pytest.approx(12.5, abs=0.05)


def test_a_description_keeps_its_words_when_a_field_is_added():
    """Digests of models, and the random streams that they seed, hang on it."""
    assert repr(load_architecture("lenet")) == (
        "Architecture(name='lenet', input_shape=(1, 28, 28), steps=(Conv(name='conv1', channels=20, kernel=5), MaxPool(size=2), "
        "Conv(name='conv2', channels=50, kernel=5), MaxPool(size=2), Dense(name='fc1', outputs=500), Relu(), "
        "Dense(name='fc2', outputs=10)))"
    )
    assert repr(Conv("c", 1, 2, 3)) == "Conv(name='c', channels=1, kernel=2, padding=3)"


def test_mlp_does_one_multiplication_per_weight():
    mlp = load_architecture("mlp")
    assert [(layer.fan_in, layer.fan_out, layer.positions) for layer in mlp.crossbar_layers] == [
        (784, 64, 1), (64, 32, 1), (32, 10, 1),
    ]  # fmt: skip
    assert mlp.weights == mlp.macs == 52_544


@pytest.mark.parametrize("name", preset_names("network"))
def test_every_preset_makes_a_network_of_ten_classes(name):
    assert load_architecture(name).classes == 10


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"type": "dens", "name": "fc1", "outputs": 3}, "did you mean 'dense'"),
        ({"name": "fc1"}, "no layer of type None"),
        ({"type": "dense", "name": "fc1"}, "dense takes"),
        ({"type": "dense", "name": "fc1", "outputs": 0}, "numbers from 1"),
        ({"type": "dense", "name": "fc1", "outputs": True}, "dense takes"),
        ({"type": "relu", "slope": 1}, "relu takes nothing else"),
    ],
)
def test_wrong_layers_are_named(table, says):
    with pytest.raises(UserError, match=says):
        parse_steps([table])


@pytest.mark.parametrize(
    "tables",
    [
        [{"type": "conv", "name": "c", "channels": 1, "kernel": 9}],
        [
            {"type": "conv", "name": "c", "channels": 1, "kernel": 3},
            {"type": "avgpool", "size": 2, "stride": 3},
        ],
        [{"type": "conv", "name": "c", "channels": 1, "kernel": 3}, {"type": "maxpool", "size": 7}],
        [
            {"type": "dense", "name": "f", "outputs": 4},
            {"type": "conv", "name": "c", "channels": 1, "kernel": 1},
        ],
    ],
)
def test_steps_that_do_not_fit_are_refused(tables):
    with pytest.raises(UserError, match="does not fit"):
        Architecture("small", (1, 8, 8), parse_steps(tables))


def test_a_network_begins_with_a_crossbar_layer():
    with pytest.raises(UserError, match="first layer"):
        Architecture("small", (1, 8, 8), (Relu(), Dense("f", 2)))


def test_layers_have_names_of_their_own_and_means_are_for_every_channel():
    with pytest.raises(UserError, match="different names"):
        Architecture("small", (1, 8, 8), (Dense("f", 2), Dense("f", 2)))
    with pytest.raises(UserError, match="input_mean has 2 numbers"):
        Architecture("small", (1, 8, 8), (Dense("f", 2),), input_mean=(1.0, 2.0))


def test_unknown_network_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'lenet'"):
        load_architecture("lnet")


def test_shapes_and_models_are_known_without_torch():
    code = "import sys, lifesim.network.architecture, lifesim.network.model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
