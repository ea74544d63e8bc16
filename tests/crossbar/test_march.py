"""March notation, the tests by name, the levels that they exercise; what a March test finds in single cells and does to the array.

What the tests find of coupling and address decoder faults: test_defects.py.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.cellarray import CellArray
from lifesim.crossbar.defects import MissingLevel, StuckAt, TransitionFault
from lifesim.crossbar.diagnosis import fault_map_from, run_march
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.crossbar.march import (
    MARCH_C_MINUS,
    MARCH_TESTS,
    MARCH_X,
    MATS_PLUS,
    Order,
    all_levels,
    extreme_levels,
    on_levels,
    parse_march,
)
from lifesim.errors import UserError


def found(array, test=MARCH_C_MINUS):
    result = run_march(test, array)
    return dict(zip(result.cells.tolist(), result.values.tolist(), strict=True))


# The notation


def test_march_c_minus_is_ten_operations_per_cell():
    assert (MARCH_C_MINUS.writes_per_cell, MARCH_C_MINUS.reads_per_cell) == (5, 5)
    assert [e.order for e in MARCH_C_MINUS.elements] == [
        Order.ANY,
        Order.UP,
        Order.UP,
        Order.DOWN,
        Order.DOWN,
        Order.ANY,
    ]


@pytest.mark.parametrize(
    "notation",
    [
        "{⇕(w0); ⇑(r0,w1); ⇑(r1,w0); ⇓(r0,w1); ⇓(r1,w0); ⇕(r0)}",
        "{↕(w0);↑(r0,w1);↑(r1,w0);↓(r0,w1);↓(r1,w0);↕(r0)}",
        "  ANY ( w0 ) ; Up(R0 , W1);up(r1,w0);down(r0,w1);down(r1,w0) ;any(r0)",
        str(MARCH_C_MINUS),
    ],
)
def test_arrows_words_and_spaces_mean_the_same(notation):
    assert parse_march("March C-", notation) == MARCH_C_MINUS


@pytest.mark.parametrize(
    ("notation", "message"),
    [
        ("", "expected 'any', 'up', 'down' or an arrow at position 1, found the end"),
        (
            "{any(w0); sideways(r0)}",
            "expected 'any', 'up', 'down' or an arrow at position 11, found 'sideways'",
        ),
        ("{any(w0); up(r0,w4)}", "expected r0 to r3 or w0 to w3 at position 17, found 'w4'"),
        ("up()", "expected r0 to r3 or w0 to w3 at position 4, found ')'"),
        ("up(r0", "expected ')' at position 6, found the end"),
        ("⇑ r0", "expected '(' at position 3, found 'r0'"),
        ("{up(r0)", "expected '}' at position 8, found the end"),
        ("{up(r0);}", "expected 'any', 'up', 'down' or an arrow at position 9, found '}'"),
        ("up(r0) up(r1)", "expected ';' or the end at position 8, found 'up'"),
        ("{up(r0)} x", "expected the end at position 10, found 'x'"),
    ],
)
def test_a_mistake_is_named_with_its_position(notation, message):
    with pytest.raises(UserError) as error:
        parse_march("mine", notation)
    assert str(error.value) == f"March test 'mine': {message}"


# The tests by name


@pytest.mark.parametrize(
    ("name", "notation", "writes", "reads"),
    [
        ("march_c_minus", "{⇕(w0); ⇑(r0,w1); ⇑(r1,w0); ⇓(r0,w1); ⇓(r1,w0); ⇕(r0)}", 5, 5),
        ("march_x", "{⇕(w0); ⇑(r0,w1); ⇓(r1,w0); ⇕(r0)}", 3, 3),
        ("mats_plus", "{⇕(w0); ⇑(r0,w1); ⇓(r1,w0)}", 3, 2),
    ],
)
def test_a_test_by_name_is_the_one_of_the_literature(name, notation, writes, reads):
    test = MARCH_TESTS[name]
    assert str(test) == notation
    assert (test.writes_per_cell, test.reads_per_cell) == (writes, reads)


# Levels


def levels_exercised(test):
    return {op.level for element in test.elements for op in element.operations if op.is_write}


def test_levels_of_two_bit_cells_have_a_notation():
    test = parse_march("x", "up(w2,r2); down(w1,r1,w3)")
    assert levels_exercised(test) == {1, 2, 3}
    assert parse_march("x", str(test)) == test
    with pytest.raises(ValueError, match="not a test of 0 and 1"):
        on_levels(test, 0, 3)


@pytest.mark.parametrize("test", MARCH_TESTS.values(), ids=MARCH_TESTS)
def test_a_plain_test_exercises_two_of_four_levels_and_the_other_two_cost_it_again(test):
    plain, every = extreme_levels(test, 3), all_levels(test, 3)
    assert levels_exercised(plain) == {0, 3} and levels_exercised(every) == {0, 1, 2, 3}
    assert (plain.writes_per_cell, plain.reads_per_cell) == (test.writes_per_cell, test.reads_per_cell)
    assert (every.writes_per_cell, every.reads_per_cell) == (
        2 * test.writes_per_cell,
        2 * test.reads_per_cell,
    )
    assert extreme_levels(test, 1) == all_levels(test, 1) == test


def test_all_levels_goes_over_the_complementary_pairs():
    assert str(all_levels(MATS_PLUS, 3)) == "{⇕(w0); ⇑(r0,w3); ⇓(r3,w0); ⇕(w1); ⇑(r1,w2); ⇓(r2,w1)}"
    assert all_levels(MATS_PLUS, 3).name == "MATS+, all levels"


@pytest.mark.parametrize("test", MARCH_TESTS.values(), ids=MARCH_TESTS)
def test_a_fault_of_the_levels_between_is_missed_by_the_plain_test_and_found_by_all_levels(test):
    for level, instead in product((1, 2), range(4)):
        if level == instead:
            continue
        for held in range(4):
            faults = [MissingLevel(1, level, instead)]
            assert found(CellArray([held] * 3, faults, top_level=3), extreme_levels(test, 3)) == {}
            seen = found(CellArray([held] * 3, faults, top_level=3), all_levels(test, 3))
            assert seen == {1: instead}


@pytest.mark.parametrize("test", MARCH_TESTS.values(), ids=MARCH_TESTS)
@pytest.mark.parametrize("levels", [extreme_levels, all_levels])
def test_every_test_finds_exactly_the_stuck_cells_of_two_bit_cells_and_their_levels(test, levels):
    for contents, *states in product((0, 1, 2, 3), *[(None, 0, 1, 2, 3)] * 2):
        stuck = {cell: level for cell, level in enumerate(states) if level is not None}
        array = CellArray.with_stuck_cells([contents] * 2, stuck, top_level=3)
        assert found(array, levels(test, 3)) == stuck


def test_levels_that_the_cells_do_not_have_are_refused():
    with pytest.raises(ValueError, match="level 3 in cells with levels 0 to 1"):
        run_march(extreme_levels(MARCH_X, 3), CellArray([0]))
    with pytest.raises(ValueError, match="contents 2 in cells with levels 0 to 1"):
        CellArray([0, 2])


# What it finds


@pytest.mark.parametrize("contents", list(product((0, 1), repeat=3)))
def test_finds_exactly_the_stuck_cells_whatever_was_stored(contents):
    for states in product((None, 0, 1), repeat=3):
        stuck = {cell: value for cell, value in enumerate(states) if value is not None}
        assert found(CellArray.with_stuck_cells(contents, stuck)) == stuck


@pytest.mark.parametrize("contents", list(product((0, 1), repeat=3)))
def test_finds_exactly_the_transition_faults_and_shows_the_bit_each_stays_at(contents):
    for targets in product((None, 0, 1), repeat=3):
        faults = [TransitionFault(cell, target) for cell, target in enumerate(targets) if target is not None]
        array = CellArray(contents, faults)
        shown = found(array)
        assert shown == {f.cell: 1 - f.target for f in faults}
        for cell, value in shown.items():
            for written in (0, 1):
                array.write(cell, written)
                assert array.read(cell) == value


@settings(deadline=None)
@given(
    contents=st.lists(st.integers(0, 1), min_size=1, max_size=40),
    faults=st.dictionaries(
        st.integers(0, 39), st.tuples(st.sampled_from([StuckAt, TransitionFault]), st.integers(0, 1))
    ),
)
def test_finds_exactly_the_faulty_cells_of_any_mixture(contents, faults):
    faults = [kind(cell, value) for cell, (kind, value) in faults.items() if cell < len(contents)]
    expected = {f.cell: f.level if isinstance(f, StuckAt) else 1 - f.target for f in faults}
    array = CellArray(contents, faults)
    assert found(array) == expected
    assert array.writes.tolist() == [5] * len(contents)


def test_a_cell_that_switches_neither_way_shows_what_it_holds():
    for held in (0, 1):
        assert found(CellArray([held], [TransitionFault(0, 0), TransitionFault(0, 1)])) == {0: held}


def test_mats_plus_misses_the_transition_that_it_does_not_read_back():
    # MATS+ ends with w0 unread, so a cell that cannot be reset escapes: the interpreter runs what is written, not more.
    assert found(CellArray([0], [TransitionFault(0, 0)]), MATS_PLUS) == {}
    assert found(CellArray([0], [TransitionFault(0, 1)]), MATS_PLUS) == {0: 0}


def test_the_order_of_visits_is_the_elements():
    class Recorder:
        def __init__(self):
            self.cells, self.visits = (0, 1, 2), []

        def after_write(self, array, cell, before):
            self.visits.append(cell)

        def read(self, array, cell, level):
            return level

    recorder = Recorder()
    run_march(parse_march("x", "up(w0); down(w1,w0)"), CellArray([0, 0, 0], [recorder]))
    assert recorder.visits == [0, 1, 2, 2, 2, 1, 1, 0, 0]


@settings(deadline=None)
@given(
    data=st.data(), layers=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=3)
)
def test_the_map_of_stuck_cells_equals_the_march_of_every_layer(data, layers):
    """The fleet takes the stuck cells as the map; the real March on the real bits must give the same map."""
    codes = [
        np.array(
            data.draw(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=i * o, max_size=i * o)), np.int16
        ).reshape(i, o)
        for i, o in layers
    ]
    stuck = [
        data.draw(st.dictionaries(st.integers(0, 16 * c.size - 1), st.integers(0, 1), max_size=20))
        for c in codes
    ]
    shortcut = FaultMap.of(
        [np.array(list(s), np.int64) for s in stuck], [np.array(list(s.values()), np.uint8) for s in stuck]
    )
    bits = [
        np.unpackbits(c.reshape(-1, 1).astype("<i2").view(np.uint8), axis=1, bitorder="little").reshape(-1)
        for c in codes
    ]
    arrays = [CellArray.with_stuck_cells(b, s) for b, s in zip(bits, stuck, strict=True)]
    marched = fault_map_from([run_march(MARCH_C_MINUS, array) for array in arrays])
    assert marched == shortcut

    # Programming the codes bit by bit into the marched arrays gives the codes that the map predicts.
    for layer, (array, forced) in enumerate(zip(arrays, apply_map(codes, marched), strict=True)):
        for cell, bit in enumerate(bits[layer]):
            array.write(cell, int(bit))
        held = np.array([array.read(cell) for cell in range(len(array))], np.uint8)
        np.testing.assert_array_equal(
            np.packbits(held.reshape(-1, 16), axis=1, bitorder="little").view("<i2").ravel(), forced.ravel()
        )


# What it does to the array


def test_a_faultless_array_gives_an_empty_map_and_loses_its_contents():
    array = CellArray(np.ones(64))
    assert fault_map_from([run_march(MARCH_C_MINUS, array)]) == FaultMap.empty(1)
    assert not array.contents.any()


def test_wears_every_cell_by_five_writes_and_counts_its_operations():
    array = CellArray.with_stuck_cells(np.zeros(10), {3: 1})
    result = run_march(MARCH_C_MINUS, array)
    assert array.writes.tolist() == [5] * 10
    assert (result.reads, result.writes) == (50, 50)


def test_a_fault_outside_the_array_is_refused():
    with pytest.raises(IndexError, match="outside an array of 4 cells"):
        CellArray([0] * 4, [StuckAt(4, 1)])
