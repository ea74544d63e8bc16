"""Where hidden units stand: the network stays the same, the cells hold exactly what is wanted, and no order harms it less."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap, apply_map, random_map
from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool, Relu
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.recovery.importance import Importance, importance_of
from lifesim.recovery.nearest import nearest_codes
from lifesim.recovery.placement import Placement, best_placement
from lifesim.scenario.network import DataSource

DATA = DataSource("mnist5k")

MLC = Encoding(2, offset=True)
STEPS = (
    Conv("conv1", 3, 3, padding=1), MaxPool(2), Relu(), Conv("conv2", 4, 2), AvgPool(3, 2), Dense("fc1", 5), Relu(),
    Dense("fc2", 2),
)  # fmt: skip


def make_model(steps=STEPS, choice="per_layer", seed=1, shape=(2, 8, 8)):
    architecture = Architecture("small", shape, steps)
    rng = np.random.default_rng(seed)
    layers = architecture.crossbar_layers
    weights = [rng.normal(0, 0.1 * (i + 1), (layer.fan_in, layer.fan_out)) for i, layer in enumerate(layers)]
    return Model.quantised(architecture, weights, [rng.normal(size=la.fan_out) for la in layers], choice)


def random_placement(model, seed=2):
    rng = np.random.default_rng(seed)
    sizes = [codes.shape[1] for codes in model.codes]
    return Placement((*(rng.permutation(n) for n in sizes[:-1]), np.arange(sizes[-1])))


def cells_of(model, encoding):
    return [codes.size * encoding.cells_per_weight for codes in model.codes]


def damage(model, rate, encoding, seed=3):
    return random_map(seed, cells_of(model, encoding), rate, 0.8, encoding)


def cost(model, placement, fault_map, importance):
    """What nearest codes are off, squared, in units of the weights, times their importance."""
    held = placement.logical(nearest_codes(placement.placed(model).codes, fault_map))
    off = [(h.astype(float) - c) * f.scale for h, c, f in zip(held, model.codes, model.formats, strict=True)]
    return sum((o**2 * importance.of_layer(layer)).sum() for layer, o in enumerate(off))


def uneven(model, seed=9):
    rng = np.random.default_rng(seed)
    return Importance(*(tuple(rng.exponential(size=c.shape[axis]) for c in model.codes) for axis in (0, 1)))


def identity(model):
    return Placement(tuple(np.arange(codes.shape[1]) for codes in model.codes))


def test_the_network_computes_the_same():
    """Convolutions, poolings and the flattening between them: sums are of the same terms in another order."""
    model = make_model()
    placed = random_placement(model).placed(model)
    assert placed.digest != model.digest
    pictures = np.random.default_rng(4).integers(0, 256, (6, 2, 8, 8), dtype=np.uint8)
    expected, got = (Evaluator.of(m).logits([m.codes], pictures) for m in (model, placed))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_what_is_placed_comes_back():
    model = make_model()
    placement = random_placement(model)
    back = placement.logical(placement.placed(model).codes)
    assert all(np.array_equal(a, b) for a, b in zip(back, model.codes, strict=True))


@pytest.mark.parametrize("encoding", [Encoding(), MLC], ids=["SLC", "MLC"])
def test_stuck_cells_harm_the_network_alike_in_either_order(encoding):
    """Programming the placed network into faulty cells, or the network itself into cells with the map in its own order."""
    model = make_model()
    placement, physical = random_placement(model), damage(model, 0.05, encoding)
    logical = placement.logical_map(physical, cells_of(model, encoding))
    assert logical.count == physical.count and logical != physical
    held = placement.logical(apply_map(placement.placed(model).codes, physical))
    assert all(np.array_equal(a, b) for a, b in zip(held, apply_map(model.codes, logical), strict=True))
    fitted = placement.logical(nearest_codes(placement.placed(model).codes, physical))
    expected = nearest_codes(model.codes, logical)
    assert all(np.array_equal(a, b) for a, b in zip(fitted, expected, strict=True))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.floats(0.002, 0.3))
def test_one_hidden_layer_is_placed_at_the_least_of_all_orders(seed, rate):
    model = make_model((Dense("fc1", 5), Relu(), Dense("fc2", 3)), seed=seed, shape=(1, 2, 2))
    fault_map = damage(model, rate, Encoding(), seed)
    for importance in (Importance.even(model), uneven(model)):
        found = best_placement(model, fault_map, importance)
        assert np.array_equal(found.units[1], np.arange(3)), "outputs stay"
        least = min(
            cost(model, Placement((np.array(order), np.arange(3))), fault_map, importance)
            for order in itertools.permutations(range(5))
        )
        assert cost(model, found, fault_map, importance) == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("encoding", [Encoding(), MLC], ids=["SLC", "MLC"])
@pytest.mark.parametrize("rate", [0.005, 0.1])
def test_several_layers_are_no_worse_than_where_they_stood(encoding, rate):
    model = make_model()
    fault_map = damage(model, rate, encoding)
    importance = uneven(model)
    found = best_placement(model, fault_map, importance)
    assert all(sorted(units) == list(range(len(units))) for units in found.units)
    own = [cost(model, placement, fault_map, importance) for placement in (identity(model), found)]
    assert own[1] < 0.8 * own[0]


def test_without_faults_everything_stays():
    model = make_model()
    found = best_placement(model, FaultMap.empty(len(model.codes)), uneven(model))
    assert found.digest == identity(model).digest


def test_both_ends_work_out_the_same(mlp_model, random_damage):
    fault_map = random_damage(mlp_model, 0.02, 5)
    importance = importance_of(mlp_model, DATA)
    here = best_placement(mlp_model, fault_map, importance)
    importance_of.cache_clear()
    other_end, same_map = pickle.loads(pickle.dumps((mlp_model, fault_map)))
    there = best_placement(other_end, same_map, importance_of(other_end, DATA))
    assert here is not there and here.digest == there.digest


def test_it_helps(mlp_model, mnist5k, random_damage):
    """5 % of cells stuck: of what nearest codes lose, three quarters come back."""
    maps = [random_damage(mlp_model, 0.05, seed) for seed in (1, 2, 3)]
    own = cells_of(mlp_model, Encoding())
    held = [nearest_codes(mlp_model.codes, m) for m in maps]
    placements = [best_placement(mlp_model, m, importance_of(mlp_model, DATA)) for m in maps]
    held += [
        nearest_codes(mlp_model.codes, placement.logical_map(m, own))
        for placement, m in zip(placements, maps, strict=True)
    ]
    pictures, labels = mnist5k.part("spec")
    correct = Evaluator.of(mlp_model).correct([mlp_model.codes, *held], pictures, labels)
    before, after = (correct[0] - correct[1:4]).sum(), (correct[0] - correct[4:]).sum()
    assert before > 30 and after < before / 4
