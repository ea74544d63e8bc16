"""Which March test detects which faults: every fault of every class in a small array, whatever it held, in every order that "any" allows.

The guarantees are those of van de Goor (IEEE Design & Test 10, 1993) for unlinked faults: faults that come alone.
"""

from itertools import permutations, product

import numpy as np
import pytest

from lifesim.crossbar.cellarray import CellArray
from lifesim.crossbar.defects import (
    AddressFault,
    IdempotentCoupling,
    InversionCoupling,
    LostWrites,
    RandomlyLostWrites,
    StateCoupling,
    StuckAt,
    TransitionFault,
)
from lifesim.crossbar.diagnosis import run_march
from lifesim.crossbar.march import (
    MARCH_C_MINUS,
    MARCH_X,
    MATS_PLUS,
    MarchElement,
    MarchTest,
    Order,
    all_levels,
    extreme_levels,
)
from lifesim.streams import stream_key

CELLS = 3  # an aggressor and a victim below, above, beside and apart from each other, and one more
PAIRS = list(permutations(range(CELLS), 2))
BITS = (0, 1)
DIRECTIONS = (True, False)

CLASSES = {
    "SAF": [StuckAt(c, v) for c in range(CELLS) for v in BITS],
    "TF": [TransitionFault(c, v) for c in range(CELLS) for v in BITS],
    "AF": [AddressFault.nothing(x, idle) for x in range(CELLS) for idle in BITS]
    + [AddressFault.taken_over(x, y, high, idle) for x, y in PAIRS for high in DIRECTIONS for idle in BITS]
    + [AddressFault.redirected(x, y) for x, y in PAIRS]
    + [AddressFault.spread(x, y, high) for x, y in PAIRS for high in DIRECTIONS],
    "CFin": [InversionCoupling(a, v, up) for a, v in PAIRS for up in DIRECTIONS],
    "CFid": [IdempotentCoupling(a, v, up, level) for a, v in PAIRS for up in DIRECTIONS for level in BITS],
    "CFst": [StateCoupling(a, v, state, level) for a, v in PAIRS for state in BITS for level in BITS],
}

GUARANTEED = {
    MATS_PLUS: {"SAF", "AF"},
    MARCH_X: {"SAF", "AF", "TF", "CFin"},
    MARCH_C_MINUS: {"SAF", "AF", "TF", "CFin", "CFid", "CFst"},
}


def in_every_order(test):
    """The test in each way to choose the directions that it leaves open."""
    choices = [[Order.UP, Order.DOWN] if e.order is Order.ANY else [e.order] for e in test.elements]
    for orders in product(*choices):
        elements = [MarchElement(o, e.operations) for o, e in zip(orders, test.elements, strict=True)]
        yield MarchTest(test.name, tuple(elements))


def array_with(fault, contents, top_level=1):
    if isinstance(fault, AddressFault):
        return CellArray(contents, decoder=fault, top_level=top_level)
    return CellArray(contents, [fault], top_level=top_level)


def always_detected(test, fault):
    return all(
        len(run_march(ordered, array_with(fault, contents)).cells)
        for ordered in in_every_order(test)
        for contents in product(BITS, repeat=CELLS)
    )


@pytest.mark.parametrize("test", GUARANTEED, ids=lambda test: test.name)
def test_a_march_test_detects_exactly_the_classes_that_theory_says(test):
    missed = {name: [f for f in faults if not always_detected(test, f)] for name, faults in CLASSES.items()}
    assert {name for name, faults in missed.items() if not faults} == GUARANTEED[test], missed


@pytest.mark.parametrize(
    ("test", "detected"),
    [
        (MATS_PLUS, {"SAF": 6, "TF": 3, "AF": 48, "CFin": 9, "CFid": 9, "CFst": 12}),
        (MARCH_X, {"SAF": 6, "TF": 6, "AF": 48, "CFin": 12, "CFid": 12, "CFst": 15}),
        (MARCH_C_MINUS, {"SAF": 6, "TF": 6, "AF": 48, "CFin": 12, "CFid": 24, "CFst": 24}),
    ],
)
def test_coverage_in_numbers(test, detected):
    """Of 6 SAF, 6 TF, 48 AF, 12 CFin, 24 CFid, 24 CFst."""
    assert {
        name: sum(always_detected(test, f) for f in faults) for name, faults in CLASSES.items()
    } == detected


@pytest.mark.parametrize("levels", [extreme_levels, all_levels])
@pytest.mark.parametrize("test", GUARANTEED, ids=lambda test: test.name)
def test_what_is_guaranteed_for_one_bit_cells_holds_for_the_extreme_levels_of_two_bit_cells(test, levels):
    one_bit_faults = [fault for name in sorted(GUARANTEED[test]) for fault in CLASSES[name]]
    scaled = {
        StuckAt: lambda f: StuckAt(f.cell, 3 * f.level),
        TransitionFault: lambda f: TransitionFault(f.cell, 3 * f.target),
        AddressFault: lambda f: AddressFault(f.address, f.cells, f.extra, f.high, 3 * f.idle),
        InversionCoupling: lambda f: f,
        IdempotentCoupling: lambda f: IdempotentCoupling(f.aggressor, f.victim, f.rising, 3 * f.level),
        StateCoupling: lambda f: StateCoupling(f.aggressor, f.victim, 3 * f.state, 3 * f.level),
    }
    for fault in one_bit_faults:
        for held in (0, 1, 3):
            array = array_with(scaled[type(fault)](fault), [held] * CELLS, top_level=3)
            assert len(run_march(levels(test, 3), array).cells), fault


