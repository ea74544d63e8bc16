"""Which weights may move: those with the largest gradients, the same for whoever works it out."""

import pickle

import numpy as np

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.recovery.agreed import agree
from lifesim.scenario.network import DataSource

DATA = DataSource("mnist5k")


def test_a_share_of_all_weights_in_the_dense_layers_but_the_first(mlp_model):
    agreed = agree(mlp_model, DATA, 0.009, SLC)
    assert agreed.count == round(0.009 * mlp_model.architecture.weights)
    assert agreed.first == 1 and len(agreed.weights[0]) == 0
    for chosen, codes in zip(agreed.weights, mlp_model.codes, strict=True):
        assert (np.diff(chosen) > 0).all() and (chosen >= 0).all() and (chosen < codes.size).all()


def test_more_include_fewer_and_never_more_than_there_are(mlp_model):
    few, many, all_there_are = (agree(mlp_model, DATA, share, SLC) for share in (0.002, 0.009, 1.0))
    for some, more in zip(few.weights, many.weights, strict=True):
        assert np.isin(some, more).all()
    assert [len(chosen) for chosen in all_there_are.weights] == [0, *(c.size for c in mlp_model.codes[1:])]


def test_both_ends_agree(mlp_model):
    other_end = pickle.loads(pickle.dumps(mlp_model))
    agree.cache_clear()
    here = agree(mlp_model, DATA, 0.009, SLC)
    assert agree(other_end, DATA, 0.009, SLC) is here, "equal models are one key"
    agree.cache_clear()
    there = agree(other_end, DATA, 0.009, SLC)
    assert all(np.array_equal(a, b) for a, b in zip(here.weights, there.weights, strict=True))
    assert agree(mlp_model, DATA, 0.009, Encoding(2, True)) is not here
