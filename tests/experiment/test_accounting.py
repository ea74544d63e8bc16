"""Every nanosecond, visit, byte and joule of a fleet, counted again from its records, one by one."""

from __future__ import annotations

import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from lifesim.crossbar.cost import cell_pulses_cost, programming_cost, pulses_cost
from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.programming import Programmed
from lifesim.experiment.accounting import DeviceAccount, account
from lifesim.experiment.energy import energy_by_cause
from lifesim.experiment.observation import Observed, SpecSpan
from lifesim.experiment.schema import COUNTS, EVENT_KINDS, STATES
from lifesim.fleet.hardware import Hardware, make_silicon, operation_table
from lifesim.fleet.link import Direction, Traffic
from lifesim.fleet.records import DeviceRecord, Grid, Segment, State, Stretch
from lifesim.fleet.silicon import Snapshot
from lifesim.scenario.models import Scenario
from lifesim.streams import generator, stream_key

UNLIKELY = {"request_lost", "notice_lost"}  # a few bytes that are under way at the horizon
ELSEWHERE = {"cells_named"}  # it happens in the fleet of test_schedules.py

COUNT = {name: i for i, name in enumerate(COUNTS)}


def totals(ledger: DeviceAccount) -> dict[str, int]:
    return dict(zip(COUNTS, ledger.counts.sum(axis=0).tolist(), strict=True))


def kinds(ledger: DeviceAccount) -> Counter[str]:
    return Counter(event.kind for event in ledger.events)


def test_everything_happens_in_the_fleet_that_these_tests_count(lived) -> None:
    together = {name: sum(totals(a)[name] for a in lived.accounts) for name in COUNTS}
    assert all(together.values()), [name for name, count in together.items() if not count]
    assert (sum(a.time_ns.sum(axis=0) for a in lived.accounts) > 0).all()
    assert {e.kind for a in lived.accounts for e in a.events} == set(EVENT_KINDS) - UNLIKELY - ELSEWHERE


def test_times_add_up_to_the_periods_exactly(lived) -> None:
    for ledger in lived.accounts:
        assert (ledger.time_ns >= 0).all()
        assert ledger.time_ns.sum(axis=1).tolist() == np.diff(lived.edges_ns).tolist()


def tried_again(ledger) -> Counter[int]:
    """Cells that diagnoses tried again, by the time at which the diagnosis ended."""
    return Counter({e.time_ns: e.amount for e in ledger.events if e.kind == "tried_again"})


def test_segments_have_no_gaps(lived) -> None:
    for record in lived.fleet.devices:
        bounds = [(s.start_ns, s.end_ns) for s in record.segments]
        assert bounds[0][0] == 0 and bounds[-1][1] == lived.fleet.horizon_ns
        assert all(a[1] == b[0] for a, b in itertools.pairwise(bounds))


def test_interventions_take_the_time_they_cost(lived) -> None:
    """Times in the states that are not serving, from the events, where the horizon cuts no intervention."""
    checked = 0
    for ledger in lived.plain:
        plan, grid = lived.plans[ledger.record.group], ledger.record.grid
        if ledger.record.segments[-1].state not in (State.SERVING, State.RETIRED, State.OFFLINE):
            continue
        happened, times = kinds(ledger), dict(zip(STATES, ledger.time_ns.sum(axis=0).tolist(), strict=True))
        assert times["diagnosing"] == (
            happened["diagnosis"] * plan.operations.diagnosis.latency_ns
            + sum(tried_again(ledger).values()) * plan.operations.again.latency_ns
        )
        writings = ledger.record.programmings
        assert len(writings) == happened["refresh"] + happened["reprogramming"] + happened["power_cut"]
        assert times["refreshing"] + times["reprogramming"] == sum(
            (cell_pulses_cost if w.single_cells else pulses_cost)(plan.hardware.costs, w.pulses).latency_ns
            for w in writings
        )
        read_ns = {
            "periodic": plan.operations.aet_read.latency_ns,
            "readback": plan.operations.readback.latency_ns,
        }
        read_ns = read_ns.get(plan.group.schedule.kind, 0)
        baseline_reads = plan.group.aet.baseline_reads if plan.group.schedule.kind == "periodic" else 1
        of_events = sum(
            e.amount
            for e in ledger.events
            if e.kind in ("alarm", "unconfirmed_alarm", "verification", "drift_suspected")
        )
        uneventful = totals(ledger)["tests"] - sum(
            happened[k] for k in ("alarm", "unconfirmed_alarm", "verification", "drift_suspected")
        )
        reads = uneventful + of_events + baseline_reads * happened["baseline"]
        begun = 0  # a visit that the horizon cuts
        if grid and read_ns and ledger.record.segments[-1].state is State.SERVING:
            last = grid.start_ns(grid.first_at_or_after(lived.fleet.horizon_ns) - 1)
            begun = max(0, lived.fleet.horizon_ns - last) if lived.fleet.horizon_ns < last + read_ns else 0
        assert times["testing"] == reads * read_ns + begun
        checked += 1
    assert checked > 8


