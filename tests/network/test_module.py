"""A user's own modules and data sets: translated to the same function, refused where they cannot be."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from lifesim.errors import UserError
from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Relu, load_architecture
from lifesim.network.datasets import load_dataset
from lifesim.network.dotted import call_dotted
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.module import translate, weights_of
from lifesim.network.store import stored_at, trained_model
from lifesim.scenario.network import DataSource, Network

MANY = nn.Sequential(
    nn.Sequential(nn.Conv2d(2, 3, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
    nn.Conv2d(3, 4, (2, 2), bias=False),
    nn.AvgPool2d(3, 2, ceil_mode=True),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(4 * 3 * 2, 6),
    nn.ReLU(),
    nn.Linear(6, 3, bias=False),
)


def test_layers_become_steps_with_names():
    steps = translate("own", MANY, (2, 14, 12))
    assert steps == (
        Conv("conv1", 3, 3, 1), Relu(), MaxPool(2), Conv("conv2", 4, 2), AvgPool(3, 2), Relu(),
        Dense("fc1", 6), Relu(), Dense("fc2", 3),
    )  # fmt: skip


def test_names_of_the_users_are_kept():
    module = nn.Sequential()
    module.add_module("features", nn.Sequential(nn.Conv2d(1, 1, 1)))
    module.add_module("flat", nn.Flatten())
    module.add_module("head", nn.Linear(4, 2))
    assert [step.name for step in translate("own", module, (1, 2, 2))] == ["features_0", "head"]


def test_the_network_answers_what_the_module_answers():
    """Within what 16 bits in the tightest scale leave over."""
    torch.manual_seed(1)
    module = MANY
    net = Architecture("own", (2, 14, 12), translate("own", module, (2, 14, 12)))
    weights, biases = weights_of(module)
    model = Model.quantised(net, weights, biases, "per_layer")
    pictures = np.random.default_rng(1).integers(0, 256, (5, 2, 14, 12), dtype=np.uint8)
    with torch.no_grad():
        expected = module(torch.from_numpy(pictures / 256).float()).numpy()
    np.testing.assert_allclose(Evaluator.of(model).logits([model.codes], pictures)[0], expected, atol=2e-4)


def flat(*layers):
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(2))


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.Linear(4, 2), "must return a torch.nn.Sequential, not Linear"),
        (flat(nn.Conv2d(1, 2, 3, stride=2)), r"layer 0 \(Conv2d\): stride = \(2, 2\): allowed: 1"),
        (flat(nn.Conv2d(1, 2, 3, dilation=2)), "dilation"),
        (flat(nn.Conv2d(2, 2, 3, groups=2)), "takes 2 channels, 1 arrive"),
        (flat(nn.Conv2d(1, 2, (3, 2))), r"kernel_size = \(3, 2\)"),
        (flat(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")), "padding_mode = reflect"),
        (flat(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), "BatchNorm2d.: cannot be translated.*fold it"),
        (flat(nn.Conv2d(1, 2, 3), nn.Sigmoid()), "allowed: Conv2d, Linear, ReLU"),
        (flat(nn.Conv2d(1, 2, 3), nn.MaxPool2d(4)), "ceil_mode=True"),
        (flat(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, padding=1)), "padding = 1: allowed: 0"),
        (flat(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2, divisor_override=3)), "divisor_override"),
        (flat(nn.Conv2d(1, 2, 9)), "does not fit pictures of shape"),
        (nn.Sequential(nn.Linear(8, 2)), "needs a Flatten before it"),
        (nn.Sequential(nn.Flatten(), nn.Linear(63, 2)), "takes 63 features, 64 arrive"),
        (nn.Sequential(nn.Flatten(), nn.Conv2d(1, 1, 1)), "cannot come after Flatten"),
        (nn.Sequential(nn.Flatten(0), nn.Linear(64, 2)), "start_dim = 1"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "must end with a Linear"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.ReLU()), "must end with a Linear"),
        (nn.Sequential(), "must end with a Linear"),
    ],
)
def test_what_cannot_be_translated_is_said(module, says):
    with pytest.raises(UserError, match=says):
        translate("own", module, (1, 8, 8))


# -- by dotted name --

SOURCE = '''
import numpy as np
import torch
from torch import nn

from lifesim.network.datasets import Dataset

CALLS = []


def make():
    CALLS.append("make")
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2))


def wide():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 2))


def taught():
    """Tells bright pictures from dark ones."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 36) / 8)
        module[1].bias.copy_(torch.tensor([2.25, -2.25]))
    return module