# The definitions, one operation at a time


def test_inversion_coupling_acts_on_its_transition_only():
    array = CellArray([0, 0], [InversionCoupling(0, 1, rising=True)])
    shown = []
    for bit in (0, 1, 1, 0, 1):
        array.write(0, bit)
        shown.append(array.read(1))
    assert shown == [0, 1, 1, 1, 0]
    assert array.writes.tolist() == [5, 0]


def test_inversion_coupling_of_two_bit_cells_mirrors_the_level():
    array = CellArray([3, 2], [InversionCoupling(0, 1, rising=False)], top_level=3)
    array.write(0, 1)
    assert array.read(1) == 1


def test_idempotent_coupling_sets_a_level_whatever_there_was():
    for held in BITS:
        array = CellArray([1, held], [IdempotentCoupling(0, 1, rising=False, level=1)])
        array.write(0, 1)
        assert array.read(1) == held
        array.write(0, 0)
        assert array.read(1) == 1
        array.write(1, 0)
        array.write(0, 0)
        assert array.read(1) == 0


def test_state_coupling_forces_the_victim_as_long_as_the_aggressor_holds_the_state():
    array = CellArray([1, 1], [StateCoupling(0, 1, state=1, level=0)])
    assert (array.read(1), array.read(0)) == (0, 1)
    array.write(1, 1)
    assert array.read(1) == 0
    array.write(0, 0)
    assert array.read(1) == 1
    array.write(0, 1)
    assert array.read(1) == 0


def test_the_four_kinds_of_address_fault():
    def after_writing_ones(fault):
        array = CellArray([0, 0, 0], decoder=fault)
        for address in (0, 1):
            array.write(address, 1)
        return array.contents.tolist(), array.writes.tolist(), [array.read(a) for a in range(3)]

    assert after_writing_ones(AddressFault.nothing(0)) == ([0, 1, 0], [0, 1, 0], [0, 1, 0])
    assert after_writing_ones(AddressFault.nothing(2, idle=1)) == ([1, 1, 0], [1, 1, 0], [1, 1, 1])
    assert after_writing_ones(AddressFault.taken_over(2, by=0)) == ([1, 1, 1], [1, 1, 1], [1, 1, 0])
    assert after_writing_ones(AddressFault.redirected(0, to=2)) == ([0, 1, 1], [0, 1, 1], [1, 1, 1])
    assert after_writing_ones(AddressFault.spread(0, to=2)) == ([1, 1, 1], [1, 1, 1], [1, 1, 1])
    array = CellArray([3, 0, 1], decoder=AddressFault.spread(1, to=2, high=False), top_level=3)
    assert array.read(1) == 0
    assert CellArray([3, 0, 1], decoder=AddressFault.spread(1, to=2), top_level=3).read(1) == 1


def test_lost_writes_are_those_of_the_ordinals():
    array = CellArray([0, 0], [LostWrites(0, frozenset({1, 3}))])
    shown = []
    for bit in (1, 0, 0, 1, 1):
        array.write(0, bit)
        shown.append(array.read(0))
    assert shown == [1, 1, 0, 0, 1]


def test_randomly_lost_writes_depend_on_cell_and_ordinal_only():
    def lost(cells, writes):
        array = CellArray(np.zeros(50), [RandomlyLostWrites(cells, stream_key(1), 0.3)])
        held = []
        for i in range(writes):
            for cell in cells:
                array.write(cell, i % 2)
            held.append(array.contents.copy())
        return np.array(held)

    every = lost(tuple(range(50)), 20)
    np.testing.assert_array_equal(lost(tuple(range(49, -1, -1)), 20), every)
    np.testing.assert_array_equal(lost((7, 3), 10)[:, [3, 7]], every[:10, [3, 7]])
    # A write shows that it was lost where it should have changed the cell and did not.
    asked = np.arange(20)[1:, None] % 2
    tried = every[:-1] != asked
    share = (every[1:] == every[:-1])[tried].mean()
    assert abs(share - 0.3) < 3 * np.sqrt(0.3 * 0.7 / tried.sum())


def test_faults_of_a_cell_act_in_the_order_given():
    lost_first = [LostWrites(0, frozenset({0})), InversionCoupling(0, 1, rising=True)]
    for faults, victim in ((lost_first, 0), (lost_first[::-1], 1)):
        array = CellArray([0, 0], faults)
        array.write(0, 1)
        assert array.contents.tolist() == [0, victim]