def test_every_visit_of_the_grid_is_counted_once(lived) -> None:
    for ledger in lived.plain:
        record, grid, counts = ledger.record, ledger.record.grid, totals(ledger)
        if grid is None:
            assert counts["tests"] == counts["tests_missed"] == 0
            continue
        retired_ns = [s.start_ns for s in record.segments if s.state is State.RETIRED]
        end_ns = retired_ns[0] if retired_ns else lived.fleet.horizon_ns
        fate = {}
        for segment in record.segments:
            if segment.state is State.SERVING:
                for visit in range(segment.first_visit, segment.end_visit):
                    assert visit not in fate
                    assert segment.start_ns <= grid.start_ns(visit) <= segment.end_ns
                    fate[visit] = "uneventful"
        for first, end in record.missed_visits:
            for visit in range(first, end):
                assert visit not in fate
                fate[visit] = "missed"
                # It fell where the device was doing something else.
                (where,) = [s.state for s in record.segments if s.start_ns <= grid.start_ns(visit) < s.end_ns]
                assert where is not State.SERVING
        eventful = {
            "periodic": ("alarm", "unconfirmed_alarm"),
            "readback": ("alarm",),
            "march_scrub": ("diagnosis",),
        }
        eventful = eventful.get(lived.plans[record.group].group.schedule.kind, ("refresh",))
        # A diagnosis after a failed verification belongs to no visit; it does not happen to the scrubbed.
        visits = sum(e.kind in eventful for e in record.events)
        after_redeployment = (
            sum(e.kind == "reprogramming" for e in record.events) - kinds(ledger)["verification"]
        )
        if [e.kind for e in record.events[-2:]] == ["validation_failed", "retirement"]:
            after_redeployment -= 1  # retired without another test
        if lived.plans[record.group].group.schedule.kind in ("periodic", "readback"):
            visits -= after_redeployment
        begun = grid.first_at_or_after(end_ns)
        assert len(fate) + visits == begun
        assert set(fate) <= set(range(begun))
        assert counts["tests_missed"] == sum(what == "missed" for what in fate.values())


def test_tests_are_passed_or_have_an_event(lived) -> None:
    for ledger in lived.accounts:
        record, counts, happened = ledger.record, totals(ledger), kinds(ledger)
        passed = 0
        if record.grid and record.grid.visit_ns:
            ended = record.grid.ended_by(lived.fleet.horizon_ns)
            passed = sum(
                max(0, min(s.end_visit, ended) - s.first_visit)
                for s in record.segments
                if s.state is State.SERVING
            )
        assert counts["tests"] == passed + sum(
            happened[k] for k in ("alarm", "unconfirmed_alarm", "verification", "drift_suspected")
        )
        assert counts["tests_passed_out_of_spec"] <= passed


def test_alarms_are_true_early_or_false_and_lead_to_one_diagnosis_each(lived) -> None:
    for ledger in lived.plain:
        counts, happened = totals(ledger), kinds(ledger)
        assert happened["alarm"] == counts["alarms_true"] + counts["alarms_early"] + counts["alarms_false"]
        if lived.plans[ledger.record.group].group.schedule.kind != "march_scrub":
            life = [e for e in ledger.events if e.kind in ("alarm", "diagnosis")]
            operations, again = lived.plans[ledger.record.group].operations, tried_again(ledger)
            diagnosis_ns = operations.diagnosis.latency_ns
            # The alarm that retires a device is not diagnosed any more; one at the horizon may not be yet.
            ended = (
                happened["retirement"]
                or life[-1:]
                and life[-1].time_ns > lived.fleet.horizon_ns - diagnosis_ns
            )
            assert len(life) % 2 == 0 or (ended and life[-1].kind == "alarm")
            pairs = zip(life[::2], life[1::2], strict=False)
            assert all(
                (a.kind, d.kind) == ("alarm", "diagnosis")
                and d.time_ns - a.time_ns == diagnosis_ns + again[d.time_ns] * operations.again.latency_ns
                for a, d in pairs
            )


def test_a_true_alarm_follows_time_out_of_spec(lived) -> None:
    """Also where the device left the spec so late that bisection ended at the alarm itself."""
    for ledger in lived.plain:
        starts = [s.start_ns for s in ledger.record.stretches]
        for event in ledger.events:
            if event.kind == "alarm" and event.detail == "true":
                spans = ledger.observed.spans[np.searchsorted(starts, event.time_ns) - 1]
                assert spans[-1].end_ns == event.time_ns
                assert not spans[-1].in_spec and spans[-1].start_ns < event.time_ns


