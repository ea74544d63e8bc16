"""Retraining with the nearest codes in the loop: what it recovers, where, and that nobody's neighbours matter."""

import dataclasses
import pickle

import numpy as np
import pytest

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.recovery.agreed import agree
from lifesim.recovery.nearest import nearest_codes
from lifesim.recovery.projection import retrain_projected
from lifesim.recovery.retraining import RetrainingSettings
from lifesim.scenario.network import DataSource

DATA = DataSource("mnist5k")
SETTINGS = RetrainingSettings(steps=150, batch_size=64, learning_rate=0.03, trainable_fraction=0.009)
BRIEF = dataclasses.replace(SETTINGS, steps=10)


@pytest.fixture(scope="module")
def agreed(mlp_model):
    return agree(mlp_model, DATA, SETTINGS.trainable_fraction, SLC)


def test_it_recovers_what_nearest_codes_leave(mlp_model, mnist5k, random_damage, agreed):
    """8 % of cells stuck: of what three devices lose with nearest codes alone, half comes back, and each gains."""
    evaluator = Evaluator.of(mlp_model)
    pictures, labels = mnist5k.part("spec")
    maps = [random_damage(mlp_model, 0.08, seed) for seed in (1, 2, 3)]
    updates = retrain_projected([(mlp_model, m) for m in maps], mlp_model, DATA, SETTINGS, agreed)
    models = [mlp_model, *(update.applied(mlp_model, agreed) for update in updates)]
    held = [nearest_codes(mlp_model.codes, m) for m in maps]
    held += [nearest_codes(model.codes, m) for model, m in zip(models[1:], maps, strict=True)]
    correct = evaluator.correct([mlp_model.codes, *held], pictures, labels)
    before, after = correct[0] - correct[1:4], correct[0] - correct[4:]
    assert before.sum() > 60 and (after < before).all()
    assert after.sum() < before.sum() / 2


def test_neighbours_versions_and_processes_change_nothing(mlp_model, random_damage, agreed):
    maps = [random_damage(mlp_model, 0.01 * (i + 1), i) for i in range(9)]
    other = mlp_model.with_codes([c + np.int16(5) for c in mlp_model.codes])
    jobs = [(other if i == 3 else mlp_model, m) for i, m in enumerate(maps)]
    together = retrain_projected(jobs, mlp_model, DATA, BRIEF, agreed)
    for i in (0, 3, 8):
        job = pickle.loads(pickle.dumps(jobs[i]))
        (alone,) = retrain_projected([job], mlp_model, DATA, BRIEF, agreed)
        assert alone.applied(job[0], agreed).digest == together[i].applied(jobs[i][0], agreed).digest


def test_only_agreed_weights_move(mlp_model, random_damage, agreed):
    (update,) = retrain_projected(
        [(mlp_model, random_damage(mlp_model, 0.02, 4))], mlp_model, DATA, BRIEF, agreed
    )
    new = update.applied(mlp_model, agreed)
    for chosen, before, after in zip(agreed.weights, mlp_model.codes, new.codes, strict=True):
        assert np.isin(np.flatnonzero((before != after).reshape(-1)), chosen).all()
    assert new.digest != mlp_model.digest


def test_without_faults_nothing_is_lost(mlp_model, mnist5k, agreed):
    """The aim is the clean network itself: what is left are the steps' grains."""
    none = FaultMap.empty(len(mlp_model.codes))
    (update,) = retrain_projected([(mlp_model, none)], mlp_model, DATA, BRIEF, agreed)
    pictures, labels = mnist5k.part("spec")
    new = update.applied(mlp_model, agreed)
    clean, found = Evaluator.of(mlp_model).correct([mlp_model.codes, new.codes], pictures, labels)
    assert found >= clean - 3


def test_a_format_that_cannot_hold_more_is_not_left(mlp_model, random_damage, agreed):
    at_the_end = Model(
        mlp_model.architecture,
        mlp_model.formats,
        tuple(np.full_like(c, 32767) for c in mlp_model.codes),
        mlp_model.biases,
    )
    fault_map = random_damage(at_the_end, 0.01, 2)
    (update,) = retrain_projected([(at_the_end, fault_map)], mlp_model, DATA, BRIEF, agreed)
    new = update.applied(at_the_end, agreed)
    assert all((n <= 32767).all() for n in new.codes)
    held = apply_map(nearest_codes(new.codes, fault_map), fault_map)
    assert all(np.array_equal(a, b) for a, b in zip(held, nearest_codes(new.codes, fault_map), strict=True))
