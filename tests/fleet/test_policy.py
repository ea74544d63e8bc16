"""What a device does by policy, told by hand: when it calls the cloud, what it lets pass, what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from exponential import ExponentialTwin, NoCuts, live

from lifesim.crossbar.cost import Writing
from lifesim.crossbar.faults import FaultMap
from lifesim.detection.schedules import Finding, MarchScrub, Outcome, Periodic
from lifesim.fleet.policy import Policy
from lifesim.fleet.records import Grid, State

INTERVAL, READ, MARCH, REWRITE = 100, 10, 20, 5


def fault_map(count: int) -> FaultMap:
    return FaultMap.of([np.arange(count)], [np.ones(count)])


class ScriptedTwin(ExponentialTwin):
    """Each March test finds one more stuck cell, as long as there are ``faults``; a visit's score is ``scores`` of its number."""

    sees_ahead = False

    def __init__(self, faults: int = 0, scores: tuple[int, ...] = (), started_ns: int = 0):
        super().__init__(1, 1e12, started_ns)
        self.faults, self.scores, self.found = faults, scores, 0
        self.asked: list[bool] = []
        self.programmings: list[str] = []

    def first_alarm(self, times_ns, least_score=0):
        for position, time_ns in enumerate(times_ns):
            visit = (time_ns - 1) // INTERVAL
            score = self.scores[visit] if visit < len(self.scores) else 0
            if score > 0 and score >= least_score:
                return Finding(position, Outcome.ALARM, 1, score)
        return None

    def diagnose(self, known):
        self.found = min(self.found + 1, self.faults)
        return fault_map(self.found), 0

    def install(self, message, known, sent):
        return message

    def next_writing(self, changes_only):
        self.asked.append(changes_only)
        return Writing(5, 1 if changes_only else self.programming_ns)

    def program(self, time_ns):
        super().program(time_ns)
        self.programmings.append("all")

    def program_changes(self, time_ns):
        super().program(time_ns)
        self.programmings.append("changed")

    def interrupt(self, time_ns, done_ns, latency_ns, changes_only):
        self.programmings.append(f"cut after {done_ns} of {latency_ns}")


@dataclass
class Cloud:
    """Notes when it is called and with how many faults; answers each first call with what ``script`` says: (after so long, in spec or
    None for a job that has expired). A call while a job is pending only brings a map.
    """

    env: object
    script: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    pending: bool = False

    def request(self, device, known):
        self.calls.append((self.env.now, known.count))
        if self.pending or not self.script:
            return
        self.pending = True
        after_ns, in_spec = self.script.pop(0)
        self.env.timeout(after_ns).callbacks.append(lambda _: self.answer(device, in_spec, known))

    def answer(self, device, in_spec, known):
        self.pending = False
        if in_spec is None:
            device.job_expired()
        else:
            device.inbox.succeed(SimpleNamespace(in_spec=in_spec, map_digest=known.digest(), delta=b"delta"))


def lived(policy, schedule=None, stepped=False, *, twin=None, script=(), horizon_ns=1000, **options):
    """Return the record and the cloud. Visits are at 0, 100, 200, ... ns."""
    clouds = []

    def service(env, grid):
        clouds.append(Cloud(env, list(script)))
        return clouds[0]

    schedule = schedule or MarchScrub(INTERVAL)
    visit_ns = READ if isinstance(schedule, Periodic) else 0
    record = live(
        twin or ScriptedTwin(faults=100), schedule, Grid(0, INTERVAL, visit_ns), horizon_ns, stepped=stepped,
        read_ns=READ, diagnosis_ns=MARCH, programming_ns=REWRITE, policy=policy, service=service, **options,
    )  # fmt: skip
    return record, clouds[0]


def states(record):
    return [(s.state.name, s.start_ns, s.end_ns) for s in record.segments]


def times_of(record, kind):
    return [e.time_ns for e in record.events if e.kind == kind]


BOTH = pytest.mark.parametrize("stepped", [False, True])
SCRUBBED = MARCH + REWRITE  # when what a visit began is over