def test_bytes_sent_are_received_or_lost_and_equal_the_link_s(lived) -> None:
    assert len(lived.links) > 1
    for ledger in lived.plain:
        link = lived.links.get(ledger.record.device)
        counts = totals(ledger)
        for direction, name in ((Direction.UP, "uplink"), (Direction.DOWN, "downlink")):
            sent, received, lost = (counts[f"{name}_{what}_bytes"] for what in ("sent", "received", "lost"))
            assert sent == received + lost
            traffic = link.traffic[direction] if link else Traffic()
            assert (sent, received, lost) == (traffic.sent, traffic.received, traffic.lost)


def test_jobs_end_in_order(lived) -> None:
    """No device asks again before it has been answered; what is asked late is unanswered at the horizon."""
    cycle = (
        "job",
        "retraining_start",
        "retraining_end",
        "redeployment_sent",
        "redeployment_received",
        "reprogramming",
    )
    for ledger in lived.plain:
        asked = [e.kind for e in ledger.events if e.kind in (*cycle, "job_expired")]
        while "job_expired" in asked:  # nothing comes of it, and another may follow
            expired = asked.index("job_expired")
            assert asked[expired - 1] == "job"
            del asked[expired - 1 : expired + 1]
        assert asked == [cycle[i % len(cycle)] for i in range(len(asked))]
        if kinds(ledger)["retirement"]:
            assert len(asked) % len(cycle) == 0
    assert lived.fleet.cloud.submitted == sum(totals(a)["jobs"] for a in lived.accounts)
    assert lived.fleet.cloud.finished == sum(totals(a)["retrainings"] for a in lived.accounts)


def test_nothing_happens_to_the_retired(lived) -> None:
    retired = [a for a in lived.plain if kinds(a)["retirement"]]
    assert retired
    for ledger in retired:
        assert ledger.events[-1].kind == "retirement"
        after = int(
            np.searchsorted(lived.edges_ns, ledger.events[-1].time_ns)
        )  # the first period that is wholly after it
        assert (
            not ledger.counts[after:].any()
            and not energy_by_cause(ledger, lived.plans[ledger.record.group])[after:].any()
        )


