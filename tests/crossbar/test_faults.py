"""Fault maps, and what stuck cells do to codes, bit by bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.faults import FaultMap, apply_map

CODES = arrays(np.int16, st.tuples(st.integers(1, 4), st.integers(1, 5)))


def stuck(n_cells):
    """Distinct cells in any order, each with a bit."""
    return st.dictionaries(st.integers(0, n_cells - 1), st.integers(0, 1), max_size=min(n_cells, 20)).map(
        lambda chosen: (np.array(list(chosen), np.int32), np.array(list(chosen.values()), np.uint8))
    )


def forced_one_by_one(codes, cells, values):
    """The definition: cell 16 i + b is bit b of weight i in C order; the sign is bit 15."""
    flat = [int(code) & 0xFFFF for code in codes.ravel()]
    for cell, value in zip(cells.tolist(), values.tolist(), strict=True):
        weight, bit = divmod(cell, 16)
        flat[weight] = flat[weight] & ~(1 << bit) | value << bit
    signed = [pattern - 0x10000 if pattern & 0x8000 else pattern for pattern in flat]
    return np.array(signed, np.int16).reshape(codes.shape)


@settings(deadline=None, max_examples=60)
@given(st.data(), CODES)
def test_writing_bits_is_what_it_is_by_definition(data, codes):
    cells, values = data.draw(stuck(16 * codes.size))
    before = codes.copy()
    forced = SLC.write(codes, cells, values)
    assert np.array_equal(forced, forced_one_by_one(codes, cells, values)) and forced.dtype == np.int16
    assert np.array_equal(codes, before) and not np.shares_memory(codes, forced)
    assert np.array_equal(SLC.write(forced, cells, values), forced), "idempotent"
    assert np.array_equal(
        SLC.write(codes[::-1, ::-1].T, cells, values), forced_one_by_one(codes[::-1, ::-1].T, cells, values)
    )
    assert set(SLC.differing_cells(codes, forced).tolist()) <= set(cells.tolist())


@settings(deadline=None, max_examples=60)
@given(st.data(), CODES)
def test_differing_cells_are_those_whose_bits_differ(data, codes):
    others = data.draw(arrays(np.int16, codes.shape) | st.just(codes))
    expected = [
        16 * i + bit
        for i, (a, b) in enumerate(zip(codes.ravel().tolist(), others.ravel().tolist(), strict=True))
        for bit in range(16)
        if (a >> bit) & 1 != (b >> bit) & 1
    ]
    found = SLC.differing_cells(codes, others)
    assert found.tolist() == expected and found.dtype == np.int64
    # Writing the other's bits there turns one into the other.
    bits = np.array([(int(others.ravel()[cell // 16]) >> cell % 16) & 1 for cell in expected], np.uint8)
    assert np.array_equal(SLC.write(codes, found, bits), others)


def test_stuck_sign_bits():
    codes = np.array([[0, 5, -1, 32767]], np.int16)
    signs = np.array([15, 31, 47, 63])
    assert SLC.write(codes, signs, np.ones(4)).tolist() == [[-32768, 5 - 32768, -1, -1]]
    assert SLC.write(codes, signs, np.zeros(4)).tolist() == [[0, 5, 32767, 32767]]


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
        assert np.array_equal(held[i], forced_one_by_one(codes[i], fault_map.cells[i], fault_map.values[i]))
