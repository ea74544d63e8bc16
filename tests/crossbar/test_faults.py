"""Fault maps, and what stuck cells do to the codes of a network."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, apply_map, random_map
from lifesim.streams import stream_key


def stuck(n_cells):
    """Distinct cells in any order, each with a bit."""
    return st.dictionaries(st.integers(0, n_cells - 1), st.integers(0, 1), max_size=min(n_cells, 20)).map(
        lambda chosen: (np.array(list(chosen), np.int32), np.array(list(chosen.values()), np.uint8))
    )


MAPS = st.lists(stuck(64), min_size=2, max_size=2).map(lambda layers: FaultMap.of(*zip(*layers, strict=True)))


@settings(deadline=None, max_examples=60)
@given(st.lists(stuck(64), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_a_map_does_not_depend_on_the_order_of_its_cells(layers, random):
    shuffled = []
    for cells, values in layers:
        order = list(range(len(cells)))
        random.shuffle(order)
        shuffled.append((cells[order], values[order]))
    one, two = (FaultMap.of(*zip(*given_layers, strict=True)) for given_layers in (layers, shuffled))
    assert one == two and hash(one) == hash(two) and one.digest() == two.digest()
    for found, (cells, values) in zip(zip(one.cells, one.values, strict=True), layers, strict=True):
        assert dict(zip(found[0].tolist(), found[1].tolist(), strict=True)) == dict(
            zip(cells.tolist(), values.tolist(), strict=True)
        )
        assert found[0].tolist() == sorted(cells.tolist())
        assert found[0].dtype == np.int64 and found[1].dtype == np.uint8


@settings(deadline=None, max_examples=60)
@given(MAPS, MAPS)
def test_new_cells_are_counted_as_sets(one, two):
    sets = [[set(cells.tolist()) for cells in m.cells] for m in (one, two)]
    assert one.new_since(two) == sum(len(a - b) for a, b in zip(*sets, strict=True))
    assert one.count == sum(map(len, sets[0])) == one.new_since(FaultMap.empty(2))
    assert one.new_since(one) == 0 and FaultMap.empty(2).new_since(one) == 0
    same = all(
        a.tolist() == b.tolist()
        for a, b in zip((*one.cells, *one.values), (*two.cells, *two.values), strict=True)
    )
    assert (one == two) is same and (one.digest() == two.digest()) is same


def test_the_layer_and_the_value_of_a_cell_make_a_difference():
    cell, none = np.array([3]), np.array([], np.int64)
    maps = [
        FaultMap.of([cell, none], [[1], []]),
        FaultMap.of([none, cell], [[], [1]]),
        FaultMap.of([cell, none], [[0], []]),
        FaultMap.empty(2),
    ]
    assert len({m.digest() for m in maps}) == len(set(maps)) == 4
    assert maps[0] != "a map"


@settings(deadline=None, max_examples=50)
@given(MAPS, st.data())
def test_a_map_is_applied_layer_by_layer(fault_map, data):
    codes = tuple(data.draw(arrays(np.int16, (2, 2))) for _ in range(2))
    held = apply_map(codes, fault_map)
    for i in range(2):
        assert np.array_equal(held[i], SLC.write(codes[i], fault_map.cells[i], fault_map.values[i]))


@pytest.mark.parametrize(("encoding", "top"), [(SLC, 1), (Encoding(2, True), 3)])
def test_random_maps_have_so_many_cells_anywhere_and_so_many_of_them_at_the_top(encoding, top):
    layers = (30_000, 1_000, 69_000)
    found = random_map(stream_key("a map"), layers, 0.4, 0.8, encoding)
    assert found.count == 40_000 and found.encoding == encoding
    for cells, values, size in zip(found.cells, found.values, layers, strict=True):
        assert (np.diff(cells) > 0).all() and cells[0] >= 0 and cells[-1] < size
        assert abs(len(cells) / size - 0.4) < 3 * np.sqrt(0.24 / size)
        assert set(values.tolist()) == {0, top}
        assert abs((values == top).mean() - 0.8) < 3 * np.sqrt(0.16 / len(values))
    one = random_map(stream_key("one"), layers, 1e-9, 0.8, encoding)
    assert one.count == 1