def test_wear_from_reloads_and_interventions_one_by_one(lived) -> None:
    for ledger in lived.plain:
        record, counts, plan = ledger.record, totals(ledger), lived.plans[ledger.record.group]
        cells = np.array([16 * layer.weights for layer in plan.model.architecture.crossbar_layers])
        reloads = np.zeros(len(cells), np.int64)
        for i, layer in enumerate(plan.model.architecture.crossbar_layers):
            per_day = plan.group.workload.reloads_per_day.get(layer.name, 0)
            if per_day:
                period_ns = round(86_400e9 / per_day)
                reloads[i] = sum(s.end_ns // period_ns - s.start_ns // period_ns for s in record.stretches)
        happened = kinds(ledger)
        assert ledger.reloads.sum(axis=0).tolist() == reloads.tolist()
        assert counts["reloads"] == reloads.sum()
        per_cell = 5 * happened["diagnosis"] + happened["refresh"]
        models = [stretch.snapshot.model for stretch in record.stretches]
        changed = sum(
            len(SLC.differing_cells(a, b))
            for before, after in itertools.pairwise(models)
            for a, b in zip(before.codes, after.codes, strict=True)
        )
        assert bool(changed) == bool(happened["reprogramming"])
        assert counts["cell_writes"] == reloads @ cells + per_cell * cells.sum() + changed


def test_layers_that_share_cells_count_and_cost_as_much_as_layers_that_do_not() -> None:
    days, reloads_per_day = 30, {"fc2": 288, "fc3": 288}
    group = {
        "count": 1, "network": "mlp", "technology": "rated_1e4", "site": "indoor", "schedule": {"kind": "never"},
        "workload": {"reloads_per_day": reloads_per_day, "banks": {"swapped": ["fc2", "fc3"]}},
    }  # fmt: skip
    scenario = Scenario.model_validate({"name": "s", "horizon_s": f"{days} d", "group": {"g": group}})
    hardware, horizon_ns = Hardware.of(scenario.group["g"]), days * 86_400 * 10**9
    silicon = make_silicon(scenario.group["g"], hardware, scenario, "g", 0)
    snapshot = Snapshot(silicon, None, tuple(Programmed(0, 0, 1) for _ in silicon.banks))
    record = DeviceRecord(
        "g",
        0,
        None,
        stretches=[Stretch(0, horizon_ns, snapshot)],
        segments=[Segment(State.OFFLINE, 0, horizon_ns)],
    )
    operations = operation_table(scenario.group["g"], hardware)
    ledger = account(
        record, Observed([], [[]], [[]]), SimpleNamespace(hardware=hardware), [0, horizon_ns // 3, horizon_ns]
    )
    assert ledger.counts[:, COUNT["reloads"]].tolist() == [2 * 288 * days // 3, 2 * 288 * days * 2 // 3]
    joules = ledger.reloads.sum(axis=0) @ [cost.energy_j for cost in operations.reload]
    once = programming_cost(hardware.costs, hardware.architecture.crossbar_layers[1:])
    assert joules == pytest.approx(288 * days * once.energy_j)


def test_wear_never_decreases(lived) -> None:
    for ledger in lived.accounts:
        assert (ledger.counts >= 0).all()
        assert (ledger.reloads >= 0).all()
        if ledger not in lived.plain:
            continue  # replaced
        stuck = [sample.stuck_cells for sample in ledger.observed.samples]
        assert stuck == sorted(stuck)


def test_events_fall_into_the_period_that_ends_with_or_after_them(lived) -> None:
    for ledger in lived.accounts:
        for kind, count in (("diagnosis", "diagnoses"), ("refresh", "refreshes"), ("job", "jobs")):
            expected = np.zeros(len(lived.edges_ns) - 1, np.int64)
            for event in ledger.events:
                if event.kind == kind:
                    expected[
                        next(i for i, edge in enumerate(lived.edges_ns[1:]) if event.time_ns <= edge)
                    ] += 1
            assert ledger.counts[:, COUNT[count]].tolist() == expected.tolist()


# -- serving, nanosecond by nanosecond, where visits are long and everything is cut by everything --


class NoWear:
    """A snapshot of cells that nobody writes."""

    def written_at(self, time_ns: int) -> tuple[int, np.ndarray]:
        return 1, np.array([0])


@pytest.mark.parametrize("seed", range(40))
def test_visits_that_are_cut_by_report_times_and_crossings(seed: int) -> None:
    rng = generator(stream_key("test serving", seed))
    horizon_ns = 200
    interval_ns = int(rng.integers(5, 40))
    grid = Grid(int(rng.integers(interval_ns)), interval_ns, int(rng.integers(1, interval_ns)))
    start_ns = int(rng.integers(60))  # serving begins after an intervention, maybe in the middle of a visit
    edges_ns = [0, *sorted(rng.choice(np.arange(1, horizon_ns), 4, replace=False).tolist()), horizon_ns]
    cuts_ns = [0, *sorted(rng.choice(np.arange(1, horizon_ns), 3, replace=False).tolist()), horizon_ns]
    spans = [SpecSpan(a, b, i % 2 == 0) for i, (a, b) in enumerate(itertools.pairwise(cuts_ns))]
    known = bool(rng.integers(2))
    first, end = grid.first_at_or_after(start_ns), grid.first_at_or_after(horizon_ns)
    record = DeviceRecord(
        "made up",
        0,
        grid,
        segments=[
            Segment(State.REFRESHING, 0, start_ns),
            Segment(State.SERVING, start_ns, horizon_ns, known, first, end),
        ],
        stretches=[Stretch(0, horizon_ns, NoWear())],
        missed_visits=[(0, first)],
    )
    bank = SimpleNamespace(layers=(0,), last_of=1)
    plan = SimpleNamespace(hardware=SimpleNamespace(layout=SimpleNamespace(banks=[bank])), usage=None)
    ledger = account(record, Observed([], [spans], [[]]), plan, edges_ns)

    visits = [(grid.start_ns(v), grid.end_ns(v)) for v in range(first, end)]
    for period, (a_ns, b_ns) in enumerate(itertools.pairwise(edges_ns)):
        expected: Counter[str] = Counter()
        for t in range(a_ns, b_ns):
            if t < start_ns:
                expected["refreshing"] += 1
            elif any(begun <= t < ended for begun, ended in visits):
                expected["testing"] += 1
            else:
                in_spec = next(s.in_spec for s in spans if s.start_ns <= t < s.end_ns)
                expected["in_spec" if in_spec else "out_known" if known else "out_silent"] += 1
        assert dict(zip(STATES, ledger.time_ns[period].tolist(), strict=True)) == {
            s: expected[s] for s in STATES
        }
        ended = [e for _, e in visits if a_ns < e <= b_ns]
        silent = [e for e in ended if not next(s.in_spec for s in spans if s.start_ns < e <= s.end_ns)]
        assert ledger.counts[period, COUNT["tests"]] == ledger.reads[period] == len(ended)
        assert ledger.counts[period, COUNT["tests_passed_out_of_spec"]] == len(silent)
    assert totals(ledger)["tests_missed"] == first
