"""The nearest code that stuck cells allow: against brute force over all 65,536 codes, for every encoding."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.recovery.nearest import nearest, nearest_codes, stuck_bits

ENCODINGS = [Encoding(bits, offset) for bits in (1, 2) for offset in (False, True)]
EVERY = pytest.mark.parametrize(
    "encoding", ENCODINGS, ids=lambda e: f"{e.bits_per_cell}-bit{'-offset' if e.offset else ''}"
)
ALL_CODES = np.arange(-(1 << 15), 1 << 15)


def holdable(cells: dict[int, int], encoding: Encoding) -> np.ndarray:
    """The codes (ascending) of all 65,536 whose cells show these levels where they are stuck: cell by cell, by the encoding's own words."""
    levels = encoding.levels(ALL_CODES.astype(np.int16))
    fits = np.all([levels[:, cell] == level for cell, level in cells.items()], axis=0)
    return ALL_CODES[fits] if cells else ALL_CODES


def nearest_of(codes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Those of ``codes`` (ascending) that are nearest to the targets, of two the lower: each looked up between its neighbours."""
    after = np.searchsorted(codes, targets)
    below, above = codes[np.maximum(after - 1, 0)], codes[np.minimum(after, len(codes) - 1)]
    return np.where(np.abs(below - targets) <= np.abs(above - targets), below, above)


def found(targets: np.ndarray, cells: dict[int, int], encoding: Encoding) -> np.ndarray:
    where = np.array(sorted(cells), np.int64)
    _, stuck, shown = stuck_bits(where, np.array([cells[c] for c in sorted(cells)], np.uint8), encoding)
    patterns = [np.full(len(targets), bits[0], np.uint16) for bits in (stuck, shown)]
    return nearest(targets.astype(np.int16), *patterns, encoding)


def patterns_of(encoding: Encoding, most: int):
    """All stuck patterns of one or two cells; beyond that ``most`` at random, of every number of cells."""
    n, levels = encoding.cells_per_weight, encoding.top_level + 1
    for count in (1, 2):
        for cells in itertools.combinations(range(n), count):
            for shown in itertools.product(range(levels), repeat=count):
                yield dict(zip(cells, shown, strict=True))
    rng = np.random.default_rng(20)
    for i in range(most):
        cells = rng.choice(n, 3 + i % (n - 2), replace=False)
        yield dict(zip(cells.tolist(), rng.integers(0, levels, len(cells)).tolist(), strict=True))


@EVERY
def test_every_code_under_every_pattern_of_one_cell(encoding):
    for cell in range(encoding.cells_per_weight):
        for level in range(encoding.top_level + 1):
            expected = nearest_of(holdable({cell: level}, encoding), ALL_CODES)
            assert np.array_equal(found(ALL_CODES, {cell: level}, encoding), expected), (cell, level)


@EVERY
def test_many_codes_under_patterns_of_any_number_of_cells(encoding):
    """Targets: both ends, around zero, where bits carry, and at random."""
    edges = [b + d for b in (-(1 << 15), -(1 << 14), 0, 1 << 14, (1 << 15) - 1) for d in range(-3, 4)]
    rng = np.random.default_rng(3)
    targets = np.concatenate(
        [np.clip(edges, -(1 << 15), (1 << 15) - 1), rng.integers(-(1 << 15), 1 << 15, 60)]
    )
    for cells in patterns_of(encoding, 150):
        expected = nearest_of(holdable(cells, encoding), targets)
        assert np.array_equal(found(targets, cells, encoding), expected), cells


def test_the_oracle_is_brute_force():
    """What finds neighbours in a sorted list agrees with looking at every code's distance."""
    for encoding in ENCODINGS:
        codes = holdable({0: 1, encoding.cells_per_weight - 1: 0}, encoding)
        for target in (-32768, -5, 0, 1, 1234, 32767):
            distances = np.abs(codes - target)
            assert nearest_of(codes, np.array([target]))[0] == codes[distances == distances.min()].min()


@EVERY
def test_nothing_stuck_and_all_stuck(encoding):
    none = np.zeros(1 << 16, np.uint16)
    targets = ALL_CODES.astype(np.int16)
    assert np.array_equal(nearest(targets, none, none, encoding), targets)
    held = encoding.patterns(targets[::-1])
    assert np.array_equal(nearest(targets, ~none, held, encoding), targets[::-1]), "there is one code"


def test_of_two_equally_near_the_lower():
    """Bit 0 stuck: the codes on either side of one that cannot be held are one off."""
    assert found(np.array([6, -6, 0]), {0: 1}, SLC).tolist() == [5, -7, -1]
    assert found(np.array([7, -7, 1]), {0: 0}, SLC).tolist() == [6, -8, 0]
    assert found(np.array([-32768]), {0: 1}, SLC).tolist() == [-32767], "below the lowest there is none"


def test_a_sign_stuck_at_negative_costs_a_quarter_and_not_a_whole():
    """0.25 in Q0.15 with the sign stuck at 1: masked it reads -0.75."""
    target = np.array([[8192]], np.int16)
    stuck = FaultMap.of([[15]], [[1]])
    assert apply_map([target], stuck)[0].item() == 8192 - 32768
    assert nearest_codes([target], stuck)[0].item() == -1


@st.composite
def layers(draw):
    """Targets of two layers, and a map of any of their cells."""
    encoding = draw(st.sampled_from(ENCODINGS))
    codes, cells, levels = [], [], []
    for shape in ((3, 2), (2, 2)):
        n = shape[0] * shape[1]
        flat = draw(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=n, max_size=n))
        stuck = draw(
            st.dictionaries(
                st.integers(0, n * encoding.cells_per_weight - 1), st.integers(0, encoding.top_level)
            )
        )
        codes.append(np.array(flat, np.int16).reshape(shape))
        cells.append(np.array(sorted(stuck), np.int64))
        levels.append(np.array([stuck[c] for c in sorted(stuck)], np.uint8))
    return codes, FaultMap.of(cells, levels, encoding)


