"""Fault-masking retraining recovers what stuck cells and the chosen weights allow, always the same way."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.network.evaluate import Evaluator
from lifesim.network.forward import to_input
from lifesim.network.model import Model
from lifesim.network.training import loss_gradients
from lifesim.recovery.retraining import RetrainingSettings, _largest, retrain

SETTINGS = RetrainingSettings(steps=150, batch_size=64, learning_rate=0.05, trainable_fraction=0.05)
BRIEF = dataclasses.replace(SETTINGS, steps=10)
THROUGH = dataclasses.replace(SETTINGS, learning_rate=0.03, straight_through=True)


@pytest.fixture
def fault_map(mlp_model, random_damage):
    return random_damage(mlp_model, 0.005, 1)


def changed(model, other):
    return [a != b for a, b in zip(model.codes, other.codes, strict=True)]


@pytest.mark.parametrize("usual", [SETTINGS, THROUGH], ids=["in place", "straight through"])
@pytest.mark.parametrize("fraction", [0.02, 1.0])
def test_it_recovers_what_damage_costs(mlp_model, mnist5k, random_damage, fraction, usual):
    """1 % of cells stuck costs 3 to 13 points; of what three devices lose, three quarters come back."""
    evaluator = Evaluator.of(mlp_model)
    pictures, labels = mnist5k.part("spec")
    settings = dataclasses.replace(usual, trainable_fraction=fraction)
    maps = [random_damage(mlp_model, 0.01, seed) for seed in (1, 2, 3)]
    clean = evaluator.correct([mlp_model.codes], pictures, labels)[0]
    damaged = evaluator.correct([apply_map(mlp_model.codes, m) for m in maps], pictures, labels)
    retrained = [retrain(mlp_model, m, mnist5k, settings).codes for m in maps]
    recovered = evaluator.correct(
        [apply_map(c, m) for c, m in zip(retrained, maps, strict=True)], pictures, labels
    )
    assert (clean - damaged).sum() > 90
    assert (clean - recovered).sum() < (clean - damaged).sum() / 4
    assert (recovered > damaged).all()


def test_stuck_bits_of_trained_weights_are_those_of_the_map(mlp_model, mnist5k, fault_map):
    everything = dataclasses.replace(BRIEF, trainable_fraction=1.0)
    model = retrain(mlp_model, fault_map, mnist5k, everything)
    for codes, held in zip(model.codes, apply_map(model.codes, fault_map), strict=True):
        assert np.array_equal(codes, held)


def test_straight_through_gets_away_from_high_bits_that_masking_throws_back(mlp_model, mnist5k):
    """Of small weights above zero whose bit worth a half is stuck at 1, which all those below zero show: none crosses in place, a tenth and more straight through (pixels at the border move none)."""
    positive = [np.flatnonzero((c.reshape(-1) > 0) & (c.reshape(-1) < 1 << 11)) for c in mlp_model.codes]
    stuck = [p[:: max(1, len(p) // 60)] for p in positive]
    fault_map = FaultMap(tuple(p * 16 + 14 for p in stuck), tuple(np.ones(len(p), np.uint8) for p in stuck))
    crossed = []
    for usual in (SETTINGS, THROUGH):
        model = retrain(mlp_model, fault_map, mnist5k, dataclasses.replace(usual, trainable_fraction=1.0))
        held = apply_map(model.codes, fault_map)
        small = [
            (abs(h.reshape(-1)[p].astype(int)) < 1 << 12).sum() for h, p in zip(held, stuck, strict=True)
        ]
        crossed.append(sum(small) / sum(map(len, stuck)))
    assert crossed[0] < 0.01 and crossed[1] > 0.1


def test_only_the_chosen_share_of_weights_changes(mlp_model, mnist5k, fault_map):
    model = retrain(mlp_model, fault_map, mnist5k, SETTINGS)
    count = sum(c.sum() for c in changed(mlp_model, model))
    share = SETTINGS.trainable_fraction * mlp_model.architecture.weights
    assert 0.9 * share < count <= round(share)
    # Where a weight was trained its stuck bits agree; elsewhere the backup's code stays, stuck cells or not.
    for codes, changes, held in zip(
        model.codes, changed(mlp_model, model), apply_map(model.codes, fault_map), strict=True
    ):
        assert np.array_equal(codes[changes], held[changes])
    assert all(np.array_equal(a, b) for a, b in zip(model.biases, mlp_model.biases, strict=True))
    assert model.formats == mlp_model.formats


def test_the_trained_weights_have_larger_gradients_than_the_others(mlp_model, mnist5k, fault_map):
    """The gradient under the map on all training pictures; the choice sees only some of them."""
    pictures, labels = mnist5k.part("train")
    held = [
        torch.from_numpy(mlp_model.formats[0].dequantise(c))[None]
        for c in apply_map(mlp_model.codes, fault_map)
    ]
    biases = [torch.tensor(b) for b in mlp_model.biases]
    x = to_input(mlp_model.architecture, pictures)
    gradients = loss_gradients(mlp_model.architecture, [*held, *biases], x, torch.tensor(labels))[:3]
    size = np.concatenate([g[0].abs().numpy().reshape(-1) for g in gradients])
    trained = np.concatenate(
        [c.reshape(-1) for c in changed(mlp_model, retrain(mlp_model, fault_map, mnist5k, SETTINGS))]
    )
    assert np.median(size[trained]) > np.quantile(size[~trained], 0.95)


@given(st.lists(st.sampled_from([0.0, -1.0, 1.0, 2.0, np.inf, -np.inf, np.nan]), min_size=1), st.floats(0, 1))
def test_the_largest_are_those_of_a_stable_sort(gradient, fraction):
    gradient = np.array(gradient, np.float32)
    size = np.where(np.isnan(gradient), -1, np.abs(gradient))
    count = max(1, round(fraction * len(gradient)))
    assert _largest(gradient, fraction).tolist() == sorted(np.argsort(-size, kind="stable")[:count].tolist())


def test_one_step_is_equation_6(mlp_model, mnist5k, random_damage):
    """All training pictures in one batch and all weights trained: w - eta dE/dw, then the stuck bits."""
    fault_map = random_damage(mlp_model, 0.0005, 1)
    pictures, labels = mnist5k.part("train")
    one = RetrainingSettings(steps=1, batch_size=3000, learning_rate=0.01, trainable_fraction=1.0)
    stepped = retrain(mlp_model, fault_map, mnist5k, one)
    held = [
        torch.from_numpy(mlp_model.formats[0].dequantise(c))[None]
        for c in apply_map(mlp_model.codes, fault_map)
    ]
    biases = [torch.tensor(b) for b in mlp_model.biases]
    x = to_input(mlp_model.architecture, pictures)
    gradients = loss_gradients(mlp_model.architecture, [*held, *biases], x, torch.tensor(labels))[:3]
    rate = 0.01 / max(1.0, float(torch.cat([g.reshape(-1) for g in gradients]).norm()))
    moved = [
        mlp_model.formats[0].quantise((w - rate * g)[0].numpy()) for w, g in zip(held, gradients, strict=True)
    ]
    for expected, codes in zip(apply_map(moved, fault_map), stepped.codes, strict=True):
        # The order of the pictures moves the gradient's last bits, and so a code on the verge of rounding.
        difference = np.abs(expected.astype(int) - codes)
        assert np.mean(difference > 0) < 0.01


def test_a_hopeless_learning_rate_stays_within_the_format(mlp_model, mnist5k, fault_map):
    model = retrain(
        mlp_model, fault_map, mnist5k, dataclasses.replace(BRIEF, learning_rate=100.0, trainable_fraction=1.0)
    )
    # Nor is there a warning of overflow or NaN, which would be an error here.
    assert model.formats == mlp_model.formats


def test_an_empty_map_trains_on(mlp_model, mnist5k):
    model = retrain(mlp_model, FaultMap.empty(3), mnist5k, BRIEF)
    assert model.digest != mlp_model.digest


def test_model_and_map_seed_it(mlp_model, mnist5k, fault_map, random_damage):
    first, again = (retrain(mlp_model, fault_map, mnist5k, BRIEF) for _ in range(2))
    assert first.digest == again.digest
    assert retrain(mlp_model, random_damage(mlp_model, 0.005, 2), mnist5k, BRIEF).digest != first.digest
    assert retrain(first, fault_map, mnist5k, BRIEF).digest != first.digest


RETRAIN = """
import pickle, sys
from pathlib import Path
from lifesim.network.datasets import load_dataset
from lifesim.recovery.retraining import retrain
model, fault_map, settings = pickle.loads(Path(sys.argv[1]).read_bytes())
print(retrain(model, fault_map, load_dataset("mnist5k"), settings).digest.hex())
"""


def test_another_process_retrains_to_the_same_bytes(mlp_model, mnist5k, fault_map, tmp_path):
    (tmp_path / "task").write_bytes(pickle.dumps((mlp_model, fault_map, BRIEF)))
    command = [sys.executable, "-c", RETRAIN, str(tmp_path / "task")]
    other = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert other == retrain(mlp_model, fault_map, mnist5k, BRIEF).digest.hex()


def test_layers_keep_their_own_scales(mlp_model, mnist5k, random_damage):
    """At a scale per layer too, what comes back is on the grid, obeys the map, and helps."""
    weights = mlp_model.weights()
    model = Model.quantised(
        mlp_model.architecture, weights, mlp_model.biases, {"fc1": "Q0.15", "fc2": "Q1.14", "fc3": "Q3.12"}
    )
    fault_map = random_damage(model, 0.01, 1)
    settings = dataclasses.replace(SETTINGS, trainable_fraction=1.0)
    retrained = retrain(model, fault_map, mnist5k, settings)
    assert retrained.formats == model.formats
    held = apply_map(retrained.codes, fault_map)
    assert all(np.array_equal(c, h) for c, h in zip(retrained.codes, held, strict=True))
    pictures, labels = mnist5k.part("spec")
    before, after = Evaluator.of(model).correct([apply_map(model.codes, fault_map), held], pictures, labels)
    assert after > before + 20
