"""What each reading of the fault model makes of a network: counted cell by cell, or in standard errors."""

import dataclasses

import numpy as np
import pytest

from lifesim.crossbar.faults import differing_cells
from lifesim.detection.criteria import Golden
from lifesim.errors import UserError
from lifesim.paper.readings import Condition, reading_named, readings
from lifesim.streams import stream_key

KEY = stream_key("readings of the test")
BITS = reading_named("bits")


def cells_of(model, encoding):
    return sum(c.size for c in model.codes) * encoding.cells_per_weight


@pytest.mark.parametrize("cells", ["SLC", "MLC"])
def test_a_rate_is_a_share_of_cells(mlp_model, cells):
    stuck = BITS.stuck(mlp_model, cells, 0.005, KEY)
    total = cells_of(mlp_model, stuck.encoding)
    assert stuck.count == round(0.005 * total)
    at_top = sum(int((v == stuck.encoding.top_level).sum()) for v in stuck.values)
    assert at_top / stuck.count == pytest.approx(5 / 6, abs=4 * np.sqrt(5 / 36 / stuck.count))
    assert all(set(np.unique(v)) <= {0, stuck.encoding.top_level} for v in stuck.values)


def test_or_of_weights_with_one_cell_each(mlp_model):
    stuck = reading_named("weights").stuck(mlp_model, "SLC", 0.01, KEY)
    assert stuck.count == round(0.01 * sum(c.size for c in mlp_model.codes))
    for cells in stuck.cells:
        assert len(np.unique(cells // 16)) == len(cells)
    digits = np.concatenate([c % 16 for c in stuck.cells])
    assert np.bincount(digits, minlength=16).min() > 0.5 * len(digits) / 16


def test_soft_faults_of_one_bit_cells_flip_just_so_many(mlp_model):
    held = BITS.faulty(mlp_model, Condition("SLC", soft=0.01), KEY)
    flipped = sum(len(c) for c in differing_cells(mlp_model.codes, held, BITS.encoding("SLC")))
    assert flipped == round(0.01 * cells_of(mlp_model, BITS.encoding("SLC")))


def test_a_stuck_cell_does_not_flip(mlp_model):
    both = Condition("SLC", permanent=0.02, soft=0.02)
    held = BITS.faulty(mlp_model, both, KEY)
    stuck = BITS.stuck(mlp_model, "SLC", 0.02, stream_key(KEY, "permanent"))
    for codes, cells, values in zip(held, stuck.cells, stuck.values, strict=True):
        assert np.array_equal(stuck.encoding.levels_of(codes, cells), values)


@pytest.mark.parametrize("reading", ["bits", "theta_relative"])
def test_eq_8_moves_every_weight_by_theta(mlp_model, reading):
    theta, chosen = 0.03, reading_named(reading)
    held = chosen.faulty(mlp_model, Condition("MLC", theta=theta), KEY)
    for weights, moved in zip(mlp_model.weights(), held, strict=True):
        expected = theta if reading == "bits" else theta * np.abs(weights).max()
        deviation = (moved - weights).astype(float)
        n = weights.size
        assert deviation.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * n))
        assert abs(deviation.mean()) < 4 * expected / np.sqrt(n)


def test_the_unit_of_theta_is_that_of_the_network(mlp_model):
    convolutional = dataclasses.replace(BITS, theta={"mlp": "of_layer_maximum"})
    condition = Condition("MLC", theta=0.01)
    first, second = (r.faulty(mlp_model, condition, KEY)[0] for r in (BITS, convolutional))
    weights = mlp_model.weights()[0]
    scale = np.abs(weights).max()
    assert np.allclose((second - weights), (first - weights) * scale, atol=1e-6)


def test_conditions_of_one_key_are_others_of_another(mlp_model):
    condition = Condition("SLC", permanent=0.005)
    first, again, other = (
        BITS.faulty(mlp_model, condition, key) for key in (KEY, KEY, stream_key(KEY, "other"))
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert condition.key != Condition("MLC", permanent=0.005).key


def test_the_two_highest_confidences_hide_a_changed_class():
    golden = Golden.of(np.array([[0.9, 0.1]]))
    swapped, moved = np.array([[[0.1, 0.9]]]), np.array([[[0.86, 0.14]]])
    maxima = reading_named("maxima")
    assert BITS.deviates("sdc3", golden, swapped).all() and not maxima.deviates("sdc3", golden, swapped).any()
    assert BITS.deviates("sdc3", golden, moved).all() and maxima.deviates("sdc3", golden, moved).all()
    assert maxima.deviates("sdc1", golden, swapped).all()


def test_each_reading_differs_from_the_default_in_one_thing():
    fields = [f.name for f in dataclasses.fields(BITS) if f.name not in ("name", "summary")]
    for name, reading in readings().items():
        differing = [f for f in fields if getattr(reading, f) != getattr(BITS, f)]
        assert len(differing) == (name != "bits"), name


def test_an_unknown_reading_is_told_with_the_nearest():
    with pytest.raises(UserError, match=r"--reading bit: no such reading.*did you mean 'bits'"):
        reading_named("bit")


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (Condition("SLC", permanent=0.1), "permanent"),
        (Condition("SLC", soft=0.1), "soft"),
        (Condition("MLC", theta=0.1), "soft"),
        (Condition("MLC", permanent=0.1, theta=0.1), "both"),
    ],
)
def test_conditions_have_the_papers_names(condition, name):
    assert condition.name == name
