"""What a diagnosis finds in a device's silicon is what running it on simulated arrays, cell by cell, finds."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lifesim.crossbar.bank import Bank, Defect, Wear
from lifesim.crossbar.cellarray import CellArray
from lifesim.crossbar.diagnosis import Diagnosis, false_report_probability, fault_map_from
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.march import MARCH_C_MINUS, MARCH_TESTS, all_levels, extreme_levels
from lifesim.crossbar.programming import Programmed
from lifesim.crossbar.soft import Retention
from lifesim.crossbar.verify import WriteVerify
from lifesim.fleet import hardware as real
from lifesim.fleet.diagnosing import diagnose
from lifesim.fleet.silicon import Region, Silicon
from lifesim.network.architecture import Architecture, Dense, Relu
from lifesim.network.model import Model
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.scenario.models import Scenario
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
ENCODINGS = [Encoding(1, False), Encoding(1, True), Encoding(2, True), Encoding(2, False)]


class Clock:
    def at(self, time_s):
        return time_s


def make_model(wide=3):
    architecture = Architecture("small", (1, 2, 2), (Dense("fc1", wide), Relu(), Dense("fc2", 2)))
    rng = np.random.default_rng(1)
    return Model.quantised(
        architecture,
        [rng.uniform(-1, 1, (4, wide)), rng.uniform(-1, 1, (wide, 2))],
        [np.zeros(wide), np.zeros(2)],
    )


MODEL = make_model()


def make_silicon(
    model=MODEL, encoding=ENCODINGS[0], key=1, scale=600.0, median_days=150.0, pulses=(1.0, 1), shared=False
):
    wear = Wear(Weibull(scale, 2.0), 0.6, between_share=0.3 if encoding.top_level > 1 else 0.0)
    retention = Retention(Lognormal(median_days * S_PER_DAY, 1.0), 0.5, 0, Clock())
    defect = Defect(DAY_NS, np.array([5, 6], np.int32), np.array([0, encoding.top_level], np.uint8))
    cells = [encoding.cells_per_weight * codes.size for codes in model.codes]
    if shared:  # the second layer lies in the first cells of the first one's bank
        cells = [cells[1], cells[0] - cells[1]]
    banks = tuple(
        Bank(
            stream_key(key, i), n, wear, [retention], top_level=encoding.top_level, defects=[defect],
            write=WriteVerify(*pulses),
        )
        for i, n in enumerate(cells)
    )  # fmt: skip
    if shared:
        return Silicon(banks, ((Region(0, 0), Region(1, cells[0])), (Region(0, 0),)), encoding)
    return Silicon.of_layers(banks, encoding)


def arrays(silicon, model, programmed, time_ns):
    """The device's cells one by one: what they hold, and which are stuck."""
    held = silicon.held_at(model, programmed, time_ns).read_codes()
    stuck = silicon.stuck_map(programmed, time_ns)
    return [
        CellArray.with_stuck_cells(
            silicon.encoding.levels(codes).reshape(-1),
            dict(zip(cells.tolist(), values.tolist(), strict=True)),
            silicon.encoding.top_level,
        )
        for codes, cells, values in zip(held, stuck.cells, stuck.values, strict=True)
    ]


def run_on_arrays(diagnosis, silicon, model, programmed, time_ns):
    results = [
        diagnosis.run(array, silicon.encoding.levels(codes).reshape(-1))
        for array, codes in zip(arrays(silicon, model, programmed, time_ns), model.codes, strict=True)
    ]
    return fault_map_from(results, silicon.encoding), results


AGED = st.fixed_dictionaries(
    {
        "encoding": st.sampled_from(ENCODINGS),
        "key": st.integers(0, 2**32),
        "scale": st.sampled_from([5.0, 600.0, 1e9]),
        "median_days": st.sampled_from([0.5, 150.0, 1e9]),
    }
)


@settings(deadline=None, max_examples=60)
@given(
    AGED,
    st.sampled_from(sorted(MARCH_TESTS)),
    st.sampled_from([extreme_levels, all_levels]),
    st.integers(0, 2),
    st.integers(1, 900),
    st.integers(0, 900),
)
def test_a_march_test_finds_what_the_interpreter_finds(aged, name, levels, retries, operations, days):
    silicon = make_silicon(**aged)
    programmed = (Programmed(0, 0, 1), Programmed(0, 0, operations))
    diagnosis = Diagnosis(levels(MARCH_TESTS[name], silicon.encoding.top_level), retries)
    got = diagnose(diagnosis, silicon, MODEL, programmed, days * DAY_NS)
    found, results = run_on_arrays(diagnosis, silicon, MODEL, programmed, days * DAY_NS)
    assert got.found == found and got.found.encoding == silicon.encoding
    assert got.again == sum(result.again for result in results) == retries * found.count
    writes = diagnosis.test.writes_per_cell
    assert [p.operations for p in got.programmed] == [1 + writes, operations + writes]


