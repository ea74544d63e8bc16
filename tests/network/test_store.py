"""The cache gives back what was trained, and never anything else."""

import shutil

import numpy as np
import pytest

from lifesim.network import store
from lifesim.network.architecture import load_architecture
from lifesim.network.training import Trained
from lifesim.scenario.network import Network


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    """A cache of one's own and a training that only counts: the list of seeds asked for."""
    monkeypatch.setenv("LIFESIM_CACHE_DIR", str(tmp_path / "cache"))
    seeds = []

    def train(architecture, dataset, seed, settings):
        seeds.append(seed)
        rng = np.random.default_rng(seed)
        layers = architecture.crossbar_layers
        return Trained(
            architecture,
            tuple(rng.uniform(-0.9, 0.9, (la.fan_in, la.fan_out)).astype(np.float32) for la in layers),
            tuple(rng.normal(size=la.fan_out).astype(np.float32) for la in layers),
        )

    monkeypatch.setattr(store, "train", train)
    return seeds


def cached_file():
    (path,) = store.cache_directory().iterdir()
    return path


def test_a_network_is_trained_once(trainings):
    first = store.trained_model(Network(preset="mlp", seed=1))
    second = store.trained_model(Network(preset="mlp", seed=1))
    assert trainings == [1]
    assert second.digest == first.digest and second.architecture == load_architecture("mlp")


def test_whatever_shapes_a_network_gives_it_another_name(trainings, monkeypatch):
    store.trained_model(Network(preset="mlp", seed=1))
    store.trained_model(Network(preset="mlp", seed=2))
    monkeypatch.setattr(store, "CODE_VERSION", store.CODE_VERSION + 1)
    store.trained_model(Network(preset="mlp", seed=1))
    assert trainings == [1, 2, 1]
    assert len(list(store.cache_directory().iterdir())) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped bit", "text"])
def test_a_damaged_file_is_replaced(trainings, damage):
    model = store.trained_model(Network(preset="mlp", seed=1))
    path = cached_file()
    whole = path.read_bytes()
    flipped = whole[:-1000] + bytes([whole[-1000] ^ 4]) + whole[-999:]
    path.write_bytes(
        {"cut": whole[:-1], "empty": b"", "flipped bit": flipped, "text": b"not a network" * 9}[damage]
    )
    assert store.trained_model(Network(preset="mlp", seed=1)).digest == model.digest
    assert store.trained_model(Network(preset="mlp", seed=1)).digest == model.digest
    assert trainings == [1, 1]


def test_the_file_of_another_network_is_not_trusted(trainings):
    store.trained_model(Network(preset="mlp", seed=1))
    wrong = cached_file()
    right = store.trained_model(Network(preset="mlp", seed=2))
    (path,) = set(store.cache_directory().iterdir()) - {wrong}
    shutil.copy(wrong, path)
    assert store.trained_model(Network(preset="mlp", seed=2)).digest == right.digest
    assert trainings == [1, 2, 2]


def test_a_cache_that_cannot_be_written_costs_only_time(trainings, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIFESIM_CACHE_DIR", str(tmp_path / "file"))
    assert (
        store.trained_model(Network(preset="mlp", seed=1)).digest
        == store.trained_model(Network(preset="mlp", seed=1)).digest
    )
    assert trainings == [1, 1]


def test_another_format_is_no_other_training(trainings):
    models = [
        store.trained_model(Network(preset="mlp", format=choice))
        for choice in ("global", "per_layer", "Q1.14", {"fc1": "Q2.13"})
    ]
    assert trainings == [0]
    assert [model.formats_text() for model in models[::2]] == ["Q0.15", "Q1.14"]
    assert str(models[3].formats[0]) == "Q2.13" and models[3].formats[1:] == models[1].formats[1:]


def test_a_network_that_was_really_trained_comes_back_whole(mlp_model):
    again = store.trained_model(Network(preset="mlp", seed=0))
    assert again is not mlp_model and again.digest == mlp_model.digest
