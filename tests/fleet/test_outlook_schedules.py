"""What `lifesim validate` foretells of each schedule: how often it visits, what that costs, wears and cures."""

import math

import pytest

from lifesim.fleet.clock import to_ns
from lifesim.fleet.hardware import Hardware, make_schedule, operation_table
from lifesim.fleet.outlook import outlook
from lifesim.scenario.models import Scenario
from lifesim.timeunits import S_PER_DAY, S_PER_YEAR

OVEN = {"preset": "indoor", "mean_c": 85, "season_amplitude_c": 0, "day_amplitude_c": 0, "self_heating_c": 0}


def scenario(schedule, **changes):
    """An MLP in an oven at the reference temperature; fc1 is reloaded every 5 minutes."""
    group = {
        "count": 10, "network": "mlp", "site": OVEN, "workload": {"reloads_per_day": {"fc1": 288}},
        "technology": {"preset": "rated_1e4", "endurance_spread_sigma_ln": 0}, "schedule": schedule, **changes,
    }  # fmt: skip
    return Scenario.model_validate({"name": "test", "horizon_s": "10 y", "group": {"g": group}})


def foretold(schedule, **changes):
    """The duty, the operations and the times between rewrites of the layers (s)."""
    (group,) = outlook(scenario(schedule, **changes)).groups
    rewritten = {row.layer: row.rewritten_every_s for row in group.layers if row.mechanism == "wear"}
    return group.duty, group.operations, rewritten


@pytest.mark.parametrize(
    ("schedule", "days", "operation"),
    [
        ({"kind": "adaptive", "interval_s": "1 d", "longest_s": "60 d"}, 60, "aet_read"),
        ({"kind": "sentinel", "interval_s": "6 h"}, 0.25, "check"),
        ({"kind": "sentinel", "interval_s": "6 h", "sums": "crossbar"}, 0.25, "check"),
        ({"kind": "reload_verify", "interval_s": "2 d"}, 2, None),
    ],
)
def test_tests_that_find_nothing_cost_their_reads(schedule, days, operation):
    duty, operations, rewritten = foretold(schedule)
    cost = operation and getattr(operations, operation)
    assert duty.interval_s == days * S_PER_DAY
    assert duty.visit.latency_ns == (cost.latency_ns if cost else 0)
    assert duty.share_of_time == duty.visit.latency_ns / to_ns(days * S_PER_DAY)
    assert duty.cycles_per_year == 0 and duty.rewritten_every_s == math.inf
    assert rewritten == {"fc1": 300.0, "fc2": math.inf, "fc3": math.inf}


def test_a_rare_full_test_wears_and_cures_at_its_own_interval():
    duty, operations, rewritten = foretold(
        {"kind": "opportunistic", "interval_s": "1 d", "full_interval_s": "90 d"}
    )
    assert duty.interval_s == S_PER_DAY and duty.visit == operations.aet_read
    full_ns = operations.diagnosis.latency_ns + operations.programming.latency_ns
    full_ns += 4 * operations.aet_read.latency_ns  # the baseline
    assert duty.share_of_time == pytest.approx(
        (operations.aet_read.latency_ns + full_ns / 90) / to_ns(S_PER_DAY)
    )
    assert duty.cycles_per_year == pytest.approx(6 * 365 / 90)
    assert duty.rewritten_every_s == pytest.approx(90 * S_PER_DAY)
    assert rewritten["fc1"] == 300 and rewritten["fc2"] == pytest.approx(90 * S_PER_DAY)


def test_a_read_only_scrub_reads_and_writes_nothing_while_nothing_is_wrong():
    duty, operations, rewritten = foretold({"kind": "march_scrub", "interval_s": "7 d", "read_only": True})
    assert duty.visit.latency_ns == operations.readback.latency_ns
    assert duty.cycles_per_year == 0 and rewritten["fc2"] == math.inf


@pytest.mark.parametrize("test", ["aet", "march"])
def test_the_hazard_spreads_what_a_nominal_device_expects(test):
    schedule = {"kind": "hazard", "interval_s": "1 d", "longest_s": "1 y", "faults": 500, "test": test}
    duty, operations, _ = foretold(schedule)
    (group,) = outlook(scenario({"kind": "never"})).groups
    expected = sum(
        row.faulty[-1] for row in group.layers if row.mechanism == "wear" or math.isinf(row.rewritten_every_s)
    )
    assert expected > 40_000
    assert duty.interval_s == pytest.approx(10 * S_PER_YEAR / (expected / 500), rel=1e-6)
    writes = 6 if test == "march" else 0
    assert duty.cycles_per_year == pytest.approx(writes * S_PER_YEAR / duty.interval_s)
    assert foretold(schedule | {"faults": 1e9})[0].interval_s == S_PER_YEAR
    assert foretold(schedule | {"faults": 1e-3})[0].interval_s == S_PER_DAY


def test_the_oracle_costs_nothing_and_may_call_the_cloud():
    duty, _, rewritten = foretold({"kind": "oracle"})
    assert (duty.interval_s, duty.share_of_time, duty.cycles_per_year) == (None, 0.0, 0.0)
    assert outlook(scenario({"kind": "oracle"})).cloud_load > 0
    assert outlook(scenario({"kind": "never"})).cloud_load == 0


def test_the_oracle_s_resolution_is_that_of_the_measurement():
    of = scenario({"kind": "oracle"}).model_copy(update={"report_interval_s": 20.0 * S_PER_DAY})
    schedule = make_schedule(of.group["g"], of)
    assert (schedule.interval_ns, schedule.judged_ns) == (to_ns(S_PER_DAY), to_ns(20 * S_PER_DAY))


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ({"kind": "sentinel", "interval_s": "1 ms", "sums": "crossbar"}, None),
        ({"kind": "adaptive", "interval_s": "1 ms"}, "interval_s = 0.001: must be longer than a visit of adaptive"),
        ({"kind": "opportunistic", "interval_s": "1 s", "idle_hours": 1},
         "interval_s = 1: leaves 0.0417 s between two visits, which must be longer than a visit of opportunistic"),
        ({"kind": "hazard", "interval_s": "50 ms", "faults": 1, "test": "march"},
         "interval_s = 0.05: must be longer than a visit of hazard"),
    ],
)  # fmt: skip
def test_visits_must_fit_into_the_time_between_them(schedule, problem):
    of = scenario(schedule)
    operations = operation_table(of.group["g"], Hardware.of(of.group["g"]))
    assert 42_000_000 < operations.diagnosis.latency_ns + operations.programming.latency_ns
    if problem is None:
        outlook(of)
        return
    with pytest.raises(Exception, match=problem):
        outlook(of)


@pytest.mark.parametrize(("reloads", "warned"), [({"fc1": 288}, False), ({"fc1": 0}, True), ({}, True)])
def test_reloads_that_never_come_tell_nothing(reloads, warned):
    of = scenario({"kind": "reload_verify", "interval_s": "1 d"}, workload={"reloads_per_day": reloads})
    line = "group g: reload_verify sees nothing, as no layer is reloaded"
    assert (line in outlook(of).warnings) is warned