@settings(deadline=None, max_examples=50)
@given(AGED, st.integers(0, 2), st.integers(1, 900), st.integers(0, 900))
def test_a_read_only_diagnosis_finds_and_cures_what_the_interpreter_does(aged, retries, operations, days):
    silicon, time_ns = make_silicon(**aged), days * DAY_NS
    programmed = (Programmed(0, 0, 1), Programmed(0, 0, operations))
    diagnosis = Diagnosis(MARCH_C_MINUS, retries, read_only=True)
    got = diagnose(diagnosis, silicon, MODEL, programmed, time_ns)
    stuck = silicon.stuck_map(programmed, time_ns)
    assume(silicon.stuck_map(got.programmed, time_ns) == stuck)  # the interpreter's cells do not wear out
    found, results = run_on_arrays(diagnosis, silicon, MODEL, programmed, time_ns)
    assert got.found == found
    assert got.again == sum(result.again for result in results)
    assert found.new_since(stuck) == 0
    # Cured are all the others; only the rewritten cells are worn.
    now = silicon.held_at(MODEL, got.programmed, time_ns).read_codes()
    for held, codes, cells in zip(now, MODEL.codes, found.cells, strict=True):
        assert silicon.encoding.differing_cells(held, codes).tolist() == cells.tolist()
    for before, after, result, cells in zip(programmed, got.programmed, results, found.cells, strict=True):
        assert (after.time_ns, after.epoch, after.operations) == (0, 0, before.operations)
        assert after.extra.merged()[0].tolist() == result.rewritten.tolist()
        assert after.extra.of(cells).tolist() == [1 + retries] * len(cells)
        assert after.extra.total == result.writes


def test_a_cell_stuck_where_it_should_be_is_found_when_the_backup_changes():
    silicon, programmed = (
        make_silicon(scale=20.0, median_days=1e9),
        (Programmed(0, 0, 8), Programmed(0, 0, 8)),
    )
    read_only = Diagnosis(MARCH_C_MINUS, read_only=True)
    every = silicon.stuck_map(programmed, 0)
    one = diagnose(read_only, silicon, MODEL, programmed, 0).found
    inverted = MODEL.with_codes(tuple(~codes for codes in MODEL.codes))
    other = diagnose(read_only, silicon, inverted, programmed, 0).found
    assert 0 < one.count < every.count and one.new_since(other) == one.count
    assert one.union(other) == every


def test_layers_that_share_cells_are_rewritten_once_and_both_learn_of_their_stuck_cells():
    silicon = make_silicon(scale=20.0, median_days=1e9, shared=True)
    programmed = (Programmed(0, 0, 8), Programmed(0, 0, 8))
    got = diagnose(Diagnosis(MARCH_C_MINUS, read_only=True), silicon, MODEL, programmed, 0)
    stuck = silicon.stuck_map(programmed, 0)
    for layer, codes in enumerate(MODEL.codes):
        differing = silicon.encoding.levels_of(codes, stuck.cells[layer]) != stuck.values[layer]
        assert set(stuck.cells[layer][differing]) <= set(got.found.cells[layer])
    assert got.again == sum(p.extra.total for p in got.programmed)
    march = diagnose(Diagnosis(MARCH_C_MINUS, retries=1), silicon, MODEL, programmed, 0)
    assert march.found == stuck and march.again == sum(
        len(bank.stuck_at(p, 0)[0]) for bank, p in zip(silicon.banks, programmed, strict=True)
    )


# Temporary write failures

BIG = make_model(wide=900)  # 86,400 cells


def share_within_3_se(count, trials, expected):
    standard_error = np.sqrt(expected * (1 - expected) / trials)
    assert standard_error < 0.01
    assert abs(count / trials - expected) < 3 * standard_error, (count / trials, expected)