def load():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [60, 50])
    return (rng.integers(0, 100, (110, 1, 6, 6)) + 156 * labels[:, None, None, None]).astype(np.uint8), labels


def dataset():
    pictures, labels = load()
    parts = {"train": range(0, 80), "validation": range(80, 90), "test": range(90, 100), "spec": range(100, 110)}
    return Dataset("bright", pictures, labels, {k: np.array(v) for k, v in parts.items()})


def floats():
    return load()[0] / 255, load()[1]


def few():
    return load()[0][55:65], load()[1][55:65]


def unlabelled():
    return load()[0], load()[1] - 1


def no_spec():
    whole = dataset()
    return Dataset("bright", whole.images, whole.labels, {"train": np.arange(9)})


def broken():
    raise RuntimeError("this is\\nbroken")


def number():
    return 3


three = 3
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's in the working directory; returns what it is called."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / f"{name}_broken.py").write_text("import numpy.no_such_thing")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIFESIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for cache in (call_dotted, load_dataset):
        cache.cache_clear()
    yield name
    for cache in (call_dotted, load_dataset):
        cache.cache_clear()


def test_a_users_network_learns_a_users_data(own):
    network = Network(
        module=f"{own}:make", dataset=f"{own}:load", epochs=20, batch_size=8, learning_rate=0.01
    )
    model = trained_model(network)
    assert model.architecture.input_shape == (1, 6, 6)
    dataset = load_dataset(network.data)
    assert {k: len(v) for k, v in dataset.split.items()} == {
        "train": 60, "validation": 10, "test": 10, "spec": 20,
    }  # fmt: skip
    pictures, labels = dataset.part("spec")
    assert Evaluator.of(model).correct([model.codes], pictures, labels)[0] == 20
    assert stored_at(network).exists()
    assert sys.modules[own].CALLS == ["make"], "called once, whoever asks"


def test_a_pretrained_network_keeps_its_weights(own):
    network = Network(module=f"{own}:taught", dataset=f"{own}:dataset", pretrained=True, format="Q3.12")
    model = trained_model(network)
    assert np.array_equal(model.weights()[0], np.tile([-0.125, 0.125], (36, 1)).astype(np.float32))
    pictures, labels = load_dataset(network.data).part("spec")
    assert Evaluator.of(model).correct([model.codes], pictures, labels)[0] == 10
    assert stored_at(network) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("{}:mak", "has no 'mak'; did you mean 'make'"),
        ("{}:nn.Nothing", "has no 'nn.Nothing'"),
        ("{}x:make", "no module .* neither installed nor in the working directory"),
        ("{}_broken:make", "importing it fails: ModuleNotFoundError: No module named 'numpy.no_such_thing'"),
        ("{}:broken", "calling it fails: RuntimeError: this is broken"),
        ("{}:three", "must be a function without arguments, not int"),
        ("{}:number", "must return a torch.nn.Sequential, not int"),
    ],
)
def test_a_network_that_is_none_is_the_users_mistake(own, name, says):
    with pytest.raises(UserError, match=says) as caught:
        load_architecture(Network(module=name.format(own)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("number", r"must return \(pictures, labels\) or a Dataset, not int"),
        ("floats", "must be uint8 .*, not float64"),
        ("few", "has 5 pictures of class 0"),
        ("unlabelled", "whole numbers from 0"),
        ("no_spec", "has no part spec, test, validation"),
    ],
)
def test_data_that_are_none_are_the_users_mistake(own, function, says):
    with pytest.raises(UserError, match=says):
        load_dataset(DataSource(f"{own}:{function}"))


def test_a_network_and_data_that_do_not_fit_together_are_refused(own):
    with pytest.raises(UserError, match=r"shape \(1, 6, 6\), mlp takes \(1, 28, 28\)"):
        load_architecture(Network(preset="mlp", dataset=f"{own}:load"))
    with pytest.raises(UserError, match="has 2 outputs, mnist5k has labels up to 9"):
        trained_model(Network(module=f"{own}:wide", dataset="mnist5k"))


def test_a_format_for_a_layer_that_there_is_not_is_refused(own):
    with pytest.raises(UserError, match="format.fc2: no such layer; allowed: conv1, fc1"):
        load_architecture(Network(module=f"{own}:make", dataset=f"{own}:load", format={"fc2": "Q0.15"}))
