"""The message from the cloud: an exact round trip, refused when torn or when it is for another base."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.detection.criteria import Golden, deviates
from lifesim.detection.nullreads import Averaging
from lifesim.detection.reading import ReadNoise
from lifesim.detection.testset import Calibration, TestDesign, TestSet, make_test_set
from lifesim.errors import LifesimError
from lifesim.fleet.redeployment import Agreement, Redeployment, Retraining, prepare
from lifesim.fleet.silicon import fitted
from lifesim.network.evaluate import Evaluator, correct_in_part
from lifesim.network.model import Model
from lifesim.recovery.agreed import agree
from lifesim.recovery.delta import DeltaError, apply_delta
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.importance import importance_of
from lifesim.recovery.nearest import nearest_codes
from lifesim.recovery.placement import best_placement
from lifesim.recovery.retraining import RetrainingSettings
from lifesim.scenario.network import DataSource

DESIGN = TestDesign(pictures=5, fgsm_epsilon=0.022)
BEFORE = TestSet(np.zeros((5, 1, 28, 28), np.uint8), Golden.of(np.eye(10, dtype=np.float32)[:5]))
SETTINGS = RetrainingSettings(steps=10, batch_size=32, learning_rate=0.05, trainable_fraction=0.05)


def validation_correct(model, held) -> int:
    return int(correct_in_part(model, [held], DataSource("mnist5k"), "validation")[0])


@pytest.fixture(scope="module")
def fault_map(mlp_model: Model, random_damage) -> FaultMap:
    return random_damage(mlp_model, 2e-3, 1)


@pytest.fixture(scope="module")
def task(mlp_model: Model, fault_map: FaultMap) -> Retraining:
    return Retraining(mlp_model, fault_map, DataSource("mnist5k"), SETTINGS, DESIGN, 450, "cpu")


@pytest.fixture(scope="module")
def message(task: Retraining) -> bytes:
    return prepare(task)


@pytest.fixture(scope="module")
def decoded(message: bytes, mlp_model: Model) -> Redeployment:
    return Redeployment.decode(message)


def sent_test_set(decoded: Redeployment) -> TestSet:
    return TestSet.decode(decoded.test_set, decoded.pictures, BEFORE)


def test_the_round_trip_is_exact(message: bytes, decoded: Redeployment) -> None:
    assert decoded.encode() == message


def test_what_the_device_reads_is_what_the_cloud_made(decoded: Redeployment, task: Retraining) -> None:
    new = apply_delta(task.model, decoded.delta)
    held = apply_map(new.codes, task.fault_map)
    made = make_test_set(new, held, DataSource("mnist5k"), DESIGN, "cpu")
    got = sent_test_set(decoded)
    assert np.array_equal(got.pictures, made.pictures) and got.golden.is_that_of(made.golden)
    assert decoded.map_digest == task.fault_map.digest()
    assert got.pictures.dtype == np.uint8 and len(got.pictures) == 5


def test_the_goldens_are_what_the_device_shows_with_its_stuck_cells(
    decoded: Redeployment, task: Retraining
) -> None:
    new = apply_delta(task.model, decoded.delta)
    evaluator, test_set = Evaluator.of(new), sent_test_set(decoded)
    known, unexpected = apply_map(new.codes, task.fault_map), new.codes
    shown = evaluator.confidences([known, unexpected], test_set.pictures)
    assert not deviates("sdc3", test_set.golden, shown[0]).any()
    assert deviates("sdc3", test_set.golden, shown[1]).any()


def test_it_helps(task: Retraining, decoded: Redeployment) -> None:
    masked = validation_correct(task.model, apply_map(task.model.codes, task.fault_map))
    new = apply_delta(task.model, decoded.delta)
    assert validation_correct(new, apply_map(new.codes, task.fault_map)) > masked


@pytest.mark.parametrize(("above", "in_spec"), [(0, True), (1, False)])
def test_in_spec_is_the_cloud_s_validation_under_the_map(
    task: Retraining, decoded: Redeployment, above: int, in_spec: bool
) -> None:
    new = apply_delta(task.model, decoded.delta)
    correct = validation_correct(new, apply_map(new.codes, task.fault_map))
    judged = prepare(dataclasses.replace(task, required_correct=correct + above))
    assert Redeployment.decode(judged).in_spec == in_spec


def test_the_same_task_gives_the_same_bytes(task: Retraining, message: bytes) -> None:
    assert prepare(task) == message


def test_truncation_at_any_length_is_noticed(message: bytes) -> None:
    for length in range(len(message)):
        with pytest.raises(LifesimError, match="redeployment message cannot be read"):
            Redeployment.decode(message[:length])
    with pytest.raises(LifesimError, match="cannot be read"):
        Redeployment.decode(message + b"\0")


def test_a_delta_for_another_base_is_refused(decoded: Redeployment, mlp_model: Model) -> None:
    codes = [c.copy() for c in mlp_model.codes]
    codes[0][0, 0] ^= 1
    with pytest.raises(DeltaError, match="delta is for version"):
        apply_delta(mlp_model.with_codes(codes), decoded.delta)


def test_other_pictures_need_another_shape(decoded: Redeployment) -> None:
    with pytest.raises(ValueError):
        TestSet.decode(
            decoded.test_set,
            decoded.pictures,
            dataclasses.replace(BEFORE, pictures=np.zeros((5, 3, 32, 32), np.uint8)),
        )


def test_steps_of_agreed_weights_for_a_device_that_writes_nearest_codes(
    mlp_model: Model, random_damage
) -> None:
    data = DataSource("mnist5k")
    agreement = Agreement(mlp_model, agree(mlp_model, data, 0.009, SLC))
    fault_map = random_damage(mlp_model, 0.08, 3)
    settings = RetrainingSettings(steps=100, batch_size=64, learning_rate=0.03, trainable_fraction=0.009)
    task = Retraining(mlp_model, fault_map, data, settings, DESIGN, 450, "cpu", Fitting(), None, agreement)
    decoded = Redeployment.decode(prepare(task))
    new = decoded.applied(mlp_model, agreement)
    size = sum(a.nbytes for a in (*mlp_model.codes, *mlp_model.biases))
    assert len(decoded.delta) < size / 340
    before, after = (validation_correct(mlp_model, fitted(m, fault_map).codes) for m in (mlp_model, new))
    assert after > before
    assert decoded.applied(mlp_model, agreement) is new, "cloud and device hold one copy"
    with pytest.raises(DeltaError):
        decoded.applied(mlp_model, None)


@pytest.mark.parametrize("agreed", [False, True])
def test_a_device_with_units_at_other_places_is_retrained_and_judged_as_it_stands(
    mlp_model: Model, random_damage, agreed: bool
) -> None:
    """The placement does not travel: what the device works out from its backup and the map is what the cloud has reckoned with."""
    data = DataSource("mnist5k")
    agreement = Agreement(mlp_model, agree(mlp_model, data, 0.009, SLC)) if agreed else None
    fault_map, importance = random_damage(mlp_model, 0.1, 3), importance_of(mlp_model, data)
    settings = RetrainingSettings(steps=30, batch_size=64, learning_rate=0.03, trainable_fraction=0.009)
    task = Retraining(
        mlp_model, fault_map, data, settings, DESIGN, 0, "cpu", Fitting(), importance, agreement
    )
    decoded = Redeployment.decode(prepare(task))
    assert decoded.map_digest == fault_map.digest(), "the map is that of the cells"
    new = decoded.applied(mlp_model, agreement)
    placement = best_placement(mlp_model, fault_map, importance)
    on_device = placement.logical(nearest_codes(placement.placed(new).codes, fault_map))
    correct = validation_correct(new, on_device)
    for above, in_spec in ((0, True), (1, False)):
        judged = prepare(dataclasses.replace(task, required_correct=correct + above))
        assert Redeployment.decode(judged).in_spec == in_spec
    shown = Evaluator.of(new).confidences([on_device], sent_test_set(decoded).pictures)[0]
    assert sent_test_set(decoded).golden.is_that_of(Golden.of(shown))
    assert correct > validation_correct(new, fitted(new, fault_map).codes), (
        "in its own places it would be worse"
    )


def test_pictures_that_stay_do_not_travel(task: Retraining, message: bytes, decoded: Redeployment) -> None:
    kept = sent_test_set(decoded).pictures[::-1]
    again = prepare(dataclasses.replace(task, keeps=kept))
    found = Redeployment.decode(again)
    assert found.delta == decoded.delta and found.pictures == 0
    assert len(message) - len(again) > 500
    device = TestSet.decode(found.test_set, 0, dataclasses.replace(BEFORE, pictures=kept))
    held = apply_map(apply_delta(task.model, found.delta).codes, task.fault_map)
    made = make_test_set(task.model, held, task.data, DESIGN, "cpu", kept)
    assert device.pictures is kept
    assert np.array_equal(device.golden.thousandths, made.golden.thousandths)


def test_a_redeployment_carries_the_limits_of_the_group_and_what_the_new_codes_show(task: Retraining) -> None:
    judge = Calibration("mahalanobis", Averaging(1, 4, 0.5), 0, 0.01, of_device=True)
    design = dataclasses.replace(DESIGN, noise=ReadNoise(0.003, 0.5), calibration=judge, known_baseline=True)
    group = make_test_set(task.model, task.model.codes, task.data, design, "cpu")
    asked = dataclasses.replace(task, design=design, keeps=group.pictures, group=group)
    decoded = Redeployment.decode(prepare(asked))
    got = TestSet.decode(decoded.test_set, decoded.pictures, group)
    new = apply_delta(task.model, decoded.delta)
    held = apply_map(new.codes, task.fault_map)
    assert np.array_equal(got.golden, Evaluator.of(new).logits([held], group.pictures)[0])
    for mine, of_group in ((got.rule, group.rule), (got.known_rule, group.known_rule)):
        assert mine.limits == of_group.limits and mine.averaging == of_group.averaging
        assert mine.statistic.encode() != of_group.statistic.encode()