# -- when the cloud is called --


@BOTH
def test_at_once(stepped):
    """Every visit finds a fault: the first call asks for a job, the others bring newer maps."""
    _, cloud = lived(Policy(False, 9), stepped=stepped, horizon_ns=400)
    assert cloud.calls == [(k * INTERVAL + SCRUBBED, k + 1) for k in range(4)]


@BOTH
def test_every_n_counts_what_the_newest_redeployment_does_not_account_for(stepped):
    """Called with 3 faults; the answer comes with 5 known, so the next call is at 6."""
    policy = Policy(False, 9, call_from=3)
    record, cloud = lived(policy, stepped=stepped, script=[(250, True), (10**6, True)])
    assert cloud.calls == [(225, 3), (525, 6), (825, 9)]
    assert times_of(record, "reprogramming") == [475 + REWRITE]


@BOTH
def test_faults_not_yet_worth_a_call_are_known(stepped):
    record, cloud = lived(Policy(False, 9, call_from=3), stepped=stepped, horizon_ns=200)
    assert cloud.calls == []
    assert [s.known for s in record.segments if s.state is State.SERVING] == [False, True, True]


@BOTH
@pytest.mark.parametrize(("quiet_ns", "calls"), [(60, [(85, 1), (185, 2), (285, 3)]), (150, [(375, 3)])])
def test_debounced(stepped, quiet_ns, calls):
    """Three faults, found by the scrubs of three visits; the calm begins when the last of them is over, at 225 ns."""
    twin = ScriptedTwin(faults=3)
    record, cloud = lived(Policy(False, 9, quiet_ns=quiet_ns), stepped=stepped, twin=twin)
    assert cloud.calls == calls
    assert times_of(record, "diagnosis")[:3] == [20, 120, 220]


@BOTH
def test_a_debounced_call_takes_the_device_offline(stepped):
    twin, policy = ScriptedTwin(faults=1), Policy(True, 9, quiet_ns=60)
    record, _ = lived(policy, stepped=stepped, twin=twin, script=[(300, True)], horizon_ns=400)
    assert states(record)[3:] == [
        ("SERVING", 25, 85), ("OFFLINE", 85, 385), ("REPROGRAMMING", 385, 390), ("SERVING", 390, 400),
    ]  # fmt: skip


# -- jobs that expire --


@BOTH
def test_a_job_that_expired_is_asked_for_again_after_the_next_diagnosis(stepped):
    twin = ScriptedTwin(faults=1)
    _, cloud = lived(Policy(False, 9), stepped=stepped, twin=twin, script=[(120, None), (10**6, True)])
    assert cloud.calls == [(25, 1), (225, 1)]


@BOTH
def test_or_after_a_while(stepped):
    policy, twin = Policy(False, 9, retry_after_ns=30), ScriptedTwin(faults=1)
    _, cloud = lived(policy, stepped=stepped, twin=twin, script=[(120, None), (120, None), (10**6, True)])
    assert cloud.calls == [(25, 1), (175, 1), (325, 1)]


@BOTH
def test_an_offline_device_whose_job_expired_comes_back_refreshed(stepped):
    twin = ScriptedTwin(faults=1)
    record, _ = lived(Policy(True, 9), stepped=stepped, twin=twin, script=[(150, None)], horizon_ns=200)
    assert states(record)[3:] == [
        ("OFFLINE", 25, 175), ("REFRESHING", 175, 180), ("SERVING", 180, 200),
    ]  # fmt: skip
    assert record.segments[-1].known, "its fault is still there"
    assert record.missed_visits == [(1, 2)]


# -- the ladder --


class ClimbingTwin(ScriptedTwin):
    """Notes what it is told to write, and shows one score after another when it is judged."""

    def __init__(self, faults, judged):
        super().__init__(faults=faults)
        self.judged = list(judged)
        self.told: list[tuple[str, int]] = []

    def fit(self, known):
        self.told.append(("fit", known.count))

    def place(self, known):
        self.told.append(("place", known.count))

    def judge(self, time_ns):
        return self.judged.pop(0)

    def install(self, message, known, sent):
        assert message.map_digest in sent
        self.told.append(("install", known.count))
        return message


