"""What `lifesim validate` foretells: closed forms by hand, simulated silicon, and each warning on either side of its threshold."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import types

import numpy as np
import pytest

from lifesim.cli import main
from lifesim.crossbar.programming import Programmed
from lifesim.errors import UserError
from lifesim.fleet.clock import to_ns
from lifesim.fleet.cloud import queue_load
from lifesim.fleet.hardware import Hardware, make_silicon
from lifesim.fleet.outlook import (
    HARMFUL,
    NOTICEABLE,
    cloud_load,
    cloud_warning,
    duration,
    mean_service_s,
    number,
    outlook,
)
from lifesim.fleet.service import lognormal_service
from lifesim.physics.distributions import Lognormal, failed_share
from lifesim.scenario.models import Scenario
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY, S_PER_YEAR

OVEN = {"preset": "indoor", "mean_c": 85, "season_amplitude_c": 0, "day_amplitude_c": 0, "self_heating_c": 0}
CELLS = {"fc1": 784 * 64 * 16, "fc2": 64 * 32 * 16, "fc3": 32 * 10 * 16}


def technology(**changes):
    return {"preset": "rated_1e4", "endurance_spread_sigma_ln": 0, "retention_spread_sigma_ln": 0, **changes}


def group(**changes):
    """An MLP in an oven at the reference temperature, where its clock shows the time; fc1 is reloaded every 5 minutes."""
    schedule = {"kind": "periodic", "interval_s": "7 d"}
    workload = {"reloads_per_day": {"fc1": 288}}
    return {
        "count": 10, "network": "mlp", "technology": technology(), "site": OVEN, "workload": workload, "schedule": schedule, **changes
    }  # fmt: skip


def scenario(*groups, **changes):
    groups = {f"g{number}": table for number, table in enumerate(groups or [group()])}
    return Scenario.model_validate(
        {"name": "test", "seed": 3, "horizon_s": "10 y", "group": groups, **changes}
    )


def every(kind, interval="7 d"):
    return {"kind": kind, "interval_s": interval}


def rows(expected, group_number=0):
    return {(row.layer, row.mechanism): row for row in expected.groups[group_number].layers}


def warnings_about(*groups, **changes):
    """Return the warnings, but for the one that all of these hard-worked devices deserve."""
    every_line = outlook(scenario(*groups, **changes)).warnings
    return tuple(line for line in every_line if "extrapolated" not in line)


# -- cells --


def test_layers_by_hand():
    expected = outlook(scenario())
    assert expected.times_s == (S_PER_YEAR, 5 * S_PER_YEAR, 10 * S_PER_YEAR)
    by_row = rows(expected)
    assert {layer: by_row[layer, "wear"].cells for layer in CELLS} == CELLS
    wear = by_row["fc1", "wear"]
    shares = [1 - math.exp(-(((1 + 288 * 365 * years) / 1e7) ** 2)) for years in (1, 5, 10)]
    assert wear.faulty == pytest.approx([CELLS["fc1"] * share for share in shares])
    assert wear.faulty_per_year == pytest.approx(wear.faulty[-1] / 10)
    assert wear.cycles_per_year == pytest.approx(288 * 365)
    for share, time_s in ((NOTICEABLE, wear.noticeable_s), (HARMFUL, wear.harmful_s)):
        assert time_s == pytest.approx((1e7 * math.sqrt(-math.log1p(-share)) - 1) * 300)
    resident = by_row["fc2", "drift"]
    normal = [0.5 * math.erfc(-math.log(years / 2) / math.sqrt(2)) for years in (1, 5, 10)]
    assert resident.faulty == pytest.approx([CELLS["fc2"] * share for share in normal])
    assert resident.harmful_s == pytest.approx(2 * S_PER_YEAR * math.exp(-3.0902323), rel=1e-5)
    assert resident.rewritten_every_s == by_row["fc2", "wear"].harmful_s == math.inf
    reloaded = by_row["fc1", "drift"]
    assert reloaded.rewritten_every_s == 300
    assert reloaded.faulty[0] == pytest.approx(reloaded.faulty[-1])
    assert reloaded.harmful_s == math.inf


def test_the_rewrites_of_a_schedule_wear_and_cure():
    for schedule, cycles in ((every("blind_refresh"), 1), (every("march_scrub"), 6)):
        by_row = rows(outlook(scenario(group(schedule=schedule))))
        assert by_row["fc2", "wear"].cycles_per_year == pytest.approx(cycles * 365 / 7)
        assert by_row["fc1", "wear"].cycles_per_year == pytest.approx(288 * 365 + cycles * 365 / 7)
        assert by_row["fc2", "drift"].rewritten_every_s == 7 * S_PER_DAY
        assert by_row["fc1", "drift"].rewritten_every_s == 300


def test_a_horizon_below_a_year_stands_alone():
    expected = outlook(scenario(horizon_s="0.5 y"))
    assert expected.times_s == (S_PER_YEAR / 2,)
    wear = rows(expected)["fc1", "wear"]
    assert wear.faulty_per_year == pytest.approx(2 * wear.faulty[0])


def test_simulated_silicon_has_the_faults_that_were_expected():
    """30 devices without spread, never repaired: stuck and expired cells of each layer within 3 standard errors at each time."""
    devices, a_scenario = 30, scenario(group(schedule={"kind": "never"}))
    expected = outlook(a_scenario)
    fresh = Programmed(0, 0, 1)
    silicon = [
        make_silicon(a_scenario.group["g0"], Hardware.of(a_scenario.group["g0"]), a_scenario, "g0", slot)
        for slot in range(devices)
    ]
    for at, time_s in enumerate(expected.times_s):
        for number_of_layer, layer in enumerate(CELLS):
            faults = [s.banks[number_of_layer].faults_at(fresh, to_ns(time_s) - 1) for s in silicon]
            counts = {"wear": [len(f.stuck) for f in faults], "drift": [len(f.expired) for f in faults]}
            for mechanism, found in counts.items():
                row = rows(expected)[layer, mechanism]
                mean, share = row.faulty[at], row.faulty[at] / row.cells
                if mean * devices < 0.1:
                    assert sum(found) == 0
                else:
                    assert abs(np.mean(found) - mean) < 3 * math.sqrt(mean * (1 - share) / devices)


# -- what visits cost --


@pytest.mark.parametrize(
    ("schedule", "parts", "cycles"),
    [
        (every("periodic"), ["aet_read"], 0),
        (every("readback"), ["readback"], 0),
        (every("march_scrub"), ["diagnosis", "programming"], 6),
        (every("blind_refresh"), ["programming"], 1),
        ({"kind": "never"}, [], 0),
    ],
)
def test_a_visit_lasts_as_long_as_what_it_does(schedule, parts, cycles):
    expected = outlook(scenario(group(schedule=schedule))).groups[0]
    latency_ns = sum(getattr(expected.operations, part).latency_ns for part in parts)
    assert expected.duty.visit.latency_ns == latency_ns
    assert expected.duty.share_of_time == pytest.approx(latency_ns / to_ns(7 * S_PER_DAY))
    assert expected.duty.cycles_per_year == pytest.approx(cycles * 365 / 7)


@pytest.mark.parametrize(
    ("diagnosis", "parts", "cycles"),
    [
        ({"test": "mats_plus"}, ["diagnosis", "programming"], 4),
        ({"read_only": True}, ["diagnosis", "programming"], 1),
        ({"read_only": True, "refresh": False}, ["diagnosis"], 0),
    ],
)
def test_a_scrub_does_what_the_diagnosis_does(diagnosis, parts, cycles):
    scrubbed = group(schedule=every("march_scrub"), policy={"diagnosis": diagnosis})
    expected = outlook(scenario(scrubbed)).groups[0]
    latency_ns = sum(getattr(expected.operations, part).latency_ns for part in parts)
    assert expected.duty.visit.latency_ns == latency_ns
    assert expected.duty.cycles_per_year == pytest.approx(cycles * 365 / 7)
    rewritten_s = {row.rewritten_every_s for row in expected.layers if row.layer == "fc2"}
    assert rewritten_s == {7 * S_PER_DAY if cycles else math.inf}


# -- the cloud --


def service(**settings):
    return {"workers": 2, "service": settings}


def test_mean_service_times():
    drawn = scenario(cloud=service(kind="lognormal", median_s=30, sigma_ln=0.5))
    assert mean_service_s(drawn) == pytest.approx(30 * math.exp(0.125))
    assert mean_service_s(scenario(cloud=service(kind="fixed", time_s=12))) == 12
    work = {"workers": 1, "service": {"kind": "work", "step_time_s": 0.5}, "retraining": {"steps": 80}}
    assert mean_service_s(scenario(cloud=work)) == 40
    draw = lognormal_service(30, 0.5, lambda job: stream_key(1, job.device))
    times = [draw(types.SimpleNamespace(device=0, ordinal=n)) / 1e9 for n in range(3000)]
    assert abs(np.mean(times) - mean_service_s(drawn)) < 3 * np.std(times) / math.sqrt(len(times))


def test_load_is_bounded_by_the_visits_where_every_visit_finds_new_stuck_cells():
    worn = group(technology=technology(endurance_scale_cycles=1e6))
    expected = 10 * 60 / (2 * (7 * S_PER_DAY + 60))
    assert cloud_load(scenario(worn, cloud=service(kind="fixed", time_s=60))) == pytest.approx(expected)


def test_load_is_bounded_by_the_stuck_cells_where_few_visits_find_any():
    """By hand: the hazard of the last of 10 years, with 7 cycles a visit (March 5, refresh 1, reprogramming 1) besides the reloads."""
    tough = group(technology=technology(endurance_scale_cycles=2e8, endurance_spread_sigma_ln=0.3))
    stuck = 0.0
    for layer, cells in CELLS.items():
        cycles = 7 * 365 / 7 + (288 * 365 if layer == "fc1" else 0)
        stuck += cells * (((1 + 10 * cycles) / 2e8) ** 2 - ((1 + 9 * cycles) / 2e8) ** 2)
    tau_s = S_PER_YEAR / (stuck * math.exp(0.5 * (2 * 0.3) ** 2))
    assert tau_s > 7 * S_PER_DAY
    load = cloud_load(scenario(tough, cloud=service(kind="fixed", time_s=3600)))
    assert load == pytest.approx(queue_load(10, tau_s, 3600, 2))


def test_the_mean_over_the_spread_stays_below_the_bound():
    """400 devices with spread: new stuck cells in the last year, on average, against those that the bound allows."""
    spread = group(
        technology=technology(endurance_scale_cycles=1e8, endurance_spread_sigma_ln=0.3),
        schedule=every("periodic", "1 ms"),
    )
    a_scenario = scenario(spread, cloud=service(kind="fixed", time_s=1))
    load = cloud_load(a_scenario)
    calls_per_s = load / (10 / 2 - load)  # rho = N D / (c (tau + D)), D = 1 s, solved for 1 / tau
    gained = [
        sum(
            len(bank.stuck_at(Programmed(0, 0, 10 * 288 * 365), 0)[0])
            - len(bank.stuck_at(Programmed(0, 0, 9 * 288 * 365), 0)[0])
            for bank in silicon.banks[:1]
        )
        for silicon in (
            make_silicon(a_scenario.group["g0"], Hardware.of(a_scenario.group["g0"]), a_scenario, "g0", n)
            for n in range(400)
        )
    ]
    assert 0 < np.mean(gained) < calls_per_s * S_PER_YEAR


def test_groups_add_up_and_schedules_that_never_call_have_no_load():
    one = cloud_load(scenario())
    assert one > 0
    assert cloud_load(scenario(group(), group())) == pytest.approx(2 * one)
    for schedule in ({"kind": "never"}, every("blind_refresh")):
        assert cloud_load(scenario(group(schedule=schedule))) == 0
        assert cloud_load(scenario(group(), group(schedule=schedule))) == pytest.approx(one)
    for kind in ("readback", "march_scrub"):
        assert cloud_load(scenario(group(schedule=every(kind)))) > 0


def test_load_is_finite_where_no_cell_survives_the_first_programming():
    hopeless = group(
        technology=technology(endurance_scale_cycles=1e-40, endurance_shape=20, endurance_spread_sigma_ln=5)
    )
    dead = scenario(hopeless, cloud=service(kind="fixed", time_s=60))
    assert cloud_load(dead) == pytest.approx(10 * 60 / (2 * (7 * S_PER_DAY + 60)))


@pytest.mark.parametrize(("count", "warned"), [(898, False), (902, True)])
def test_the_cloud_warns_from_a_load_of_nine_tenths(count, warned):
    """One worker, jobs of a day, calls every 999 days: N / 1000."""
    worn = group(
        count=count, technology=technology(endurance_scale_cycles=1e5), schedule=every("periodic", "999 d")
    )
    cloud = {"workers": 1, "service": {"kind": "fixed", "time_s": "1 d"}}
    busy = scenario(worn, group(schedule={"kind": "never"}), cloud=cloud)
    assert cloud_load(busy) == pytest.approx(count / 1000)
    line = cloud_warning(busy)
    assert (line is not None) == warned
    assert [w for w in outlook(busy).warnings if w.startswith("cloud")] == ([line] if warned else [])
    if warned:
        assert line == (
            "cloud: load of at most 0.902 in the worst year, an upper bound (902 devices, 1 d a job, workers: 1); from 0.9 the cloud "
            "might let jobs wait long"
        )


# -- warnings --


@pytest.mark.parametrize(("years", "warned"), [(9.5, False), (9.6, True)])
@pytest.mark.parametrize(
    "tail", [{}, {"endurance_scale_cycles": None, "endurance_tail_ppm": 1.0, "endurance_tail_cycles": 1e4}]
)
def test_wear_far_beyond_the_rating_is_said_to_be_extrapolated(
    years: float, warned: bool, tail: dict
) -> None:
    """288 reloads a day make a million, a hundred times the rated 1e4, in 9.51 years."""
    worn = group(technology=technology(**tail), schedule={"kind": "never"})
    lines = [
        line for line in outlook(scenario(worn, horizon_s=f"{years} y")).warnings if "extrapolated" in line
    ]
    assert bool(lines) == warned
    if warned:
        assert (
            "the cells of fc1 have 1.01M cycles" in lines[0] and "the 10k by which 1 in a million" in lines[0]
        )


def test_nothing_to_warn_of():
    mild = technology(retention_median_s="40 y")
    assert warnings_about(group(technology=mild)) == ()


def test_a_mechanism_that_cannot_matter():
    """The rule: below one faulty cell in the whole network. 1 - exp(-(x / scale)^2) of fc1's 802,816 cells, x = 1,051,201."""
    threshold = 1_051_201 * math.sqrt(CELLS["fc1"])
    for scale, warned in ((threshold * 1.01, True), (threshold * 0.99, False)):
        lines = warnings_about(
            group(technology=technology(retention_median_s="40 y", endurance_scale_cycles=scale))
        )
        assert bool(lines) == warned
        if warned:
            assert lines == (
                "group g0: wear cannot matter: 0.98 of 841k cells expected to be faulty by the horizon of 10 y",
            )
    everlasting = technology(retention_median_s="1e9 y")
    assert warnings_about(group(technology=everlasting)) == (
        "group g0: drift cannot matter: <0.01 of 841k cells expected to be faulty by the horizon of 10 y",
    )
    levels = {"preset": "mlc_cmo_hfox", "retention_median_s": "1e9 y"}
    (line,) = warnings_about(group(technology=levels))  # no cell loses its state, but levels move
    assert line.startswith("group g0: wear cannot matter")


