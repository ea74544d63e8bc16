"""A small fleet of real devices: skip-ahead and stepped leave the same records, seen as they happen."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lifesim.crossbar.programming import Programmed
from lifesim.experiment.executors import InProcessExecutor
from lifesim.fleet.records import DeviceRecord, State
from lifesim.fleet.simulation import FleetRecord, make_plans, piling_up, simulate
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Scenario

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
OVERRIDES = [
    "seed=1",
    "horizon_s=1 y",
    "report_interval_s=1 d",
    "spec.tolerance=0.01",
    "group.cameras.schedule={kind='periodic', interval_s='7 d'}",
    "group.cameras.workload={reloads_per_day={fc2=288, fc3=288}}",
    "group.cameras.count=2",
    "group.cameras.technology={preset='rated_1e4', endurance_scale_cycles=2e6, read_noise=0.01}",
    "group.cameras.aet={pictures=4, rereads=1}",
    "cloud.retraining.steps=5",
    "cloud.service={kind='lognormal', median_s='5 d', sigma_ln=0.5}",
]


ADVERSE = (
    "group.cameras.link={preset='lorawan_sf7', truncation=0.4, outages_per_year=100, outage_mean_s='6 h'}",
    "group.cameras.backhaul=gateway",
    "backhaul={gateway={uplink_bps=300, downlink_bps=200}}",
    "cloud.order=worst_first",
    "cloud.expires_after_s=1 h",
    "cloud.outages_per_year=60",
    "cloud.outage_mean_s=1 d",
    "group.cameras.technology.endurance_scale_cycles=1e6",
    "group.cameras.count=3",
    "horizon_s=200 d",
)
"""Everything between device and cloud goes wrong now and then."""


def scenario(*more: str) -> Scenario:
    return load_scenario(QUICKSTART, [*OVERRIDES, *more])


def live(scenario: Scenario, **options) -> FleetRecord:
    return simulate(scenario, make_plans(scenario), InProcessExecutor(), **options)


def as_written(left: Programmed) -> tuple:
    """Return what a bank's programmings left, to be compared by value."""
    extra = [part.tolist() for part in left.extra.merged()]
    patches = [(p.cells.tolist(), p.time_ns, p.ordinal, p.idle) for p in left.patches]
    return replace(left, extra=None, patches=()), extra, patches


def as_told(record: DeviceRecord) -> tuple:
    """Return all that accounting reads of a record; snapshots by what their cells hold in the end."""
    segments = [(s.state, s.start_ns, s.end_ns, s.known, s.first_visit, s.end_visit) for s in record.segments]
    stretches = [
        (
            s.start_ns,
            s.end_ns,
            s.snapshot.held_at(s.end_ns).condition.key,
            [as_written(p) for p in s.snapshot.programmed],
        )
        for s in record.stretches
    ]
    return segments, stretches, record.events, record.missed_visits


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("group.cameras.policy={while_waiting='offline'}",),
        ("group.cameras.schedule={kind='readback', interval_s='9 d', alarm_cells=20}",),
        ("group.cameras.schedule={kind='march_scrub', interval_s='40 d'}",),
        ("group.cameras.schedule={kind='blind_refresh', interval_s='40 d'}",),
        ("group.cameras.schedule={kind='never'}",),
        ("group.cameras.policy={retire_after=1}", "group.cameras.technology.endurance_scale_cycles=2e5"),
        ADVERSE,
        ("group.cameras.policy.diagnosis={read_only=true, refresh=false, retries=1}",),
        (
            "group.cameras.policy.diagnosis={test='mats_plus', levels='all', retries=1}",
            "group.cameras.technology.bits_per_cell=2",
            "group.cameras.technology.verify_pulses_mean=2",
            "group.cameras.technology.verify_pulses_most=8",
        ),
    ],
    ids=[
        "periodic",
        "offline",
        "readback",
        "march_scrub",
        "blind_refresh",
        "never",
        "retired",
        "adverse",
        "read_only",
        "two_bit_cells",
    ],
)
def test_stepped_and_skip_ahead_leave_the_same_records(more: tuple[str, ...]) -> None:
    skipped, stepped = live(scenario(*more)), live(scenario(*more), stepped=True)
    # Not the lists themselves: working out how such long ones differ, for the report, would take for ever.
    pairs = zip(skipped.devices, stepped.devices, strict=True)
    assert not [one.device for one, other in pairs if as_told(one) != as_told(other)]
    assert (skipped.cloud, skipped.cloud_busy_ns) == (stepped.cloud, stepped.cloud_busy_ns)
    kinds = {e.kind for r in skipped.devices for e in r.events}
    if "never" in str(more) or "blind" in str(more):
        assert kinds <= {"refresh"}
    else:
        assert {"diagnosis", "job"} <= kinds
    assert ("retirement" in kinds) == ("retire_after" in str(more))
    if "diagnosis" in str(more):
        assert "tried_again" in kinds
        assert ("refresh" in kinds) == ("refresh=false" not in str(more) or "drift_suspected" in kinds)
    if more is ADVERSE:
        assert {"map_damaged", "redeployment_damaged", "job_expired", "reprogramming"} <= kinds


