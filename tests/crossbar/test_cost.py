"""The cost model against the paper's Table III, the March interpreter and counts by hand."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from lifesim.crossbar.cellarray import CellArray
from lifesim.crossbar.cost import (
    Cost,
    OperationCosts,
    cell_count,
    inference_cost,
    march_cost,
    programming_cost,
    readback_cost,
    retest_cost,
    rewrite_cost,
)
from lifesim.crossbar.diagnosis import run_march, run_read_only
from lifesim.crossbar.march import MARCH_C_MINUS, MARCH_TESTS, all_levels, extreme_levels


@dataclass
class Size:
    fan_in: int
    fan_out: int
    positions: int = 1


COSTS = OperationCosts.preset("isaac_slc")
READ_J = 230e-12  # of a crossbar, its 128 conversions included
MLP = [Size(784, 32), Size(32, 16), Size(16, 10)]
LENET = [Size(25, 20, 576), Size(500, 50, 64), Size(800, 500), Size(500, 10)]


@pytest.mark.parametrize(("layers", "paper"), [(MLP, 1062), (LENET, 202)])
def test_speed_up_of_one_picture_over_march_is_the_papers_table_iii(layers, paper):
    weights = sum(s.fan_in * s.fan_out for s in layers)
    macs = sum(s.fan_in * s.fan_out * s.positions for s in layers)
    speed_up = (
        march_cost(COSTS, layers, MARCH_C_MINUS).latency_ns / inference_cost(COSTS, layers, 1).latency_ns
    )
    assert speed_up == pytest.approx(1064 * weights / macs, rel=1e-4)
    assert speed_up == pytest.approx(paper, rel=0.015)


def test_the_speed_up_is_the_same_with_two_bit_cells():
    # Half the cells are marched, and a crossbar holds twice the weights: the ratio stays.
    mlc = replace(COSTS, cells_per_weight=8)
    assert march_cost(mlc, MLP, MARCH_C_MINUS).latency_ns / inference_cost(
        mlc, MLP, 1
    ).latency_ns == pytest.approx(1064, rel=1e-4)


def test_reading_back_lenet_takes_the_stated_milliseconds():
    mlc = replace(COSTS, cells_per_weight=8)
    assert cell_count(mlc, LENET) == 3_444_000
    assert readback_cost(mlc, LENET).latency_ns == pytest.approx(2.7e6, rel=0.01)
    assert readback_cost(COSTS, LENET).latency_ns == 2 * readback_cost(mlc, LENET).latency_ns
    assert readback_cost(COSTS, LENET).writes_per_cell == 0


def test_sixteen_pictures_of_lenet_with_two_bit_cells_take_28_7_ms():
    assert inference_cost(replace(COSTS, cells_per_weight=8), LENET, 16).latency_ns == pytest.approx(
        28.7e6, rel=0.002
    )


def test_march_counts_agree_with_the_interpreter():
    layers = [Size(8, 4)]
    for test in MARCH_TESTS.values():
        array = CellArray(np.zeros(cell_count(COSTS, layers)))
        result = run_march(test, array)
        cost = march_cost(COSTS, layers, test)
        assert (
            cost.latency_ns
            == result.writes * COSTS.cell_write_ns + result.reads * COSTS.crossbar_read_ns // 128
        )
        assert cost.energy_j == pytest.approx(
            result.writes * 0.6e-12 + result.reads * READ_J / 128, rel=1e-12
        )
        assert array.writes.tolist() == [cost.writes_per_cell] * len(array)


@pytest.mark.parametrize("levels", [extreme_levels, all_levels])
@pytest.mark.parametrize("test", MARCH_TESTS.values(), ids=MARCH_TESTS)
def test_cells_that_are_tested_again_cost_what_the_interpreter_does_with_them(test, levels):
    layers, test = [Size(8, 4)], levels(test, 3)
    n = cell_count(COSTS, layers)
    array = CellArray.with_stuck_cells(np.zeros(n), {3: 0, 70: 2, 71: 3}, top_level=3)
    result = run_march(test, array, retries=4)
    whole, again = march_cost(COSTS, layers, test), retest_cost(COSTS, test)
    assert result.again == 3 * 4
    assert n * whole.writes_per_cell + result.again * again.writes_per_cell == result.writes
    retested = result.again * test.reads_per_cell
    assert (
        whole.latency_ns + result.again * again.latency_ns
        == result.writes * COSTS.cell_write_ns
        + (result.reads - retested) * COSTS.crossbar_read_ns // 128
        + retested * COSTS.crossbar_read_ns
    )
    assert again.energy_j == pytest.approx(test.writes_per_cell * 0.6e-12 + test.reads_per_cell * READ_J)


def test_a_read_only_diagnosis_costs_a_read_back_and_its_rewrites():
    layers = [Size(8, 4)]
    backup = np.zeros(cell_count(COSTS, layers), np.uint8)
    contents = backup.copy()
    contents[[5, 6, 300]] = 1
    array = CellArray.with_stuck_cells(contents, {5: 1})
    result = run_read_only(array, backup, retries=1)
    assert (result.reads - result.again, result.again) == (len(backup), 4)
    assert array.writes.sum() == result.again * rewrite_cost(COSTS).writes_per_cell
    assert rewrite_cost(COSTS) == Cost(8 * (20 + 100), pytest.approx(8 * (0.6e-12 + READ_J)), 1)


def test_one_crossbar_by_hand():
    # 128 x 8 weights fill one crossbar: 16 reads of 100 ns and 30 + 128 * 1.5625 = 230 pJ for a product; 8 pulses and shared verify reads per cell.
    full = [Size(128, 8)]
    assert inference_cost(COSTS, full, 1) == Cost(1600, pytest.approx(16 * READ_J), 0)
    assert readback_cost(COSTS, full) == Cost(12_800, pytest.approx(128 * READ_J), 0)
    assert programming_cost(COSTS, full) == Cost(
        16_384 * 8 * 20 + 8 * 12_800, pytest.approx(16_384 * 8 * 0.6e-12 + 8 * 128 * READ_J), 1
    )


def test_conversions_are_one_per_column_and_read():
    # ISAAC converts as many values as it multiplies in SLC's 16 slices of 16 input bits: 128 rows share one conversion.
    without = replace(COSTS, adc_j=0.0)
    macs = 128 * 8
    conversions = macs * 16 * 16 / 128
    difference = (
        inference_cost(COSTS, [Size(128, 8)], 1).energy_j
        - inference_cost(without, [Size(128, 8)], 1).energy_j
    )
    assert difference == pytest.approx(conversions * COSTS.adc_j, rel=1e-12)


def test_latency_is_rounded_up_once():
    one = [Size(1, 1)]
    assert inference_cost(COSTS, one, 1).latency_ns == 2  # 1.5625
    assert inference_cost(COSTS, one, 16).latency_ns == 25  # exactly 25, not 16 * 2
    assert readback_cost(COSTS, one).latency_ns == 13  # 12.5


@pytest.mark.parametrize(
    "operation", [lambda n: inference_cost(COSTS, MLP * n, 1), lambda n: programming_cost(COSTS, MLP * n)]
)
def test_reloading_layers_costs_the_sum_of_its_parts(operation):
    assert Fraction(operation(3).latency_ns, operation(1).latency_ns) == pytest.approx(3, abs=1e-4)
    assert operation(3).energy_j == pytest.approx(3 * operation(1).energy_j)


def test_work_that_is_not_there_costs_nothing():
    assert programming_cost(COSTS, []) == Cost(0, 0.0, 1)
    assert inference_cost(COSTS, MLP, 0) == Cost(0, 0.0, 0)