def test_a_mechanism_that_is_faster_than_the_schedule():
    """Half of the resident cells expire in 14 d: 7 d after the programming it is Phi(ln(1/2)) = 24.4 %, 26 % later at most."""
    (line,) = warnings_about(group(technology=technology(retention_median_s="14 d")))
    assert line == (
        "group g0: drift is faster than the schedule: up to 25.59% of the cells of fc3 become faulty between two visits 7 d "
        "apart, over 0.1% from the start on (likewise fc2)"
    )


@pytest.mark.parametrize(("share", "warned"), [(0.00095, False), (0.00105, True)])
def test_rewritten_within_the_interval_counts_the_worst_age(share, warned):
    """A blind refresh every 30 d cuts drift off at 30 d: the share by then is chosen on either side of 0.1 %."""
    z = {0.00095: -3.10559, 0.00105: -3.07557}[share]
    weak = technology(retention_median_s=30 * S_PER_DAY * math.exp(-z))
    lines = warnings_about(group(technology=weak, schedule=every("blind_refresh", "30 d")))
    assert any("drift is faster" in line for line in lines) == warned


def test_wear_that_only_later_outruns_the_schedule():
    """With a visit a year fc1 gains (105,120 / 1e7)^2 ((k + 1)^2 - k^2) in the year after k, over 0.1 % from k = 5 on; most in the last."""
    slow = technology(retention_median_s="40 y", endurance_scale_cycles=1e7)
    lines = warnings_about(group(technology=slow, schedule=every("periodic", "1 y")))
    share = math.exp(-((9 * 0.010512) ** 2)) - math.exp(-((10 * 0.010512) ** 2))
    assert [line for line in lines if "wear" in line] == [
        f"group g0: wear is faster than the schedule: up to {share:.2%} of the cells of fc1 become faulty between two visits "
        "1 y apart, over 0.1% from 5 y after the start on"
    ]


