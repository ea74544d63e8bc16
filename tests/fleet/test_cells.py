"""From a technology to cells: layers that share a bank against brute force; endurance stated in three ways; what defects, disturb, drift do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.programming import Programmed
from lifesim.errors import UserError
from lifesim.fleet.cells import (
    encoding_of,
    endurance_of,
    make_layout,
    read_disturb_of,
    wear_of,
    write_verify_of,
)
from lifesim.fleet.hardware import Hardware, make_silicon
from lifesim.fleet.silicon import Snapshot
from lifesim.network.architecture import CrossbarLayer
from lifesim.physics.distributions import Lognormal, failed_share
from lifesim.scenario.models import Scenario
from lifesim.scenario.presets import preset_names
from lifesim.scenario.technology import Technology
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
YEAR_NS = 365 * DAY_NS
NEW = Programmed(0, 0, 1)


def technology(**keys):
    return Technology.model_validate({"preset": "rated_1e4", **keys})


def scenario(cells, workload=None, site="indoor", network="mlp", **keys):
    group = {
        "count": 1, "network": network, "technology": {"preset": "mature_28nm", **cells}, "site": site,
        "workload": workload or {}, "schedule": {"kind": "never"}, **keys,
    }  # fmt: skip
    return Scenario.model_validate({"name": "test", "horizon_s": "10 y", "group": {"g": group}})


def silicon(of, slot=0, **options):
    group = of.group["g"]
    return make_silicon(group, Hardware.of(group), of, "g", slot, **options)


# -- where layers lie --

sizes = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4)), min_size=2, max_size=4)


@settings(deadline=None, max_examples=40)
@given(sizes, st.data())
def test_layers_in_one_bank_share_its_cells_from_the_first_on(shapes, data):
    """Each cell of the bank is written once a swap by every layer that is large enough to use it."""
    layers = [CrossbarLayer(f"l{i}", a, b, 1) for i, (a, b) in enumerate(shapes)]
    together = data.draw(st.lists(st.sampled_from([la.name for la in layers]), min_size=2, unique=True))
    layout = make_layout(layers, SLC, dict.fromkeys(together, 24.0), [together])
    cells = {layer.name: 16 * layer.weights for layer in layers}
    for layer, regions in zip(layers, layout.regions, strict=True):
        places = [(r.bank, cell) for r in regions for cell in range(layout.banks[r.bank].n_cells)]
        assert len(places) == cells[layer.name] == len(set(places))
        assert [r.first_cell for r in regions] == np.cumsum(
            [0, *(layout.banks[r.bank].n_cells for r in regions[:-1])]
        ).tolist()
    alone = [i for i, la in enumerate(layers) if la.name not in together]
    for i in alone:
        (region,) = layout.regions[i]
        assert layout.banks[region.bank].layers == (i,) and layout.banks[region.bank].reloads_per_day == 0.0
    # The bank that is shared is as large as the largest of its layers, and a cell's users are those that reach it.
    largest = max((i for i in range(len(layers)) if i not in alone), key=lambda i: cells[layers[i].name])
    cell = 0
    for region in layout.regions[largest]:
        bank = layout.banks[region.bank]
        for _ in range(bank.n_cells):
            users = [i for i in range(len(layers)) if i not in alone and cells[layers[i].name] > cell]
            assert list(bank.layers) == users
            cell += 1
    assert sum(bank.last_of for bank in layout.banks) == len(layers)


def test_a_shared_bank_wears_with_each_of_its_layers_and_a_stuck_cell_touches_them_all():
    workload = {"reloads_per_day": {"fc2": 288, "fc3": 288}, "banks": {"swapped": ["fc2", "fc3"]}}
    wear = {"endurance_scale_cycles": 2e6, "endurance_spread_sigma_ln": 0.0}
    shared, own = (
        silicon(scenario(wear, w)) for w in (workload, {"reloads_per_day": workload["reloads_per_day"]})
    )
    assert [b.n_cells for b in shared.banks] == [784 * 64 * 16, 32 * 10 * 16, 64 * 32 * 16 - 32 * 10 * 16]
    assert [b.n_cells for b in own.banks] == [784 * 64 * 16, 64 * 32 * 16, 32 * 10 * 16]
    time_ns = 5 * YEAR_NS
    now = [b.at(NEW, time_ns) for b in shared.banks]
    swaps = 5 * 365 * 288
    assert [p.operations for p in now] == [1, 1 + 2 * swaps, 1 + swaps]
    found = shared.stuck_map(tuple(now), time_ns)
    _, fc2, fc3 = found.cells
    assert len(fc3) > 20 and set(fc3.tolist()) == {c for c in fc2.tolist() if c < shared.banks[1].n_cells}
    for bank, swapped in zip(shared.banks[1:], (2 * swaps, swaps), strict=True):
        share = failed_share(bank.wear.limits, 1 + swapped)
        stuck = len(bank.stuck_at(bank.at(NEW, time_ns), time_ns)[0])
        assert abs(stuck - bank.n_cells * share) < 3 * math.sqrt(bank.n_cells * share * (1 - share))


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ({"banks": {"b": ["fc2", "fc3"]}}, "must be reloaded, equally often"),
        (
            {"banks": {"b": ["fc2", "fc3"]}, "reloads_per_day": {"fc2": 2, "fc3": 3}},
            "must be reloaded, equally often",
        ),
        ({"banks": {"b": ["fc2", "fc9"]}}, "no layer fc9; allowed: fc1, fc2, fc3"),
    ],
)
def test_what_cannot_share_a_bank_is_refused(workload, message):
    with pytest.raises(ValueError, match=message):
        scenario({}, workload)


# -- technologies --


@pytest.mark.parametrize("name", preset_names("technology"))
def test_every_technology_makes_a_device(name):
    of = scenario({"preset": name})
    made = silicon(of)
    held = Snapshot(made, None, tuple(NEW for _ in made.banks)).silicon.stuck_map((NEW,) * 3, 0)
    assert held.encoding == encoding_of(of.group["g"].technology)
    assert (held.count > 1000) == (name == "raw_4mb")


@pytest.mark.parametrize("shape", [1.5, 2.0, 3.0])
def test_a_tail_point_is_on_the_distribution(shape):
    """1 ppm by 1e4 cycles: shape 1.5 or 3 instead of 2 changes the stuck cells of ten years 10-fold and 60-fold."""
    limits = endurance_of(
        technology(endurance_tail_ppm=1.0, endurance_tail_cycles=1e4, endurance_shape=shape)
    )
    assert failed_share(limits, 1e4) == pytest.approx(1e-6)
    stuck = 6_888_000 * failed_share(limits, 3650 * 288)
    assert stuck == pytest.approx({1.5: 7_430, 2.0: 75_800, 3.0: 4.7e6}[shape], rel=0.02)


def test_a_lognormal_endurance_by_its_median_or_its_tail():
    by_median = endurance_of(
        technology(endurance_distribution="lognormal", endurance_median_cycles=5e6, endurance_sigma_ln=0.3)
    )
    assert failed_share(by_median, 5e6) == pytest.approx(0.5)
    by_tail = endurance_of(
        technology(
            endurance_distribution="lognormal",
            endurance_tail_ppm=1350.0,
            endurance_tail_cycles=1e6,
            endurance_sigma_ln=0.5,
        )  # fmt: skip
    )
    assert failed_share(by_tail, 1e6) == pytest.approx(1350e-6)
    assert by_tail.median == pytest.approx(1e6 * math.exp(3 * 0.5), rel=1e-3), "1350 ppm is 3 sigma"


def test_more_pulses_and_half_reloads_wear_as_the_technology_says():
    t = technology(verify_pulse_wear_share=0.5, reload_wear_share=0.25, verify_pulses_mean=9.0)
    wear = wear_of(t, endurance_of(t))
    assert wear.exposure(Programmed(0, 9, 10, reloads=8)) == pytest.approx(5.0 * (2 + 0.25 * 8))
    assert write_verify_of(technology()).pulses_per_cell == 8.0


def test_read_voltage_moves_and_spreads_disturb_as_published():
    """Ten times the pulses for 60 mV less; a spread of 10 mV adds ln(10)/6 to sigma."""
    at_01 = read_disturb_of(technology(disturb_median_pulses=1e8, read_voltage_v=0.1))
    assert at_01.median == pytest.approx(4.64e9, rel=1e-3)
    spread = read_disturb_of(technology(disturb_median_pulses=1e8, read_voltage_sigma_v=0.01))
    assert spread.sigma_ln == pytest.approx(math.hypot(1.0, math.log(10) / 6))
    assert read_disturb_of(technology()) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"bits_per_cell": 2, "encoding": "twos_complement"}, "no two's complement"),
        ({"encoding": "paper_bits"}, "is for two-bit cells"),
        ({"drift": "conductance"}, "two-bit cells only"),
        ({"half_select_median": 10.0}, "access transistor"),
        ({"endurance_tail_ppm": 1.0}, "is missing; it belongs to endurance_tail_ppm"),
        ({"endurance_distribution": "lognormal", "endurance_median_cycles": 1e5}, "is missing; a lognormal"),
        ({"endurance_sigma_ln": 0.5}, "does not belong to a weibull"),
        (
            {"endurance_scale_cycles": 1e5, "endurance_tail_ppm": 1.0, "endurance_tail_cycles": 1e4},
            "not both",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(keys, message):
    with pytest.raises((ValueError, UserError), match=message):
        technology(**keys)


def test_two_bit_cells_lie_in_half_as_many_cells_offset():
    assert encoding_of(technology(bits_per_cell=2)) == Encoding(2, offset=True)
    assert encoding_of(technology(bits_per_cell=2, encoding="paper_bits")) == Encoding(2, offset=False)
    hardware = Hardware.of(scenario({"bits_per_cell": 2}).group["g"])
    assert hardware.layer_cells == (784 * 64 * 8, 64 * 32 * 8, 32 * 10 * 8)


# -- each mechanism alone --


def faulty(of, time_ns, slots=20):
    """Stuck and expired cells of devices, and how many cells one has."""
    stuck, expired = [], []
    for slot in range(slots):
        made = silicon(of, slot)
        faults = [b.faults_at(NEW, time_ns) for b in made.banks]
        stuck.append(sum(len(f.stuck) for f in faults))
        expired.append(sum(len(f.expired) for f in faults))
    return np.array(stuck), np.array(expired), sum(b.n_cells for b in made.banks)


def test_fabrication_leaves_as_many_cells_as_its_rate_and_more_unevenly_if_they_cluster():
    slots, rate = 40, 1e-3
    even, _, n = faulty(scenario({"fabrication_rate": rate}), 0, slots)
    clustered, _, _ = faulty(scenario({"fabrication_rate": rate, "fabrication_clustering": 0.3}), 0, slots)
    binomial_sd = math.sqrt(n * rate * (1 - rate))
    assert abs(even.mean() - n * rate) < 3 * binomial_sd / math.sqrt(slots)
    assert clustered.std() > 2 * even.std()


def test_lines_fail_as_often_as_stated_and_take_their_cells_along():
    of = scenario({"line_failures_per_year": 5.0})
    lines = [len(b.defects) for slot in range(60) for b in silicon(of, slot).banks]
    expected = 60 * 5.0 * 10
    assert abs(sum(lines) - expected) < 3 * math.sqrt(expected)
    first = min((d for b in silicon(of).banks for d in b.defects), key=lambda d: d.time_ns)
    stuck = [
        sum(len(b.stuck_at(NEW, time_ns)[0]) for b in silicon(of).banks)
        for time_ns in (first.time_ns - 1, first.time_ns)
    ]
    assert stuck == [0, len(first.cells)] and 1 <= len(first.cells) <= 128


def test_a_replacement_starts_with_its_own_defects_and_its_lines_whole():
    of = scenario({"line_failures_per_year": 50.0, "fabrication_rate": 1e-4})
    first, second = silicon(of), silicon(of, generation=1, born_ns=5 * YEAR_NS)
    born = [[d.time_ns for d in b.defects if d.time_ns] for b in second.banks]
    assert all(t > 5 * YEAR_NS for times in born for t in times) and any(born)
    assert not np.array_equal(first.banks[0].defects[0].cells, second.banks[0].defects[0].cells)


def test_reads_disturb_as_many_cells_as_pulses_say():
    """60 inferences an hour at 0.1 V: the lognormal at the pulses of a year, layer by layer."""
    of = scenario(
        {"preset": "busy_reads", "disturb_spread_sigma_ln": 0.0, "read_voltage_v": 0.2},
        {"inferences_per_hour": 60.0},
        network="lenet",
    )
    limits = read_disturb_of(of.group["g"].technology)
    made = silicon(of)
    ones, positions = (0.0815, 0.510, 0.491, 0.175), (576, 64, 1, 1)
    for bank, share, n in zip(made.banks, ones, positions, strict=True):
        pulses = 365 * 24 * 60 * n * 16 * share
        expected = bank.n_cells * float(failed_share(limits, pulses))
        found = len(bank.faults_at(NEW, YEAR_NS).soft[1].cells)
        assert abs(found - expected) <= 3 * math.sqrt(max(expected, 1.0))
    assert len(made.banks[0].faults_at(NEW, YEAR_NS).soft[1].cells) > 1000, "conv1 sees most pulses"


def test_programming_disturbs_neighbours_on_a_passive_array_only():
    """Row by row: the cell in row r, column c of a tile is half-selected (C - 1 - c) + (R - 1 - r) times after its own write."""
    of = scenario({"preset": "passive_crossbar", "half_select_median": 2e4}, network="mlp")
    hardware = Hardware.of(of.group["g"])
    later = Lognormal(2e4, 1.0)
    expected, variance = 0.0, 0.0
    for plan in hardware.layout.banks:
        tile, row, column = plan.tiling.place(np.arange(plan.n_cells))
        rows, columns = plan.tiling.extents(tile)
        share = failed_share(later, 8.0 * ((columns - 1 - column) + (rows - 1 - row)))
        expected, variance = expected + share.sum(), variance + (share * (1 - share)).sum()
    found = faulty(of, 0, 12)[1]
    assert expected > 500
    assert abs(found.mean() - expected) < 3 * math.sqrt(variance / len(found))
    assert faulty(scenario({"preset": "vendor_40nm"}), 0, 3)[1].max() == 0


def test_a_hotter_site_expires_more_cells_and_the_direction_is_the_technologys():
    cells = {"retention_median_s": "1 y"}
    cool, hot = (faulty(scenario(cells, site=site), YEAR_NS, 2)[1].mean() for site in ("indoor", "hot_box"))
    assert hot > 5 * max(cool, 1.0)
    for state, level in (("hrs", 0), ("lrs", 1)):
        made = silicon(scenario({**cells, "retention_fails_to": state}, site="hot_box"))
        assert {s.fails_to for s in made.banks[0].faults_at(NEW, YEAR_NS).soft} == {level}
