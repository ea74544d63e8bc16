"""What operations cost follows the scenario: the diagnosis that the policy chooses."""

from pathlib import Path

import pytest

from lifesim.crossbar.cost import march_cost, readback_cost, retest_cost, rewrite_cost
from lifesim.crossbar.march import MARCH_TESTS, all_levels, extreme_levels
from lifesim.fleet.hardware import Hardware, make_diagnosis, operation_table, visit_costs
from lifesim.scenario.load import load_scenario

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"


def group_with(diagnosis, bits_per_cell=1):
    overrides = [
        f"group.cameras.policy.diagnosis={diagnosis}",
        f"group.cameras.technology={{preset='rated_1e4', bits_per_cell={bits_per_cell}}}",
    ]
    return load_scenario(QUICKSTART, overrides).group["cameras"]


@pytest.mark.parametrize("bits_per_cell", [1, 2])
@pytest.mark.parametrize("levels", ["extreme", "all"])
@pytest.mark.parametrize("name", MARCH_TESTS)
def test_a_march_test_costs_what_it_does(name, levels, bits_per_cell):
    group = group_with(f"{{test='{name}', levels='{levels}', retries=2}}", bits_per_cell)
    hardware = Hardware.of(group)
    top_level = 2**bits_per_cell - 1
    test = {"extreme": extreme_levels, "all": all_levels}[levels](MARCH_TESTS[name], top_level)
    diagnosis = make_diagnosis(group, hardware)
    assert (diagnosis.test, diagnosis.retries, diagnosis.read_only) == (test, 2, False)
    operations = operation_table(group, hardware)
    assert operations.diagnosis == march_cost(hardware.costs, hardware.architecture.crossbar_layers, test)
    assert operations.diagnosis.writes_per_cell == test.writes_per_cell
    times = 2 if levels == "all" and bits_per_cell == 2 else 1
    assert test.writes_per_cell == times * MARCH_TESTS[name].writes_per_cell
    assert operations.again == retest_cost(hardware.costs, test)
    assert visit_costs(group, operations).diagnosis == operations.diagnosis
    assert visit_costs(group, operations).again == operations.again


def test_a_read_only_diagnosis_costs_a_read_back_and_wears_only_what_it_rewrites():
    group = group_with("{read_only=true}")
    hardware = Hardware.of(group)
    operations = operation_table(group, hardware)
    assert operations.diagnosis == readback_cost(hardware.costs, hardware.architecture.crossbar_layers)
    assert operations.diagnosis.writes_per_cell == 0
    assert operations.again == rewrite_cost(hardware.costs) and operations.again.writes_per_cell == 1