@BOTH
@pytest.mark.parametrize(
    ("judged", "places", "told", "calls"),
    [
        ([9], True, ["fit"], []),
        ([10, 9], True, ["fit", "place"], []),
        ([10, 10], True, ["fit", "place"], [(50, 1)]),
        ([9], False, ["fit"], []),
        ([10], False, ["fit"], [(35, 1)]),
    ],
)
def test_a_rung_is_climbed_only_if_a_test_says_that_the_one_below_is_not_enough(
    stepped, judged, places, told, calls
):
    twin, policy = ClimbingTwin(1, judged), Policy(False, 9, climb_from_score=10, places=places)
    record, cloud = lived(policy, stepped=stepped, twin=twin, horizon_ns=99)
    assert twin.told == [(what, 1) for what in told] and cloud.calls == calls
    assert [(e.time_ns, e.kind, e.amount) for e in record.events if e.kind != "diagnosis"] == [
        (25, "refresh", 0), (35, "judgement", judged[0]), (40, "placement", 0), (50, "judgement", judged[-1]),
    ][: 2 * len(told)]  # fmt: skip
    assert twin.programmings == ["all"] * len(told)
    assert states(record)[2:] == [
        ("REFRESHING", 20, 25), ("TESTING", 25, 35), ("REFRESHING", 35, 40), ("TESTING", 40, 50),
    ][: 2 * len(told)] + [("SERVING", 15 + 15 * len(told) + 5, 99)]  # fmt: skip
    assert record.segments[-1].known == bool(calls)
    # Between two rungs the device is not in use.
    assert [(s.start_ns, s.end_ns) for s in record.stretches][1:] == [(25, 99), (25, 35), (40, 99)][
        len(told) - 1 : 2 * len(told) - 1
    ]


@BOTH
def test_after_a_redeployment_for_an_older_map_the_ladder_begins_anew_although_nothing_new_is_found(stepped):
    """The second fault is found while the cloud works on the first; the test after the redeployment alarms, and the next rung is the cloud again."""

    class Alarming(ClimbingTwin):
        def first_alarm(self, times_ns, least_score=0):
            alarms = [
                t in (10, 110) or "install" in dict(self.told) and self.told[-1][0] == "install"
                for t in times_ns
            ]
            return Finding(alarms.index(True), Outcome.ALARM, 1) if any(alarms) else None

    twin = Alarming(2, [10, 10, 10])
    policy = Policy(False, 1, climb_from_score=10)
    _, cloud = lived(policy, Periodic(INTERVAL), stepped, twin=twin, script=[(200, True)], horizon_ns=500)
    assert twin.told == [("fit", 1), ("fit", 2), ("install", 2), ("fit", 2)]
    assert [known for _, known in cloud.calls] == [1, 2, 2]


# -- retired, replaced, commissioned --


@BOTH
def test_a_retired_device_is_replaced_after_the_lead_time_by_another(stepped):
    twins = []

    def make_twin(generation, time_ns):
        twins.append((generation, time_ns, ScriptedTwin(faults=1, started_ns=time_ns)))
        return twins[-1][2]

    policy = Policy(False, 1, replace_after_ns=250)
    record, cloud = lived(
        policy, stepped=stepped, twin=make_twin, script=[(50, False), (50, True)], horizon_ns=600
    )
    assert [(generation, time_ns) for generation, time_ns, _ in twins] == [(0, 0), (1, 330)]
    assert states(record)[3:] == [
        ("SERVING", 25, 75), ("REPROGRAMMING", 75, 80), ("RETIRED", 80, 330),
        ("SERVING", 330, 400), ("DIAGNOSING", 400, 420), ("REFRESHING", 420, 425),
        ("SERVING", 425, 475), ("REPROGRAMMING", 475, 480), ("SERVING", 480, 500),
        ("DIAGNOSING", 500, 520), ("REFRESHING", 520, 525), ("SERVING", 525, 600),
    ]  # fmt: skip
    assert [s.generation for s in record.stretches] == [0, 0, 0, 1, 1, 1, 1]
    assert cloud.calls == [(25, 1), (425, 1)], "to the replacement its one fault is new"
    assert not record.missed_visits, "of visits while nothing is there, none is missed"
    assert [e.amount for e in record.events if e.kind == "replacement"] == [1]