def test_dead_at_birth():
    lines = warnings_about(
        group(technology=technology(endurance_scale_cycles=10), schedule={"kind": "never"})
    )
    assert lines == (
        "group g0: wear is faster than the schedule: up to 1.00% of the cells of fc3 are faulty at birth (likewise fc1, fc2)",
    )
    assert not any("wear" in line for line in warnings_about(group(schedule={"kind": "never"})))


def test_visits_that_take_much_of_the_time():
    for interval, warned in (("100 ms", True), ("200 ms", False)):
        lines = warnings_about(group(schedule=every("periodic", interval)))
        line = "group g0: visits take 1.31% of the time: 1.31 ms every 100 ms"
        assert [line for line in lines if "visits take" in line] == ([line] if warned else [])


# -- how it looks --


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (3.5e-6, "3.5 us"), (300, "5 min"), (364 * 86_400, "364 d"), (3.0149 * S_PER_YEAR, "3.01 y"),
     (1000 * S_PER_YEAR, "1000 y"), (1001 * S_PER_YEAR, "never"), (math.inf, "never")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0099, "<0.01"),
        (0.784, "0.78"),
        (3.456, "3.46"),
        (999.7, "1k"),
        (17_654, "17.7k"),
        (6_400_000, "6.4M"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.fixture
def scenario_file(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text(
        'horizon_s = "10 y"\n'
        '[group.a]\ncount = 100_000\nnetwork = "lenet"\ntechnology = "rated_1e4"\nsite = "hot_box"\n'
        'schedule = { kind = "periodic", interval_s = "7 d" }\nworkload = { reloads_per_day = { fc1 = 288, fc2 = 288 } }\n'
        '[group.b]\ncount = 3\nnetwork = "mlp"\ntechnology = "mature_28nm"\nsite = "indoor"\nschedule = { kind = "never" }\n'
    )
    return path


@pytest.mark.parametrize("columns", ["80", "100"])
def test_validate_fits_the_terminal_and_cuts_no_number_short(scenario_file, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["validate", str(scenario_file)]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    table = [line for line in out.splitlines() if line[:30].rstrip().endswith(("wear", "drift"))]
    assert len(table) == 2 * 4 + 2 * 3
    assert all(len(line) <= int(columns) for line in table)
    warnings = [
        line for line in out.splitlines() if line.startswith("Warning: ") and "extrapolated" not in line
    ]
    assert [line.split(" cannot matter")[0] for line in warnings[:2]] == [
        "Warning: group b: wear",
        "Warning: group b: drift",
    ]
    assert warnings[2].startswith("Warning: cloud: load of at most ") and len(warnings) == 3


def test_torch_is_not_needed():
    code = "import sys; import lifesim.fleet.outlook; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"schedule": {"kind": "periodic", "interval_s": 0.003}}, "schedule.interval_s"),
        ({"schedule": {"kind": "march_scrub", "interval_s": 0.2}}, "schedule.interval_s"),
        ({"schedule": {"kind": "blind_refresh", "interval_s": 0.1}}, "schedule.interval_s"),
        (
            {"workload": {"reloads_per_day": {"conv2": 86_400.0, "fc1": 86_400.0}}, "network": "lenet"},
            "reloads_per_day.fc1",
        ),
    ],
)
def test_what_does_not_fit_into_its_interval_is_refused(changes, key):
    """On the MLP three reads take 3.9 ms, March and refresh 0.23 s, a refresh 0.14 s; LeNet's fc1 is reloaded in 1.06 s."""
    with pytest.raises(UserError, match=re.escape(key)) as error:
        outlook(scenario(group(**changes)))
    assert len(str(error.value).splitlines()) == 1


def test_a_link_that_is_slower_than_the_visits_is_warned_of():
    def lines(link, interval):
        return [
            line
            for line in outlook(scenario(group(link=link, schedule=every("periodic", interval)))).warnings
            if "redeployment" in line
        ]

    # 5 % of 52,544 weights at 3 B and 16 pictures of 784 B: 20.4 kB, 3.4 h at 250 bit/s with headers, loss and 10 % duty.
    assert lines("nb_iot", "1 d") == lines("lorawan_sf12", "4 h") == []
    (line,) = lines("lorawan_sf12", "3 h")
    assert (
        line.startswith("group g0: a redeployment of up to some 20")
        and "longer than the 3 h between two visits" in line
    )


def test_reads_that_disturb_are_expected_as_pulses_say():
    """60 inferences an hour: 9216 input bits at each cell of LeNet's conv1, of which 8.15 % are one."""
    busy = group(network="lenet", technology="busy_reads", workload={"inferences_per_hour": 60})
    a_scenario = scenario(busy)
    expected = outlook(a_scenario)
    (row,) = (r for r in expected.groups[0].layers if (r.layer, r.mechanism) == ("conv1", "disturb"))
    limits = Lognormal(1e8 * 10 ** (0.1 / 0.06), 1.0)
    for time_s, faulty in zip(expected.times_s, row.faulty, strict=True):
        pulses = time_s / 3600 * 60 * 9216 * 0.0815
        assert faulty == pytest.approx(8000 * float(failed_share(limits, pulses)), rel=1e-6)
    idle = outlook(scenario(group(network="lenet", technology="busy_reads")))
    assert {r.mechanism for r in idle.groups[0].layers} == {"wear", "drift"}