@settings(deadline=None)
@given(layers())
def test_the_cells_hold_what_is_written_and_masking_is_never_nearer(case):
    codes, fault_map = case
    fitted = nearest_codes(codes, fault_map)
    held, masked = apply_map(fitted, fault_map), apply_map(codes, fault_map)
    for target, code, shown, mask in zip(codes, fitted, held, masked, strict=True):
        assert (code.dtype, code.shape) == (np.int16, target.shape)
        assert np.array_equal(code, shown), "the cells can hold it"
        off, masked_off = (np.abs(c.astype(int) - target.astype(int)) for c in (code, mask))
        assert (off <= masked_off).all()
    assert all(np.array_equal(a, b) for a, b in zip(nearest_codes(fitted, fault_map), fitted, strict=True)), (
        "what can be held is nearest to itself"
    )


@settings(deadline=None, max_examples=30)
@given(layers())
def test_each_weight_is_that_of_brute_force_and_others_stay(case):
    codes, fault_map = case
    per_weight = fault_map.encoding.cells_per_weight
    for target, code, cells, levels in zip(
        codes, nearest_codes(codes, fault_map), fault_map.cells, fault_map.values, strict=True
    ):
        for weight, (wanted, written) in enumerate(
            zip(target.reshape(-1).tolist(), code.reshape(-1).tolist(), strict=True)
        ):
            own = cells // per_weight == weight
            stuck = dict(zip((cells[own] % per_weight).tolist(), levels[own].tolist(), strict=True))
            assert written == nearest_of(holdable(stuck, fault_map.encoding), np.array([wanted]))[0]


def test_targets_are_not_touched_and_layers_without_faults_not_copied():
    codes = [np.full((2, 2), 77, np.int16), np.full((1, 2), 5, np.int16)]
    fitted = nearest_codes(codes, FaultMap.of([[15, 40], []], [[1, 0], []]))
    assert (codes[0] == 77).all() and fitted[1] is codes[1]
    assert (fitted[0] != 77).sum() == 1, "bit 8 of weight 2 is stuck at what 77 has there"


def test_stuck_bits_of_two_bit_cells():
    weights, stuck, shown = stuck_bits(np.array([0, 7, 17]), np.array([2, 1, 3], np.uint8), Encoding(2))
    assert weights.tolist() == [0, 2]
    assert stuck.tolist() == [0xC003, 0x000C] and shown.tolist() == [0x4002, 0x000C]
