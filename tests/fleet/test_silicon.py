"""What a device's cells hold at any time, against the definition cell by cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.bank import Bank, Wear
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.crossbar.programming import Programmed
from lifesim.crossbar.soft import Retention
from lifesim.fleet.silicon import Silicon, Snapshot
from lifesim.network.architecture import Architecture, Dense, Relu
from lifesim.network.changes import Transitions
from lifesim.network.model import Model
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import CosineProfile, equivalent_time
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
CLOCK = equivalent_time(CosineProfile(85.0), 85.0, 1.1)
NEW = Programmed(0, 0, 1)


def make_model(seed=1):
    architecture = Architecture("small", (1, 2, 2), (Dense("fc1", 3), Relu(), Dense("fc2", 2)))
    rng = np.random.default_rng(seed)
    return Model.quantised(
        architecture, [rng.uniform(-1, 1, (4, 3)), rng.uniform(-1, 1, (3, 2))], [np.zeros(3), np.zeros(2)]
    )


MODEL = make_model()


def make_silicon(key=1, fails_to=0, scale=600.0, median_days=150.0, reload_periods=(None, DAY_NS)):
    wear = Wear(Weibull(scale, 2.0), 0.8)
    retention = Retention(Lognormal(median_days * S_PER_DAY, 1.0), 0.5, fails_to, CLOCK)
    banks = zip(MODEL.codes, reload_periods, strict=True)
    return Silicon.of_layers(
        tuple(
            Bank(stream_key(key, i), 16 * codes.size, wear, (retention,), period)
            for i, (codes, period) in enumerate(banks)
        )
    )


SILICON = st.fixed_dictionaries(
    {
        "key": st.integers(0, 2**64),
        "fails_to": st.integers(0, 1),
        "scale": st.sampled_from([5.0, 600.0, 1e9]),
        "median_days": st.sampled_from([0.5, 150.0, 1e9]),
        "reload_periods": st.tuples(*[st.sampled_from([None, DAY_NS // 3, DAY_NS, 17 * DAY_NS])] * 2),
    }
)
TIMES = st.lists(
    st.integers(0, 730 * DAY_NS) | st.integers(0, 730).map(lambda day: day * DAY_NS), min_size=1, max_size=10
)


def codes_cell_by_cell(faults, fails_to):
    """The definition: a stuck cell shows its value, another that has lost its state the end state, any other
    the backup's bit.
    """
    layers = []
    for codes, layer in zip(MODEL.codes, faults, strict=True):
        values = dict(zip(layer.stuck.tolist(), layer.stuck_values.tolist(), strict=True))
        expired = set(layer.expired.tolist())
        patterns = []
        for weight, code in enumerate(codes.ravel().tolist()):
            pattern = 0
            for bit in range(16):
                cell = 16 * weight + bit
                kept = (code >> bit) & 1
                pattern |= values.get(cell, fails_to if cell in expired else kept) << bit
            patterns.append(pattern - 0x10000 if pattern & 0x8000 else pattern)
        layers.append(np.array(patterns, np.int16).reshape(codes.shape))
    return layers


@settings(deadline=None, max_examples=60)
@given(SILICON, TIMES)
def test_codes_are_what_they_are_by_definition(options, times):
    silicon = make_silicon(**options)
    for time_ns in times:
        held = silicon.held_at(MODEL, (NEW, NEW), time_ns)
        for got, expected in zip(
            held.codes(), codes_cell_by_cell(held.faults, options["fails_to"]), strict=True
        ):
            assert got.dtype == np.int16 and np.array_equal(got, expected)
        assert held.condition.stuck_cells == sum(len(set(f.stuck.tolist())) for f in held.faults)
        assert held.condition.expired_cells == sum(len(set(f.expired.tolist())) for f in held.faults)


@settings(deadline=None, max_examples=30)
@given(SILICON, TIMES, st.lists(st.integers(0, 700), max_size=2, unique=True))
def test_asked_in_any_order_or_daily_the_codes_of_a_moment_are_the_same(options, times, rewritten_on):
    """Also after rewrites from the backup, each of which halts the reloads for a day and wears by six
    operations.
    """
    silicon, programmed, snapshots = make_silicon(**options), (NEW, NEW), [(0, (NEW, NEW))]
    for day in sorted(rewritten_on):
        if day * DAY_NS >= snapshots[-1][0]:
            halted = [b.at(p, day * DAY_NS) for b, p in zip(silicon.banks, programmed, strict=True)]
            programmed = tuple(p.rewritten((day + 1) * DAY_NS, p.operations + 6) for p in halted)
            snapshots.append(((day + 1) * DAY_NS, programmed))

    def ask(device, time_ns):
        programmed = [p for since_ns, p in snapshots if since_ns <= time_ns][-1]
        held = Snapshot(device, MODEL, programmed).held_at(time_ns)
        return held.condition.key, [codes.tolist() for codes in held.codes()]

    answers = [ask(silicon, time_ns) for time_ns in times]
    daily = make_silicon(**options)
    for day in range(0, 731, 5):
        ask(daily, day * DAY_NS)
    assert [ask(daily, time_ns) for time_ns in reversed(times)] == answers[::-1]
    assert [ask(make_silicon(**options), time_ns) for time_ns in times] == answers
    for key, codes in answers:
        assert all(other_codes == codes for other_key, other_codes in answers if other_key == key), (
            "equal keys, equal codes"
        )


@settings(deadline=None, max_examples=30)
@given(SILICON, st.lists(st.integers(0, 3650 * DAY_NS), min_size=2, max_size=8))
def test_wear_never_decreases(options, times):
    silicon = make_silicon(**options)
    snapshot = Snapshot(silicon, MODEL, (NEW, Programmed(DAY_NS, 3, 40)))
    before, stuck = np.zeros(2, np.int64), FaultMap.empty(2)
    for time_ns in sorted(t + DAY_NS for t in times):
        operations = np.array([p.operations for p in snapshot.at(time_ns)])
        assert np.all(operations >= before)
        now = FaultMap.of(
            [f.stuck for f in snapshot.held_at(time_ns).faults],
            [f.stuck_values for f in snapshot.held_at(time_ns).faults],
        )
        assert stuck.new_since(now) == 0
        before, stuck = operations, now
    for period, operations, first in zip(options["reload_periods"], before.tolist(), (1, 40), strict=True):
        assert (
            operations == first + (max(times) + DAY_NS) // period - (first > 1) * (DAY_NS // period)
            if period
            else operations == first
        )


@settings(deadline=None, max_examples=40)
@given(SILICON, st.integers(0, 2000), st.integers(0, 2000))
def test_a_march_test_finds_the_stuck_cells_of_the_operations_so_far(options, one, two):
    silicon = make_silicon(**options)
    programmed = (Programmed(0, 0, one), Programmed(0, 0, two))
    found = silicon.stuck_map(programmed, 0)
    held = silicon.held_at(MODEL, programmed, 0)
    assert [c.tolist() for c in found.cells] == [sorted(f.stuck.tolist()) for f in held.faults]
    assert held.condition.expired_cells == 0
    for got, expected in zip(held.codes(), apply_map(MODEL.codes, found), strict=True):
        assert np.array_equal(got, expected)


def test_without_faults_the_codes_are_the_backups():
    held = make_silicon(scale=1e30, median_days=1e30).held_at(MODEL, (NEW, NEW), 3650 * DAY_NS)
    assert held.condition.stuck_cells == held.condition.expired_cells == 0
    assert all(np.array_equal(a, b) for a, b in zip(held.codes(), MODEL.codes, strict=True))
    assert all(not codes.flags.writeable for codes in held.codes()), "not even copied"


def test_a_reloaded_layer_wears_and_a_resident_one_drifts():
    silicon = make_silicon(scale=400.0, median_days=200.0)
    resident, reloaded = silicon.held_at(MODEL, (NEW, NEW), 300 * DAY_NS + 10**9).faults
    assert len(resident.stuck) == 0 and len(resident.expired) > 50
    assert len(reloaded.stuck) > 20 and len(reloaded.expired) == 0


def test_another_model_is_another_key_on_the_same_silicon():
    silicon, other = make_silicon(), make_model(2)
    one, two = (silicon.held_at(model, (NEW, NEW), 100 * DAY_NS) for model in (MODEL, other))
    assert one.condition.key[0] != two.condition.key[0] and one.condition.key[1:] == two.condition.key[1:]
    assert [f.expired.tolist() for f in one.faults] == [f.expired.tolist() for f in two.faults]


@pytest.mark.parametrize("day", [0, 1, 200])
def test_equal_keys_on_one_device_need_equal_epochs_only_where_something_drawn_has_expired(day):
    """Reloads without faults keep the key, so that observation need not evaluate the network again."""
    silicon = make_silicon(scale=1e30, median_days=1e30, reload_periods=(DAY_NS, DAY_NS))
    assert (
        silicon.held_at(MODEL, (NEW, NEW), day * DAY_NS).condition.key
        == silicon.held_at(MODEL, (NEW, NEW), 0).condition.key
    )


@settings(deadline=None, max_examples=60)
@given(SILICON, TIMES, st.integers(0, 3))
def test_what_stands_over_the_backup_time_after_time(silicon, times, worn):
    """As the cells held at each time by themselves."""
    device, times = make_silicon(**silicon), sorted(times)
    snapshot = Snapshot(device, MODEL, (NEW, Programmed(0, 3, 1 + worn)))
    changes = Transitions(MODEL, device.encoding).between(snapshot.overlays(times), independent=False)
    for state, time_ns in enumerate(times):
        expected = codes_cell_by_cell(snapshot.held_at(time_ns).faults, silicon["fails_to"])
        for mine, wanted in zip(changes.codes_of(state, MODEL.codes), expected, strict=True):
            np.testing.assert_array_equal(mine, wanted)
