"""One device's life as a process: serve, visit, diagnose, refresh, wait for the cloud, be reprogrammed, retire.

Two ways to serve give the same record, byte for byte: *skip-ahead* asks for the findings of a window of visits at once and sleeps until
the first (the window doubles while nothing happens), and *stepped* wakes at every visit. The second is the oracle of the first.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

import simpy

from lifesim.crossbar.cost import Cost
from lifesim.crossbar.faults import FaultMap
from lifesim.detection.schedules import Examinee, Finding, Outcome, Schedule, VisitCosts
from lifesim.fleet.clock import TEST, wait
from lifesim.fleet.records import DeviceRecord, Event, Segment, State, Stretch
from lifesim.fleet.redeployment import Redeployment

LONGEST_WINDOW = 32  # visits evaluated in one call; more would waste work when an alarm comes first

Process = Generator[simpy.Event, Any, Any]


class Twin(Examinee, Protocol):
    """What the process needs of a device's silicon and network (lifesim.fleet.twin.DeviceTwin)."""

    def snapshot(self) -> Any: ...
    def halt(self, time_ns: int) -> None: ...
    def march(self, writes_per_cell: int) -> FaultMap: ...
    def program(self, time_ns: int, writes_per_cell: int) -> None: ...
    def install(self, message: bytes, known: FaultMap) -> Redeployment: ...


class Service(Protocol):
    """Where fault maps go and redeployments come from (lifesim.fleet.service.RetrainingService)."""

    def request(self, device: Device, fault_map: FaultMap) -> None:
        """Send the map; a retraining is queued unless one is pending, in which case the newest map received is used."""


@dataclass(frozen=True, slots=True)
class DeviceCosts:
    """Time and wear of what a device does to itself."""

    visit: VisitCosts
    march: Cost
    programming: Cost


@dataclass(frozen=True, slots=True)
class Policy:
    """What a device does while it waits for the cloud, and after how many failed redeployments in a row it retires."""

    offline_while_waiting: bool
    retire_after: int