def test_between_device_and_cloud_no_byte_is_lost_track_of() -> None:
    fleet = live(scenario(*ADVERSE))
    ways = {"map": "up", "request": "up", "redeployment": "down", "notice": "down"}
    for record in fleet.devices:
        told: Counter[tuple[str, str]] = Counter()
        for event in record.events:
            what, _, how = event.kind.partition("_")
            if what in ways:
                told[ways[what], how] += event.amount
                if how in ("received", "damaged"):
                    assert int(event.detail) >= event.amount  # on the air
        for way in ("up", "down"):
            assert told[way, "sent"] == told[way, "received"] + told[way, "damaged"] + told[way, "lost"]
    cloud = fleet.cloud
    assert cloud.submitted == sum(e.kind == "job" for r in fleet.devices for e in r.events)
    assert cloud.expired == sum(e.kind == "job_expired" for r in fleet.devices for e in r.events) > 0
    assert cloud.submitted >= cloud.started + cloud.expired and cloud.started >= cloud.finished


def test_whoever_watches_sees_it_happen() -> None:
    times_ns: list[int] = []
    records: list[DeviceRecord] = []
    events_seen: list[int] = []

    def on_progress(now_ns: int) -> None:
        times_ns.append(now_ns)
        events_seen.append(sum(len(record.events) for record in records))

    fleet = live(scenario("horizon_s=100 d"), on_progress=on_progress, on_record=records.append)
    assert records == fleet.devices and [r.device for r in records] == [0, 1]
    assert times_ns == sorted(times_ns) and times_ns[-1] == fleet.horizon_ns
    assert len(set(times_ns)) == len(times_ns) > 100
    assert events_seen == sorted(events_seen) and 0 < events_seen[0] < events_seen[-1]


def test_devices_are_numbered_through_the_groups_in_their_order() -> None:
    base = scenario("horizon_s=10 d", "group.cameras.schedule={kind='never'}")
    two = base.model_copy(update={"group": {"b": base.group["cameras"], "a": base.group["cameras"]}})
    fleet = live(two)
    assert [(r.device, r.group) for r in fleet.devices] == [(0, "b"), (1, "b"), (2, "a"), (3, "a")]
    assert list(fleet.plans) == ["b", "a"]


def test_a_fleet_that_is_never_visited_serves_all_the_time() -> None:
    fleet = live(scenario("group.cameras.schedule={kind='never'}"))
    for record in fleet.devices:
        (segment,), (stretch,) = record.segments, record.stretches
        assert (segment.state, segment.start_ns, segment.end_ns) == (State.SERVING, 0, fleet.horizon_ns)
        assert (stretch.start_ns, stretch.end_ns) == (0, fleet.horizon_ns)
        assert not record.events and not record.missed_visits


def test_a_horizon_of_a_second() -> None:
    fleet = live(scenario("horizon_s=1 s", "report_interval_s=1 s"))
    assert [r.segments[-1].end_ns for r in fleet.devices] == [10**9, 10**9]


def test_garbage_is_looked_for_as_often_as_before_when_the_run_is_over_or_has_failed():
    usual = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), piling_up():
        assert gc.get_threshold()[0] > usual[0] and gc.get_threshold()[1:] == usual[1:]
        raise ZeroDivisionError
    assert gc.get_threshold() == usual