@BOTH
def test_before_it_is_commissioned_a_device_does_not_exist(stepped):
    record, cloud = lived(Policy(False, 9), stepped=stepped, commissioned_ns=130, horizon_ns=350)
    assert states(record)[:3] == [
        ("UNCOMMISSIONED", 0, 130), ("SERVING", 130, 200), ("DIAGNOSING", 200, 220),
    ]  # fmt: skip
    assert record.stretches[0].start_ns == 130
    assert not record.missed_visits and cloud.calls == [(225, 1), (325, 2)]
    nothing, _ = lived(Policy(False, 9), stepped=stepped, commissioned_ns=130, horizon_ns=100)
    assert states(nothing) == [("UNCOMMISSIONED", 0, 100)] and nothing.stretches == []


# -- which alarms are acted on --


@BOTH
def test_an_alarm_below_the_threshold_is_noted_once_and_repeats_only_above_it(stepped):
    twin = ScriptedTwin(scores=(0, 4, 5, 0, 9, 9, 10, 0))
    record, _ = lived(Policy(False, 9, act_from_score=10), Periodic(INTERVAL), stepped, twin=twin)
    assert [(e.time_ns, e.kind) for e in record.events] == [
        (110, "alarm"), (110, "alarm_tolerated"), (610, "alarm"), (630, "diagnosis"), (635, "refresh"),
    ]  # fmt: skip
    serving = [(s.start_ns, s.end_ns, s.known) for s in record.segments if s.state is State.SERVING]
    assert serving == [(0, 100, False), (110, 600, True), (635, 1000, False)]


@BOTH
def test_while_a_job_is_pending_faults_that_are_known_do_not_lead_to_another_march(stepped):
    """The refresh after a diagnosis sets a baseline that knows the faults; only what looks worse than that is looked into."""

    class Damaged(ScriptedTwin):
        damage = baseline = 0

        def first_alarm(self, times_ns, least_score=0):
            for position, time_ns in enumerate(times_ns):
                if (1 if time_ns < 500 else 2) > self.baseline:
                    return Finding(position, Outcome.ALARM, 1)
            return None

        def read_goldens(self, time_ns):
            self.baseline = 1 if time_ns < 500 else 2

    record, cloud = lived(
        Policy(False, 9), Periodic(INTERVAL), stepped, twin=Damaged(faults=1), baseline_reads=0
    )
    assert times_of(record, "alarm") == [10, 110, 210, 310, 410, 510, 610, 710, 810, 910], (
        "no baseline: always"
    )
    record, cloud = lived(
        Policy(False, 9), Periodic(INTERVAL), stepped, twin=Damaged(faults=2), baseline_reads=1
    )
    assert times_of(record, "diagnosis") == [530], "the first baseline is read before the first visit"
    assert cloud.calls == [(545, 1)]