class Device:
    """The process of one device; ``number`` orders devices where several act at one instant. Everything that happens goes to ``record``."""

    def __init__(
        self,
        env: simpy.Environment,
        number: int,
        twin: Twin,
        schedule: Schedule,
        costs: DeviceCosts,
        policy: Policy,
        service: Service,
        record: DeviceRecord,
        horizon_ns: int,
        known: FaultMap,
        stepped: bool = False,
    ):
        self.env = env
        self.number = number
        self.twin = twin
        self.record = record
        self.inbox = env.event()  # succeeds with the redeployment message
        self._schedule = schedule
        self._costs = costs
        self._policy = policy
        self._service = service
        self._horizon_ns = horizon_ns
        self._stepped = stepped
        self._grid = record.grid
        self._next_visit = 0  # visits below are accounted for
        self._known_map = known
        self._alarm_unresolved = False
        self._waiting = False  # a retraining is pending
        self._failed_redeployments = 0  # in a row
        env.process(self._live())

    def log(self, kind: str, amount: int = 0, detail: str = "") -> None:
        """Add a line to the trace, at the current time."""
        self.record.events.append(Event(self.env.now, kind, amount, detail))

    def finish(self) -> None:
        """Account for the visits of what is open at the horizon."""
        segment = self.record.segments[-1]
        if self._grid is None or segment.state is State.RETIRED:
            return
        if segment.state is State.SERVING:
            segment.end_visit = self._grid.first_at_or_after(self._horizon_ns)
        else:
            self._miss_visits_before(self._horizon_ns)

    # -- the life --

    def _live(self) -> Process:
        self._start_stretch()
        yield from self._take_baseline()
        while True:
            finding = yield from self._serve()
            if finding is None:
                yield from self._redeploy()
            else:
                yield from self._act_on(finding)
            if self._failed_redeployments >= self._policy.retire_after:
                self._miss_visits_before(self.env.now)
                self._enter(State.RETIRED)
                self._end_stretch()
                self.log("retirement", self._failed_redeployments)
                return

    def _act_on(self, finding: Finding) -> Process:
        if finding.outcome is Outcome.REFRESH:
            self._end_stretch()
            yield from self._rewrite()
            return
        if finding.outcome is not Outcome.DIAGNOSE:
            yield from self._test(finding.reads)
            if finding.outcome is Outcome.UNCONFIRMED:
                self.log("unconfirmed_alarm", finding.reads)
                return
            self._log_alarm(finding)
            self._alarm_unresolved = True
        yield from self._recover()

    def _log_alarm(self, finding: Finding) -> None:
        self.log("alarm", finding.reads, "" if finding.without_noise else "noise")

    def _recover(self) -> Process:
        """March, refresh, and if there are new permanent faults call the cloud; return how many there are."""
        self._end_stretch()
        self._enter(State.DIAGNOSING)
        found = self.twin.march(self._costs.march.writes_per_cell)
        yield wait(self.env, self._costs.march.latency_ns)
        new = found.new_since(self._known_map)
        self.log("diagnosis", found.count, str(new))
        if new:
            self._known_map = found
            self._alarm_unresolved = True
        elif not self._waiting:
            self._alarm_unresolved = False
        yield from self._rewrite()
        # A redeployment that waits in the inbox is installed next; it will be seen then that its map is not the newest.
        if new and not self.inbox.triggered:
            self._call_cloud()
        return new

    def _call_cloud(self) -> None:
        self._waiting = True
        self._service.request(self, self._known_map)

    def _rewrite(self) -> Process:
        self._enter(State.REFRESHING)
        yield wait(self.env, self._costs.programming.latency_ns)
        self.log("refresh")
        self.twin.program(self.env.now, self._costs.programming.writes_per_cell)
        self._start_stretch()
        yield from self._take_baseline()

    def _redeploy(self) -> Process:
        """Apply the cloud's message to the backup, rewrite, and let a test judge."""
        message = self.inbox.value
        self.inbox = self.env.event()
        self._waiting = False
        self._end_stretch()
        self._enter(State.REPROGRAMMING)
        yield wait(self.env, self._costs.programming.latency_ns)
        redeployment = self.twin.install(message, self._known_map)
        self.twin.program(self.env.now, self._costs.programming.writes_per_cell)
        self._start_stretch()
        self.log("reprogramming", len(redeployment.delta))
        failed = not redeployment.in_spec
        if failed:
            self.log("validation_failed")
            if self._failed_redeployments + 1 >= self._policy.retire_after:
                self._failed_redeployments += 1
                return  # about to be retired: neither tested nor retrained any more
        self._alarm_unresolved = yield from self._verify()
        if self._alarm_unresolved:
            # Faults that came while the job was in flight excuse an alarm; else the model does not do what the cloud said.
            new = yield from self._recover()
            failed = failed or not new
        self._failed_redeployments = self._failed_redeployments + 1 if failed else 0
        if self._failed_redeployments >= self._policy.retire_after:
            return
        # Faults found since the map was sent: while the job was in flight, or just now.
        if redeployment.map_digest != self._known_map.digest() and not self._waiting:
            self._alarm_unresolved = True
            self._call_cloud()

    def _verify(self) -> Process:
        """Test a redeployment against the scores that came with it; return whether it alarms. What passes is the new baseline."""
        visit_ns = self._schedule.visit_cost(self._costs.visit).latency_ns
        if not visit_ns:  # a schedule that reads nothing has nothing to judge by
            return False
        finding = self._schedule.first_finding(self.twin, [self.env.now + visit_ns])
        yield from self._test(finding.reads if finding else 1)
        if finding and finding.outcome is Outcome.ALARM:
            self._log_alarm(finding)
            return True
        self.log("verification", finding.reads if finding else 1)
        yield from self._take_baseline()
        return False

    def _take_baseline(self) -> Process:
        baseline_ns = self._schedule.baseline_cost(self._costs.visit).latency_ns
        if baseline_ns:
            self._enter(State.TESTING)
            yield wait(self.env, baseline_ns)
            self._schedule.set_baseline(self.twin, self.env.now)
            self.log("baseline")

    def _test(self, reads: int) -> Process:
        self._enter(State.TESTING)
        yield wait(self.env, reads * self._schedule.visit_cost(self._costs.visit).latency_ns)

    # -- serving --

    def _serve(self) -> Process:
        """Serve until a visit finds something (return it) or a redeployment arrives (return None)."""
        if self.inbox.triggered:
            return None
        if self._waiting and self._policy.offline_while_waiting:
            self._end_stretch()
            self._enter(State.OFFLINE)
            yield self.inbox
            return None
        segment = self._enter(State.SERVING)
        segment.known = self._alarm_unresolved
        if self._grid is None:
            yield self.inbox
            return None
        self._miss_visits_before(self.env.now)
        first = segment.first_visit = self._next_visit
        finding = yield from (self._step(first) if self._stepped else self._skip_ahead(first))
        segment.end_visit = self._next_visit
        if finding is not None:
            self._next_visit += 1  # the visit that found something is no longer part of serving
        return finding

    def _skip_ahead(self, first: int) -> Process:
        grid, window, serving_from = self._grid, 1, first
        while True:
            beyond = min(first + window, grid.first_at_or_after(self._horizon_ns))
            ends_ns = [grid.end_ns(visit) for visit in range(first, beyond)]
            finding = self._schedule.first_finding(self.twin, ends_ns) if ends_ns else None
            self._next_visit = first + finding.position if finding else beyond
            wake_ns = grid.start_ns(self._next_visit)
            yield self.inbox | wait(self.env, wake_ns - self.env.now, TEST)
            if self.inbox.triggered:
                self._next_visit = max(serving_from, grid.first_at_or_after(self.env.now))
                in_progress = self._next_visit - 1
                if in_progress >= serving_from and grid.end_ns(in_progress) > self.env.now:
                    yield wait(self.env, grid.end_ns(in_progress) - self.env.now, TEST)
                return None
            if finding:
                return finding
            first, window = beyond, min(2 * window, LONGEST_WINDOW)

    def _step(self, first: int) -> Process:
        grid = self._grid
        self._next_visit = first
        while True:
            yield self.inbox | wait(self.env, grid.start_ns(self._next_visit) - self.env.now, TEST)
            if self.inbox.triggered:
                return None
            finding = self._schedule.first_finding(self.twin, [grid.end_ns(self._next_visit)])
            if finding:
                return finding
            self._next_visit += 1
            yield wait(self.env, grid.visit_ns, TEST)
            if self.inbox.triggered:
                return None

    # -- keeping the record --

    def _enter(self, state: State) -> Segment:
        segments = self.record.segments
        if segments:
            segments[-1].end_ns = self.env.now
        segments.append(Segment(state, self.env.now, self._horizon_ns))
        return segments[-1]

    def _start_stretch(self) -> None:
        self.record.stretches.append(Stretch(self.env.now, self._horizon_ns, self.twin.snapshot()))

    def _end_stretch(self) -> None:
        stretch = self.record.stretches[-1]
        if stretch.end_ns == self._horizon_ns:  # still open
            stretch.end_ns = self.env.now
            self.twin.halt(self.env.now)

    def _miss_visits_before(self, time_ns: int) -> None:
        visit = self._grid.first_at_or_after(time_ns) if self._grid else 0
        if visit > self._next_visit:
            self.record.missed_visits.append((self._next_visit, visit))
            self._next_visit = visit