@pytest.mark.parametrize("retries", [0, 1, 2])
@pytest.mark.parametrize("name", MARCH_TESTS)
def test_false_reports_of_a_march_test_go_with_the_power_of_the_retries(name, retries):
    silicon = make_silicon(BIG, scale=1e9, pulses=(2.0, 3))  # an eighth of the writes fails
    programmed = (Programmed(0, 0, 1),) * 2
    got = diagnose(Diagnosis(MARCH_TESTS[name], retries), silicon, BIG, programmed, 0)
    cells, once = (
        16 * sum(codes.size for codes in BIG.codes),
        false_report_probability(MARCH_TESTS[name], 1 / 8),
    )
    share_within_3_se(got.found.count, cells, once ** (retries + 1))
    again = sum(once**k for k in range(1, retries + 1))
    assert got.again / cells == pytest.approx(again, rel=0.05)
    assert not np.concatenate(got.found.values).any(), "a write that fails leaves the high-resistance state"
    assert diagnose(Diagnosis(MARCH_TESTS[name], retries), silicon, BIG, got.programmed, 0).found != got.found


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_false_reports_of_a_read_only_diagnosis_go_with_the_power_of_the_retries(retries):
    silicon, time_ns = make_silicon(BIG, scale=1e9, median_days=0.01, pulses=(2.0, 3)), DAY_NS
    programmed = (Programmed(0, 0, 1),) * 2
    expired = silicon.held_at(BIG, programmed, time_ns - 1).read_codes()
    wrong = sum(len(silicon.encoding.differing_cells(c, h)) for c, h in zip(BIG.codes, expired, strict=True))
    got = diagnose(Diagnosis(MARCH_C_MINUS, retries, read_only=True), silicon, BIG, programmed, time_ns - 1)
    assert wrong > 30_000
    share_within_3_se(got.found.count, wrong, (1 / 8) ** (retries + 1))


# Devices of a scenario


def device_of(**technology):
    """The cells of a device as a scenario makes them, and a backup of random weights."""
    table = {"preset": "rated_1e4", "fabrication_rate": 1e-3, **technology}
    group = {
        "count": 1, "network": "mlp", "technology": table, "site": "hot_box",
        "schedule": {"kind": "never"},
    }  # fmt: skip
    scenario = Scenario.model_validate({"name": "test", "horizon_s": "1 y", "group": {"g": group}})
    hardware = real.Hardware.of(scenario.group["g"])
    rng = np.random.default_rng(2)
    layers = hardware.architecture.crossbar_layers
    model = Model.quantised(
        hardware.architecture,
        [rng.uniform(-1, 1, (layer.fan_in, layer.fan_out)) for layer in layers],
        [np.zeros(layer.fan_out) for layer in layers],
    )
    return real.make_silicon(scenario.group["g"], hardware, scenario, "g", 0), model


@pytest.mark.parametrize(
    "technology",
    [
        {},
        {"bits_per_cell": 2, "wear_stuck_between_share": 0.5},
        {"bits_per_cell": 2, "drift": "conductance", "drift_sd_us": 1.0, "drift_sd_1s_us": 1.0},
        {"bits_per_cell": 2, "soft_fault_step": "level", "retention_median_s": "1 y"},
    ],
    ids=["one_bit", "two_bits", "drift", "level_by_level"],
)
def test_a_read_only_diagnosis_leaves_only_the_stuck_cells_wrong(technology):
    silicon, model = device_of(**technology)
    time_ns = 300 * DAY_NS
    programmed = tuple(Programmed(0, 0, 1) for _ in silicon.banks)
    stuck = silicon.stuck_map(programmed, time_ns)
    before = silicon.held_at(model, programmed, time_ns).read_codes()
    wrong = [silicon.encoding.differing_cells(c, h) for c, h in zip(model.codes, before, strict=True)]
    got = diagnose(Diagnosis(MARCH_C_MINUS, read_only=True), silicon, model, programmed, time_ns)
    assert got.again == sum(map(len, wrong)) > 0 < got.found.count < stuck.count
    if technology.keys() & {"drift", "retention_median_s"}:
        assert got.again > 2 * got.found.count, "many are cured"
    assert got.found.new_since(stuck) == 0
    for layer, codes in enumerate(model.codes):
        differing = silicon.encoding.levels_of(codes, stuck.cells[layer]) != stuck.values[layer]
        assert got.found.cells[layer].tolist() == stuck.cells[layer][differing].tolist()
        assert got.found.values[layer].tolist() == stuck.values[layer][differing].tolist()
    # A March test finds the others, too.
    assert diagnose(Diagnosis(MARCH_C_MINUS), silicon, model, programmed, time_ns).found == stuck