@BOTH
@pytest.mark.parametrize("refresh", [True, False])
def test_a_baseline_that_is_known_is_not_read(stepped, refresh):
    """Neither at the start nor after a refresh, as long as no stuck cell has been found that it was not worked out for; nor is its time taken.

    What is left in cells that a diagnosis has not rewritten is no device's known state: it is read.
    """

    class Informed(ScriptedTwin):
        def knows_baseline(self, known):
            return known.count == 0

    def baselines(faults, twin=Informed):
        policy = Policy(False, 9, refresh=refresh)
        scores = (0, 1, 0, 0, 0)  # one alarm, at 110
        script = twin(faults, scores)
        return lived(policy, Periodic(INTERVAL), stepped, twin=script, baseline_reads=1)[0]

    after_ns = 110 + MARCH + (REWRITE if refresh else 0)
    assert times_of(baselines(0), "baseline") == ([] if refresh else [after_ns + READ])
    assert times_of(baselines(1), "baseline") == [after_ns + READ]
    read = baselines(0, ScriptedTwin)
    assert times_of(read, "baseline") == [READ, after_ns + READ]

    def testing_ns(record):
        return sum(s.end_ns - s.start_ns for s in record.segments if s.state is State.TESTING)

    assert testing_ns(read) - testing_ns(baselines(0)) == (2 if refresh else 1) * READ


# -- power cuts --


class Cuts:
    def __init__(self, *times_ns):
        self.times_ns = times_ns

    def first_after(self, time_ns):
        return next((t for t in self.times_ns if t > time_ns), None)


@BOTH
@pytest.mark.parametrize(
    ("cuts", "cut", "refreshed"),
    [
        ((20,), [], 25),  # as the rewrite begins: nothing is written yet
        ((21,), [1], 26),
        ((24,), [4], 29),
        ((25,), [], 25),  # as it ends
        ((22, 24, 28), [2, 2, 4], 33),
        ((3, 90), [], 25),  # elsewhere nothing is lost
    ],
)
def test_a_rewrite_that_the_power_cuts_off_begins_again(stepped, cuts, cut, refreshed):
    twin = ScriptedTwin()
    record, _ = lived(Policy(False, 9), stepped=stepped, twin=twin, power_cuts=Cuts(*cuts), horizon_ns=99)
    assert [e.amount for e in record.events if e.kind == "power_cut"] == cut
    assert times_of(record, "refresh") == [refreshed]
    assert twin.programmings == [*(f"cut after {done_ns} of {REWRITE}" for done_ns in cut), "all"]
    assert states(record)[2] == ("REFRESHING", 20, refreshed)
    assert [p.time_ns for p in record.programmings] == [*(c for c in cuts if 20 < c < refreshed), refreshed]


@BOTH
@pytest.mark.parametrize(("changes_only", "end_ns", "last"), [(True, 76, "changed"), (False, 80, "all")])
def test_a_redeployment_writes_all_cells_or_those_that_changed(stepped, changes_only, end_ns, last):
    twin, policy = ScriptedTwin(faults=1), Policy(False, 9, changes_only=changes_only)
    record, _ = lived(
        policy, stepped=stepped, twin=twin, script=[(50, True)], power_cuts=NoCuts(), horizon_ns=99
    )
    assert times_of(record, "reprogramming") == [end_ns]
    assert twin.programmings == ["all", last]


@BOTH
@pytest.mark.parametrize(("cured", "retired"), [(True, False), (False, True)])
def test_drift_in_cells_that_were_not_written_is_not_blamed_on_the_redeployed_model(stepped, cured, retired):
    """The test after the redeployment, at 86 ns, alarms; that after a rewrite of all cells, at 101 ns, need not."""

    class Drifted(ScriptedTwin):
        def first_alarm(self, times_ns, least_score=0):
            alarms = self.programmings[-1:] == ["changed"] or (not cured and "changed" in self.programmings)
            return Finding(0, Outcome.ALARM, 1) if alarms or times_ns[0] == 10 else None

    policy = Policy(False, 1, changes_only=True)
    record, _ = lived(
        policy, Periodic(INTERVAL), stepped, twin=Drifted(faults=1), script=[(50, True)], horizon_ns=150
    )
    redeployed = [e for e in record.events if e.time_ns > 80]
    assert [(e.time_ns, e.kind) for e in redeployed[:4]] == [
        (86, "reprogramming"), (96, "drift_suspected"), (101, "refresh"), (111, "verification" if cured else "alarm"),
    ]  # fmt: skip
    assert bool(times_of(record, "retirement")) == retired
