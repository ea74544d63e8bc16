"""Weights that make up for stuck ones: against least squares by brute force, never for the worse, and only with codes that the cells can hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, apply_map, random_map
from lifesim.network.evaluate import Evaluator
from lifesim.recovery.compensation import Correlations, compensated
from lifesim.recovery.correlations import correlations_of, in_common
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.nearest import nearest_codes
from lifesim.scenario.network import DataSource

DATA = DataSource("mnist5k")


def some_correlations(sizes, features, seed):
    rng = np.random.default_rng(seed)
    own = tuple(rng.uniform(0.01, 1, n).astype(np.float16) for n in sizes)
    return Correlations(own, tuple(rng.normal(size=(n, features)).astype(np.float16) for n in sizes))


def moments(correlations, layer):
    """H, in full."""
    shared = correlations.shared[layer].astype(float)
    return np.diag(correlations.own[layer].astype(float)) + shared @ shared.T


def costs(codes, targets, correlations):
    """The expected squared errors of all outputs, layer by layer."""
    errors = [c.astype(float) - t for c, t in zip(codes, targets, strict=True)]
    return [((moments(correlations, i) @ d) * d).sum(axis=0) for i, d in enumerate(errors)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_steps_are_those_of_least_squares():
    """A weight whose sign and two high bits are stuck; all others take the steps that numpy finds best, rounded."""
    rng = np.random.default_rng(1)
    correlations = some_correlations([40], 6, 2)
    codes = (rng.integers(-3000, 3000, (40, 3)).astype(np.int16),)
    stuck = [(7 * 3 + 1) * 16 + 14, (7 * 3 + 1) * 16 + 13, (20 * 3 + 1) * 16 + 15, (20 * 3 + 1) * 16 + 12]
    codes[0][[7, 20], 1] = 900, 1500
    fault_map = FaultMap.of([stuck], [[1, 0, 1, 0]])
    nearest = nearest_codes(codes, fault_map)[0]
    errors = nearest[[7, 20], 1].astype(float) - codes[0][[7, 20], 1]
    assert np.abs(errors).min() > 1000
    found = compensated(codes, fault_map, correlations)[0]
    free = np.setdiff1d(np.arange(40), [7, 20])
    root = np.linalg.cholesky(moments(correlations, 0)).T
    steps = np.linalg.lstsq(root[:, free], -root[:, [7, 20]] @ errors, rcond=None)[0]
    assert np.abs(steps).max() > 100
    assert np.abs(found[free, 1] - codes[0][free, 1] - steps).max() <= 0.5 + 1e-6
    assert np.array_equal(found[[7, 20], 1], nearest[[7, 20], 1])
    assert np.array_equal(found[:, [0, 2]], codes[0][:, [0, 2]]), "outputs without stuck cells stay"


@given(
    seed=st.integers(0, 10_000),
    rate=st.sampled_from([0.002, 0.02, 0.2, 0.7]),
    bits=st.sampled_from([1, 2]),
    offset=st.booleans(),
)
def test_never_for_the_worse_and_only_what_cells_can_hold(seed, rate, bits, offset):
    rng, encoding = np.random.default_rng(seed), Encoding(bits, offset)
    sizes = [(30, 4), (12, 7)]
    codes = tuple(rng.normal(0, 2000, size).astype(np.int16) for size in sizes)
    cells = [c.size * encoding.cells_per_weight for c in codes]
    fault_map = random_map(seed, cells, rate, 0.5, encoding)
    correlations = some_correlations([30, 12], 5, seed)
    found, nearest = compensated(codes, fault_map, correlations), nearest_codes(codes, fault_map)
    assert same(apply_map(found, fault_map), found), "stuck cells change nothing of it"
    assert same(found, compensated(codes, fault_map, correlations)), "the same bytes"
    for after, before in zip(
        costs(found, codes, correlations), costs(nearest, codes, correlations), strict=True
    ):
        assert (after <= before * (1 + 1e-9)).all()


def test_what_is_held_as_it_should_be_stays(mlp_model):
    correlations = correlations_of(mlp_model, DATA)
    layers = len(mlp_model.codes)
    assert same(compensated(mlp_model.codes, FaultMap.empty(layers), correlations), mlp_model.codes)
    cells = [np.arange(0, c.size * 16, 5) for c in mlp_model.codes]
    right = [SLC.levels_of(c, own) for c, own in zip(mlp_model.codes, cells, strict=True)]
    assert same(compensated(mlp_model.codes, FaultMap.of(cells, right), correlations), mlp_model.codes)


def test_most_of_what_nearest_codes_lose_comes_back(mlp_model, mnist5k, random_damage):
    """4 % of cells stuck, five devices: of the expected squared errors, and of what answers are off, more than half."""
    correlations, maps = (
        correlations_of(mlp_model, DATA),
        [random_damage(mlp_model, 0.04, i) for i in range(5)],
    )
    nearest = [nearest_codes(mlp_model.codes, m) for m in maps]
    better = [compensated(mlp_model.codes, m, correlations) for m in maps]
    pictures, _ = mnist5k.part("spec")
    clean, *logits = Evaluator.of(mlp_model).logits([mlp_model.codes, *nearest, *better], pictures)
    off = [float(((found - clean) ** 2).mean()) for found in logits]
    assert sum(off[5:]) < 0.5 * sum(off[:5])


def test_features_are_those_that_inputs_share():
    """Inputs made of three features and some noise each: these are found, and the rest is each input's own."""
    rng = np.random.default_rng(3)
    loadings, noise = rng.normal(size=(50, 3)) * [3, 2, 1], rng.uniform(0.5, 1.5, 50)
    truth = loadings @ loadings.T + np.diag(noise)
    own, shared = in_common(truth)
    own, shared = own.astype(float), shared.astype(float)
    unit = np.trace(truth) / len(truth)
    kept = np.diag(own) + shared @ shared.T
    assert np.diag(kept) == pytest.approx(np.diag(truth) / unit + 0.01, abs=5e-3)
    assert np.abs(kept - truth / unit).max() < 0.03


def test_what_retraining_has_seen_to_is_not_made_up_for_twice(mlp_model, random_damage):
    """What is held for the map of a redeployment is what the cloud reckoned with; for more stuck cells, only what these change is compensated."""
    fitting = Fitting(correlations_of(mlp_model, DATA), trained_from=1)
    solved = random_damage(mlp_model, 0.03, 1)
    reckoned = fitting.retrained(mlp_model.codes, solved)
    nearest, all_layers = nearest_codes(mlp_model.codes, solved), fitting.deployed(mlp_model.codes, solved)
    assert same(reckoned[:1], all_layers[:1]) and same(reckoned[1:], nearest[1:])
    assert not np.array_equal(nearest[0], all_layers[0]) and not np.array_equal(nearest[1], all_layers[1])
    assert same(fitting.held(mlp_model.codes, solved, solved), reckoned)
    more = solved.union(random_damage(mlp_model, 0.002, 2))
    held = fitting.held(mlp_model.codes, more, solved)
    assert same(held, compensated(reckoned, more, fitting.correlations))
    assert same(apply_map(held, more), held)
    assert same(Fitting().held(mlp_model.codes, more, solved), nearest_codes(mlp_model.codes, more))
