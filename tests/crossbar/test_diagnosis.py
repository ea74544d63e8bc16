"""Retries and the read-only diagnosis: what they find, what they leave alone, what they cost."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.cellarray import CellArray
from lifesim.crossbar.defects import (
    InversionCoupling,
    LostWrites,
    RandomlyLostWrites,
    StuckAt,
    TransitionFault,
)
from lifesim.crossbar.diagnosis import false_report_probability, run_march, run_read_only
from lifesim.crossbar.march import MARCH_C_MINUS, MARCH_TESTS, MATS_PLUS, all_levels, extreme_levels
from lifesim.streams import stream_key


def report_matrix(test):
    """P[from][to] of one cell: reported, and left holding ``to`` (as floats of p), by trying out which writes are lost."""

    def at(p):
        matrix = np.zeros((2, 2))
        n = test.writes_per_cell
        for held in (0, 1):
            for lost in (frozenset(c) for k in range(n + 1) for c in combinations(range(n), k)):
                array = CellArray([held], [LostWrites(0, lost)])
                if len(run_march(test, array).cells):
                    matrix[held, array.contents[0]] += p ** len(lost) * (1 - p) ** (n - len(lost))
        return matrix

    return at


# Retries


@pytest.mark.parametrize("test", MARCH_TESTS.values(), ids=MARCH_TESTS)
def test_a_false_report_takes_one_lost_write_of_those_that_should_switch_the_cell(test):
    p = 0.05
    switching = sum(op.is_write for e in test.elements for op in e.operations) - 1
    if test is MATS_PLUS:
        switching -= 1  # its last write is not read back
    assert report_matrix(test)(p)[0].sum() == pytest.approx(1 - (1 - p) ** switching)


@pytest.mark.parametrize(("p", "retries"), [(0.03, 0), (0.03, 1), (0.2, 2)])
def test_temporary_failures_disappear_with_the_power_of_the_retries(p, retries):
    cells = 4_000
    array = CellArray(np.zeros(cells), [RandomlyLostWrites(tuple(range(cells)), stream_key(retries), p)])
    result = run_march(MARCH_C_MINUS, array, retries)
    expected = np.linalg.matrix_power(report_matrix(MARCH_C_MINUS)(p), retries + 1)[0].sum()
    once = 1 - (1 - p) ** 4
    assert expected == pytest.approx(once ** (retries + 1), rel=0.25), (
        "nearly the power of a single false report"
    )
    standard_error = np.sqrt(expected * (1 - expected) / cells)
    assert standard_error < 0.01
    assert abs(len(result.cells) / cells - expected) < 3 * standard_error


def test_cells_that_fail_every_time_stay_reported_and_only_failing_cells_are_tried_again():
    faults = [
        StuckAt(2, 1),
        TransitionFault(5, 1),
        LostWrites(7, frozenset({1})),
        LostWrites(8, frozenset({3, 6})),
    ]
    array = CellArray(np.zeros(10), faults)
    result = run_march(MARCH_C_MINUS, array, retries=2)
    assert result.cells.tolist() == [2, 5] and result.values.tolist() == [1, 0]
    assert array.writes.tolist() == [5, 5, 15, 5, 5, 15, 5, 10, 15, 5]
    assert result.again == 4 + 3
    assert (
        (result.reads, result.writes) == (50 + 7 * 5, 50 + 7 * 5) == (array.writes.sum(), array.writes.sum())
    )


def test_retries_let_off_a_cell_that_only_another_cells_write_upsets():
    fault = InversionCoupling(0, 1, rising=True)
    assert run_march(MARCH_C_MINUS, CellArray([0, 0], [fault])).cells.tolist() == [1]
    assert run_march(MARCH_C_MINUS, CellArray([0, 0], [fault]), retries=1).cells.tolist() == []


def test_a_retry_of_nothing_costs_nothing():
    result = run_march(MATS_PLUS, CellArray([0] * 4), retries=5)
    assert (result.reads, result.writes, result.again) == (8, 12, 0)


@pytest.mark.parametrize("levels", [extreme_levels, all_levels])
@pytest.mark.parametrize("test", MARCH_TESTS.values(), ids=MARCH_TESTS)
def test_false_reports_where_a_failed_write_leaves_the_cell_in_hrs(test, levels):
    """Every way to lose writes of one cell, weighed by its probability."""
    p, test = 0.1, levels(test, 3)
    n = test.writes_per_cell
    for held in range(4):
        reported = 0.0
        for lost in (frozenset(c) for k in range(n + 1) for c in combinations(range(n), k)):
            array = CellArray([held], [LostWrites(0, lost, left=0)], top_level=3)
            if len(run_march(test, array).cells):
                reported += p ** len(lost) * (1 - p) ** (n - len(lost))
        assert reported == pytest.approx(false_report_probability(test, p))


def test_false_reports_disappear_exactly_with_the_power_of_the_retries_where_a_failed_write_leaves_hrs():
    cells, p, retries = 4_000, 0.1, 1
    array = CellArray(np.zeros(cells), [RandomlyLostWrites(tuple(range(cells)), stream_key(9), p, left=0)])
    expected = false_report_probability(MARCH_C_MINUS, p) ** (retries + 1)
    share = len(run_march(MARCH_C_MINUS, array, retries).cells) / cells
    assert abs(share - expected) < 3 * np.sqrt(expected * (1 - expected) / cells)


# Read-only


@settings(deadline=None)
@given(data=st.data(), top_level=st.sampled_from([1, 3]), retries=st.integers(0, 2))
def test_finds_exactly_the_stuck_cells_that_differ_and_touches_only_what_differed(data, top_level, retries):
    level = st.integers(0, top_level)
    backup = np.array(data.draw(st.lists(level, min_size=1, max_size=30)), np.uint8)
    n = len(backup)
    drifted = data.draw(st.dictionaries(st.integers(0, n - 1), level))
    stuck = data.draw(st.dictionaries(st.integers(0, n - 1), level))
    contents = backup.copy()
    contents[list(drifted)] = list(drifted.values())
    array = CellArray.with_stuck_cells(contents, stuck, top_level)
    seen = np.array([array.read(cell) for cell in range(n)])
    differed = np.flatnonzero(seen != backup)
    result = run_read_only(array, backup, retries)

    expected = {cell: held for cell, held in stuck.items() if held != backup[cell]}
    assert dict(zip(result.cells.tolist(), result.values.tolist(), strict=True)) == expected
    assert result.cells.tolist() == sorted(expected)
    assert result.rewritten.tolist() == differed.tolist()
    assert result.again == result.writes == len(differed) + retries * len(expected)
    assert result.reads == n + result.again
    wear = np.zeros(n, np.int64)
    wear[differed] = 1
    wear[list(expected)] += retries
    assert array.writes.tolist() == wear.tolist()
    # All cells now hold the backup, but for the broken ones that it reports.
    now = np.array([array.read(cell) for cell in range(n)])
    assert np.flatnonzero(now != backup).tolist() == sorted(expected)


def test_a_cell_stuck_where_it_should_be_shows_up_when_the_backup_changes():
    array = CellArray.with_stuck_cells([0, 1, 0], {1: 1})
    assert run_read_only(array, np.array([0, 1, 0])).cells.tolist() == []
    assert run_read_only(array, np.array([0, 0, 0])).cells.tolist() == [1]


def test_a_rewrite_that_does_not_take_once_is_reported_without_retries_only():
    faults = [LostWrites(0, frozenset({0}))]
    backup = np.array([1, 0])
    assert run_read_only(CellArray([0, 0], faults), backup).cells.tolist() == [0]
    result = run_read_only(CellArray([0, 0], faults), backup, retries=3)
    assert result.cells.tolist() == [] and result.again == 2
