"""A device's process: stepped equals skip-ahead, every nanosecond and every visit accounted for, whatever
happens when.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from exponential import ExponentialTwin, live
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.cost import Cost
from lifesim.crossbar.faults import FaultMap
from lifesim.crossbar.monitor import Monitor
from lifesim.detection.schedules import (
    Adaptive,
    BlindRefresh,
    Finding,
    Hazard,
    MarchScrub,
    Never,
    Opportunistic,
    Oracle,
    Outcome,
    Periodic,
    Readback,
    ReloadVerify,
    Sentinel,
    Trip,
    VisitCosts,
)
from lifesim.detection.visits import Chosen
from lifesim.fleet.device import FIRST_WINDOW
from lifesim.fleet.policy import Policy
from lifesim.fleet.records import Grid, State
from lifesim.streams import first_uniform, stream_key


class Message(NamedTuple):
    """A redeployment, as the process sees it."""

    in_spec: bool
    map_digest: bytes
    delta: bytes


class MoodyTwin(ExponentialTwin):
    """Fails, raises alarms for nothing, confirms some, and finds a new stuck cell at some of its March tests.

    What it reads depends on the baseline and on the model, so that a wrong time or order shows.
    """

    sees_ahead = False

    def __init__(self, key, mean_ns, noise, confirmed, new_faults, started_ns=0):
        super().__init__(key, mean_ns, started_ns)
        self._noise, self._confirmed, self._new_faults = noise, confirmed, new_faults
        self._stuck = self._model = self._baseline_ns = 0
        self.halts = []
        self.cut_ns = 0

    def first_alarm(self, times_ns, least_score=0):
        for position, time_ns in enumerate(times_ns):
            failed = self._programming.failure_ns <= time_ns
            score = int(10 * self._chance("score", time_ns))
            if (failed or self._chance("noise", time_ns) < self._noise) and score >= least_score:
                if self._chance("confirm", time_ns) < self._confirmed:
                    return Finding(position, Outcome.ALARM, 3, score, failed)
                return Finding(position, Outcome.UNCONFIRMED, reads=3)
        return None

    def new_wrong_cells(self, times_ns):
        return map(self.cells_named, times_ns)

    def cells_named(self, time_ns):
        return self._wrong(time_ns) - self._wrong(max(self._baseline_ns, self._programming.time_ns))

    def progress(self, time_ns):
        return int(250 * self._wrong(time_ns) * self._chance("progress", time_ns))

    def take_named(self, time_ns, known):
        self._stuck += int(self.cells_named(time_ns))
        self._baseline_ns = time_ns
        return FaultMap.of([np.arange(self._stuck)], [np.ones(self._stuck)])

    def expected_faults(self, since_ns, time_ns, tests=0):
        return (time_ns - since_ns + 5 * tests) * (1 + self._programming.epoch % 3)

    def first_trip(self, times_ns, monitor):
        finding = self.first_alarm(times_ns)
        return finding and Trip(finding.position, finding.without_noise)

    def out_of_spec(self, times_ns):
        return [self._programming.failure_ns <= time_ns for time_ns in times_ns]

    def left_out_of_spec(self):
        return self._chance("left") < 0.3

    def read_goldens(self, time_ns):
        self._baseline_ns = time_ns

    read_back = read_goldens

    def read_sums(self, time_ns, monitor):
        self._baseline_ns = time_ns

    def halt(self, time_ns):
        self.halts.append(time_ns)

    def diagnose(self, known):
        self._stuck += self._chance("stuck", len(self.halts)) < self._new_faults
        return FaultMap.of([np.arange(self._stuck)], [np.ones(self._stuck)]), self._stuck

    def install(self, message, known, sent):
        self._model += 1
        return message

    def program_changes(self, time_ns):
        self.program(time_ns)

    def interrupt(self, time_ns, done_ns, latency_ns, changes_only):
        super().interrupt(time_ns, done_ns, latency_ns, changes_only)
        self.cut_ns += done_ns

    def _wrong(self, time_ns):
        return (time_ns - self._programming.time_ns) * 20 // self._mean_ns

    def _chance(self, *what):
        return first_uniform(stream_key(self.key, self._model, self._baseline_ns, *what))


@dataclass
class Courier:
    """Takes fault maps to the cloud (``transit_ns``) and brings redeployments at instants told as numbers
    from the grid or from the request; some jobs expire instead.
    """

    env: object
    grid: Grid | None
    arrivals: tuple
    transit_ns: int
    in_spec: float
    expired: float = 0.0
    pending: bool = False
    received: FaultMap | None = None
    jobs: int = 0

    def request(self, device, fault_map):
        device.log("map_sent", fault_map.count)
        self._later(self.transit_ns, self._receive, device, fault_map)
        if not self.pending:
            self.pending = True
            self._later(max(self._delay_ns(), self.transit_ns + 1), self._deliver, device)
            self.jobs += 1

    def _receive(self, device, fault_map):
        device.log("map_received", fault_map.count)
        self.received = fault_map

    def _deliver(self, device):
        self.pending = False
        if first_uniform(stream_key("expired", self.jobs)) < self.expired:
            device.log("job_expired")
            device.job_expired()
            return
        device.log("redeployment_received", self.jobs)
        good = first_uniform(stream_key("in spec", self.jobs)) < self.in_spec
        device.inbox.succeed(Message(good, self.received.digest(), b"delta"))

    def _delay_ns(self):
        kind, number, offset_ns = self.arrivals[self.jobs % len(self.arrivals)]
        if kind == "after" or self.grid is None:
            return number * 7 + offset_ns
        visit = self.grid.first_at_or_after(self.env.now + 1) + number
        moment_ns = {"start": self.grid.start_ns(visit), "end": self.grid.end_ns(visit)}[kind]
        return moment_ns + offset_ns - self.env.now

    def _later(self, delay_ns, function, *arguments):
        self.env.timeout(delay_ns).callbacks.append(lambda _: function(*arguments))


SCHEDULES = {
    "periodic": lambda interval_ns: Periodic(interval_ns),
    "readback": lambda interval_ns: Readback(interval_ns, alarm_cells=4),
    "sentinel": lambda interval_ns: Sentinel(interval_ns, Monitor("column", 0.5, 3.5)),
    "reload_verify": lambda interval_ns: ReloadVerify(interval_ns, alarm_cells=4),
    "adaptive": lambda interval_ns: Adaptive(interval_ns, 9 * interval_ns),
    "opportunistic": lambda interval_ns: Opportunistic(24 * interval_ns, 7, idle_hours=(0,)),
    "hazard": lambda interval_ns: Hazard(interval_ns, 3.5 * interval_ns, 3 * interval_ns, march=False),
    "hazard_march": lambda interval_ns: Hazard(interval_ns, 2.5 * interval_ns, 9 * interval_ns, march=True),
    "march_scrub": lambda interval_ns: MarchScrub(interval_ns),
    "blind_refresh": lambda interval_ns: BlindRefresh(interval_ns),
    "never": lambda interval_ns: Never(),
    "oracle": lambda interval_ns: Oracle(interval_ns, 4 * interval_ns + 1),
}

LIVES = st.fixed_dictionaries(
    {
        "schedule": st.sampled_from(["periodic"] * 4 + list(SCHEDULES)),
        "key": st.integers(0, 2**32),
        "interval_ns": st.integers(12, 80),
        "phase_share": st.floats(0, 0.999),
        "read_ns": st.integers(1, 11),
        "diagnosis_ns": st.integers(0, 60),
        "again_ns": st.integers(0, 9),
        "refresh": st.booleans(),
        "programming_ns": st.integers(1, 60),
        "baseline_reads": st.integers(0, 4),
        "mean_ns": st.sampled_from([20.0, 300.0, 3000.0]),
        "noise": st.sampled_from([0.0, 0.02, 0.3]),
        "confirmed": st.sampled_from([0.2, 0.9, 1.0]),
        "new_faults": st.sampled_from([0.0, 0.4, 1.0]),
        "offline": st.booleans(),
        "retire_after": st.sampled_from([1, 3, 1000]),
        "in_spec": st.sampled_from([0.3, 0.9, 1.0]),
        "arrivals": st.lists(
            st.tuples(
                st.sampled_from(["start", "end", "end", "after"]), st.integers(0, 6), st.integers(-3, 3)
            ),
            min_size=1,
            max_size=4,
        ),
        "transit_ns": st.integers(1, 70),
        "horizon_ns": st.integers(1, 6000),
        "expired": st.sampled_from([0.0, 0.0, 0.5]),
        "call_from": st.sampled_from([1, 1, 3]),
        "quiet_ns": st.sampled_from([0, 0, 35, 700]),
        "retry_after_ns": st.sampled_from([None, 1, 333]),
        "replace_after_ns": st.sampled_from([None, 1, 250]),
        "act_from_score": st.sampled_from([0, 0, 6]),
        "changes_only": st.booleans(),
        "commissioned_ns": st.sampled_from([0, 0, 1, 777]),
        "cuts_ns": st.sampled_from([None, None, 40, 900]),
        "sees_ahead": st.booleans(),
    }
)


class Cuts:
    """The power goes every so often, with gaps that a hash tells; never where ``mean_ns`` is None."""

    def __init__(self, mean_ns):
        self.mean_ns = mean_ns

    def first_after(self, time_ns):
        if self.mean_ns is None:
            return None
        period = time_ns // self.mean_ns
        cuts = (self.mean_ns * p + p * 7 % self.mean_ns for p in (period, period + 1, period + 2))
        return next(cut for cut in cuts if cut > time_ns)


def record_of(life, stepped):
    """Return the record and the instants at which the twins were halted."""
    life = {
        "expired": 0.0, "call_from": 1, "quiet_ns": 0, "retry_after_ns": None, "replace_after_ns": None,
        "act_from_score": 0, "changes_only": False, "commissioned_ns": 0, "cuts_ns": None,
    } | life  # fmt: skip
    schedule = SCHEDULES[life["schedule"]](life["interval_ns"])
    read = Cost(life["read_ns"], 0.0, 0)
    visit_ns = schedule.visit_cost(VisitCosts(read, read, read, read, 0, 0, check=read)).latency_ns
    grid = schedule.visit_times(life["phase_share"], visit_ns)
    twins = []

    def make_twin(generation, time_ns):
        key = stream_key(life["key"], generation)
        moods = life["mean_ns"], life["noise"], life["confirmed"], life["new_faults"]
        twins.append(MoodyTwin(key, *moods, started_ns=time_ns))
        twins[-1].sees_ahead = life.get("sees_ahead", False)
        return twins[-1]

    policy = Policy(
        life["offline"],
        life["retire_after"],
        life["replace_after_ns"],
        life["call_from"],
        life["quiet_ns"],
        life["retry_after_ns"],
        life["act_from_score"],
        life["changes_only"],
        life.get("refresh", True),
    )
    record = live(
        make_twin,
        schedule,
        grid,
        life["horizon_ns"],
        stepped=stepped,
        read_ns=life["read_ns"],
        diagnosis_ns=life["diagnosis_ns"],
        programming_ns=life["programming_ns"],
        baseline_reads=life["baseline_reads"],
        again_ns=life.get("again_ns", 0),
        policy=policy,
        service=lambda env, grid: Courier(
            env, grid, tuple(life["arrivals"]), life["transit_ns"], life["in_spec"], life["expired"]
        ),
        power_cuts=Cuts(life["cuts_ns"]),
        commissioned_ns=life["commissioned_ns"],
    )
    assert sum(e.amount for e in record.events if e.kind == "power_cut") == sum(t.cut_ns for t in twins)
    return record, [end for twin in twins for end in twin.halts]


@settings(deadline=None, max_examples=200)
@given(LIVES)
def test_stepped_and_skip_ahead_leave_the_same_record(life):
    skipped, halts = record_of(life, stepped=False)
    stepped, stepped_halts = record_of(life, stepped=True)
    assert skipped.segments == stepped.segments
    assert skipped.stretches == stepped.stretches
    assert skipped.missed_visits == stepped.missed_visits
    assert skipped.events == stepped.events
    assert skipped.programmings == stepped.programmings
    assert halts == stepped_halts
    if isinstance(stepped.grid, Chosen):
        made = [
            [time_ns for time_ns in of.grid.since(0) if time_ns < life["horizon_ns"]]
            for of in (skipped, stepped)
        ]
        assert made[0] == made[1]


@settings(deadline=None, max_examples=80)
@given(LIVES)
def test_every_nanosecond_is_in_one_segment(life):
    record, halts = record_of(life, stepped=False)
    edges = [0, *(s.end_ns for s in record.segments)]
    assert [s.start_ns for s in record.segments] == edges[:-1] and edges[-1] == life["horizon_ns"]
    assert edges == sorted(edges)
    for event in record.events:
        assert 0 <= event.time_ns < life["horizon_ns"]
    assert [e.time_ns for e in record.events] == sorted(e.time_ns for e in record.events)


@settings(deadline=None, max_examples=100)
@given(LIVES)
def test_stretches_lie_between_programming_and_intervention(life):
    """In a stretch the cells are left alone: it covers all serving and testing, and nothing of March,
    rewriting or waiting offline.
    """
    record, halts = record_of(life, stepped=False)
    covered = []
    for stretch in record.stretches:
        assert stretch.snapshot.time_ns == stretch.start_ns <= stretch.end_ns <= life["horizon_ns"]
        covered.append((stretch.start_ns, stretch.end_ns))
    assert covered == sorted(covered) and all(
        a[1] <= b[0] for a, b in zip(covered, covered[1:], strict=False)
    )
    assert [end for _, end in covered if end < life["horizon_ns"]] == halts, "halted once each, when it ends"
    used = {State.SERVING, State.TESTING}
    for segment in record.segments:
        inside = sum(max(0, min(segment.end_ns, b) - max(segment.start_ns, a)) for a, b in covered)
        assert inside == (segment.end_ns - segment.start_ns if segment.state in used else 0)


@settings(deadline=None, max_examples=150)
@given(LIVES)
def test_every_visit_is_uneventful_or_eventful_or_missed(life):
    record, _ = record_of(life, stepped=False)
    grid = record.grid
    if grid is None:
        assert not record.missed_visits
        return
    absent = [s for s in record.segments if s.state in (State.UNCOMMISSIONED, State.RETIRED)]
    every = {
        visit
        for visit in range(grid.first_at_or_after(0), grid.first_at_or_after(life["horizon_ns"]))
        if not any(s.start_ns <= grid.start_ns(visit) < s.end_ns for s in absent)
    }
    serving = [s for s in record.segments if s.state is State.SERVING]
    uneventful = [v for s in serving for v in range(s.first_visit, s.end_visit)]
    missed = [v for first, end in record.missed_visits for v in range(first, end)]
    assert len(set(uneventful)) == len(uneventful) and len(set(missed)) == len(missed)
    assert set(uneventful) | set(missed) <= every and not set(uneventful) & set(missed)
    # Each uneventful visit lies within its segment (or is cut by the horizon).
    for segment in serving:
        for visit in range(segment.first_visit, segment.end_visit):
            assert segment.start_ns <= grid.start_ns(visit)
            assert grid.end_ns(visit) <= segment.end_ns or segment.end_ns == life["horizon_ns"]
    # Each missed visit began while the device was not serving.
    for visit in missed:
        (state,) = (s.state for s in record.segments if s.start_ns <= grid.start_ns(visit) < s.end_ns)
        assert state is not State.SERVING
    # The rest found something: serving ends where it begins, and what follows is not of the cloud's doing.
    after_serving = {
        b.start_ns
        for a, b in zip(record.segments, record.segments[1:], strict=False)
        if a.state is State.SERVING and b.state not in (State.REPROGRAMMING, State.OFFLINE, State.SERVING)
    }
    eventful = every - set(uneventful) - set(missed)
    unread = {e.time_ns for e in record.events if e.kind == "alarm" and not e.amount}  # it may go on serving
    assert {grid.start_ns(v) for v in eventful} == after_serving | unread


@settings(deadline=None, max_examples=80)
@given(LIVES)
def test_the_trace_tells_what_the_segments_do(life):
    record, _ = record_of(life, stepped=False)
    kinds = [e.kind for e in record.events]
    complete = [s for s in record.segments if s.end_ns < life["horizon_ns"]]
    states = [s.state for s in complete]
    assert kinds.count("diagnosis") == states.count(State.DIAGNOSING)
    assert kinds.count("refresh") == states.count(State.REFRESHING)
    assert kinds.count("reprogramming") == states.count(State.REPROGRAMMING)
    tests = (
        kinds.count("baseline")
        + sum(e.kind == "alarm" and e.amount > 0 for e in record.events)
        + kinds.count("unconfirmed_alarm")
        + kinds.count("verification")
        + kinds.count("drift_suspected")
    )
    assert tests == states.count(State.TESTING)
    again = {e.time_ns: e.amount for e in record.events if e.kind == "tried_again"}
    for segment in complete:
        expected = {
            State.DIAGNOSING: life["diagnosis_ns"] + again.get(segment.end_ns, 0) * life["again_ns"],
            State.REFRESHING: life["programming_ns"],
            State.REPROGRAMMING: life["programming_ns"],
            State.UNCOMMISSIONED: life["commissioned_ns"],
            State.RETIRED: life["replace_after_ns"],
        }.get(segment.state)
        lost_ns = sum(
            e.amount
            for e in record.events
            if e.kind == "power_cut" and segment.start_ns < e.time_ns < segment.end_ns
        )
        assert expected is None or segment.end_ns - segment.start_ns == expected + lost_ns
    assert kinds.count("retirement") == sum(s.state is State.RETIRED for s in record.segments)
    assert kinds.count("replacement") == states.count(State.RETIRED)
    if "retirement" in kinds and life["replace_after_ns"] is None:
        assert kinds.count("retirement") == 1 and record.segments[-1].state is State.RETIRED
        # A redeployment fails by the cloud's validation, or by the first test after it.
        first, failed = [i for i, kind in enumerate(kinds) if kind == "reprogramming"], []
        for here, after in zip(first, [*first[1:], len(kinds)], strict=True):
            tests = [k for k in kinds[here + 1 : after] if k in ("verification", "alarm", "diagnosis")]
            failed.append("validation_failed" in kinds[here:after] or tests[:1] == ["alarm"])
        assert failed[-life["retire_after"] :] == [True] * life["retire_after"]
        assert record.events[-1].kind != "retirement" or record.events[-1].amount == life["retire_after"]
    if not life["offline"]:
        assert State.OFFLINE not in states


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.02, 0.2]), st.integers(0, 99), st.integers(1, 9000))
def test_a_window_is_announced_as_soon_as_it_is_known_and_asked_for_when_its_first_visit_begins(
    key, noise, phase_ns, horizon_ns
):
    told, read_ns, grid = [], 10, Grid(phase_ns, 100, 10)

    class Telling(MoodyTwin):
        def foresee(self, times_ns):
            told.append(("announced", self.env.now, list(times_ns)))

        def first_alarm(self, times_ns, least_score=0):
            told.append(("asked", self.env.now, list(times_ns)))
            return super().first_alarm(times_ns, least_score)

    twin = Telling(key, 1e12, noise, 0.5, 0.0)
    live(
        twin, Periodic(100), grid, horizon_ns, stepped=False, read_ns=read_ns, diagnosis_ns=20, programming_ns=5,
        service=lambda env, grid: setattr(twin, "env", env),
    )  # fmt: skip
    assert [what for what, _, _ in told] == ["announced", "asked"] * (len(told) // 2) + ["announced"] * (
        len(told) % 2
    )
    for (_, now_ns, announced), (_, asked_ns, asked) in zip(told[::2], told[1::2], strict=False):
        assert asked == announced and now_ns <= asked_ns == asked[0] - read_ns
        assert len(asked) <= FIRST_WINDOW or now_ns <= asked_ns - grid.interval_ns, (
            "a window ahead, but for the first"
        )
    if not noise:
        assert [t for what, _, window in told if what == "asked" for t in window] == list(
            grid.ends_ns(0, grid.first_at_or_after(horizon_ns))
        ), "each visit once"


QUIET = {
    "schedule": "periodic", "key": 1, "interval_ns": 100, "phase_share": 0.3, "read_ns": 10, "diagnosis_ns": 20,
    "programming_ns": 5, "baseline_reads": 0, "mean_ns": 1e12, "noise": 0.0, "confirmed": 1.0,
    "new_faults": 1.0, "offline": False, "retire_after": 9, "in_spec": 1.0,
    "arrivals": [("after", 1, 0)], "transit_ns": 1, "horizon_ns": 1000,
}  # fmt: skip


@pytest.mark.parametrize("stepped", [False, True])
def test_a_quiet_life_by_hand(stepped):
    record, _ = record_of(QUIET, stepped)
    (segment,) = record.segments
    assert (segment.state, segment.start_ns, segment.end_ns) == (State.SERVING, 0, 1000)
    assert (segment.first_visit, segment.end_visit) == (0, 10)
    assert not record.missed_visits and record.events == []


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize(
    ("horizon_ns", "visits"),
    [(30, 0), (31, 1), (40, 1), (130, 1), (131, 2)],
    ids=["before", "begun", "ended", "next", "next begun"],
)
def test_visits_at_the_horizon(stepped, horizon_ns, visits):
    """A visit counts as soon as it has begun before the horizon."""
    record, _ = record_of(QUIET | {"horizon_ns": horizon_ns}, stepped)
    assert [(s.first_visit, s.end_visit) for s in record.segments] == [(0, visits)]


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize(
    ("arrival", "expected", "missed"),
    [
        # The scrub at 30 ns lasts until 55 (March 20, programming 5); the request leaves then. Visits begin
        # at 30, 130, 230, ...
        (("start", 1, -1), [("SERVING", 55, 229), ("REPROGRAMMING", 229, 234)], [(2, 3)]),
        (("start", 1, 0), [("SERVING", 55, 230), ("REPROGRAMMING", 230, 235)], [(2, 3)]),
        (("start", 1, 1), [("SERVING", 55, 240), ("REPROGRAMMING", 240, 245)], []),
        (("end", 1, -1), [("SERVING", 55, 240), ("REPROGRAMMING", 240, 245)], []),
        (("end", 1, 0), [("SERVING", 55, 240), ("REPROGRAMMING", 240, 245)], []),
        (("end", 1, 1), [("SERVING", 55, 241), ("REPROGRAMMING", 241, 246)], []),
    ],
)
def test_a_redeployment_at_the_edges_of_a_visit_by_hand(stepped, arrival, expected, missed):
    """A visit that has begun is ended first; one that would begin at the very instant is missed."""

    class AlarmAtFirst(MoodyTwin):
        def first_alarm(self, times_ns, least_score=0):
            return Finding(0, Outcome.ALARM, reads=1) if times_ns[0] == 40 else None

    grid = Grid(30, 100, 10)
    record = live(
        AlarmAtFirst(1, 1e12, 0.0, 1.0, 1.0), Periodic(100), grid, 260, stepped=stepped, read_ns=10,
        diagnosis_ns=10, programming_ns=5, policy=Policy(False, 9),
        service=lambda env, grid: Courier(env, grid, (arrival,), 1, 1.0),
    )  # fmt: skip
    got = [(s.state.name, s.start_ns, s.end_ns) for s in record.segments]
    assert got[:4] == [
        ("SERVING", 0, 30),
        ("TESTING", 30, 40),
        ("DIAGNOSING", 40, 50),
        ("REFRESHING", 50, 55),
    ]
    assert got[4:6] == expected
    assert list(record.missed_visits) == missed
    assert got[6:] == [("TESTING", got[5][2], got[5][2] + 10), ("SERVING", got[5][2] + 10, 260)], "verified"


@pytest.mark.parametrize("stepped", [False, True])
def test_a_redeployment_does_not_wait_for_a_visit_that_was_missed(stepped):
    """The alarm is dealt with at 135 ns, so the visit at 130 is missed; the message comes at 137."""
    record = live(
        MoodyTwin(1, 1e12, 1.0, 1.0, 1.0), Periodic(100), Grid(30, 100, 10), 142, stepped=stepped, read_ns=10,
        diagnosis_ns=50, programming_ns=25, policy=Policy(False, 9),
        service=lambda env, grid: Courier(env, grid, (("after", 0, 2),), 1, 1.0),
    )  # fmt: skip
    assert [(s.state.name, s.start_ns, s.end_ns) for s in record.segments][3:] == [
        ("REFRESHING", 110, 135), ("SERVING", 135, 137), ("REPROGRAMMING", 137, 142)
    ]  # fmt: skip
    assert record.missed_visits == [(1, 2)]


@pytest.mark.parametrize("stepped", [False, True])
def test_a_redeployment_comes_before_a_visit_of_the_same_instant(stepped):
    """Every visit scrubs; the message comes at the very start of the second."""
    life = QUIET | {"schedule": "march_scrub", "arrivals": [("start", 0, 0)], "horizon_ns": 200}
    record, _ = record_of(life, stepped)
    assert [(s.state.name, s.start_ns, s.end_ns) for s in record.segments][3:] == [
        ("SERVING", 55, 130), ("REPROGRAMMING", 130, 135), ("SERVING", 135, 200)
    ]  # fmt: skip
    assert record.missed_visits == [(1, 2)]


def test_visits_missed_before_retirement_are_counted():
    """Offline while the cloud works, then retired: the visits in between were missed."""
    life = QUIET | {
        "schedule": "march_scrub", "offline": True, "retire_after": 1, "in_spec": 0.0,
        "arrivals": [("start", 4, 1)], "horizon_ns": 2000,
    }  # fmt: skip
    for stepped in (False, True):
        record, _ = record_of(life, stepped)
        assert [s.state.name for s in record.segments] == [
            "SERVING",
            "DIAGNOSING",
            "REFRESHING",
            "OFFLINE",
            "REPROGRAMMING",
            "RETIRED",
        ]
        assert record.segments[-1].start_ns == 30 + 500 + 1 + 5
        assert record.missed_visits == [(1, 6)]


@pytest.mark.parametrize("stepped", [False, True])
def test_a_device_that_nobody_looks_at_only_serves(stepped):
    record, halts = record_of(QUIET | {"schedule": "never", "mean_ns": 20.0}, stepped)
    assert [(s.state, s.end_ns) for s in record.segments] == [(State.SERVING, 1000)]
    assert record.events == [] and halts == [] and record.grid is None


@settings(deadline=None, max_examples=50)
@given(LIVES, st.integers(1, 40))
def test_a_longer_horizon_does_not_change_what_came_before(life, factor):
    """The future is prefetched; it must not show."""
    short, _ = record_of(life, stepped=False)
    long, _ = record_of(life | {"horizon_ns": life["horizon_ns"] + 13 * factor}, stepped=False)
    assert long.events[: len(short.events)] == short.events
    assert [(s.state, s.start_ns, s.known) for s in long.segments][: len(short.segments)] == [
        (s.state, s.start_ns, s.known) for s in short.segments
    ]


@pytest.mark.parametrize("stepped", [False, True])
def test_a_rewrite_that_takes_no_time_is_not_repeated(stepped):
    """The visit that led to it is over, although the clock still stands at its beginning."""
    life = QUIET | {"schedule": "blind_refresh", "programming_ns": 0, "baseline_reads": 0, "horizon_ns": 350}
    record, _ = record_of(life, stepped)
    starts = [e.time_ns for e in record.events if e.kind == "refresh"]
    assert starts == [record.grid.start_ns(k) for k in range(record.grid.first_at_or_after(350))]
