"""One device's life: serve, visit, diagnose, refresh, wait for the cloud, be reprogrammed, retire, be replaced.

Two ways to serve give the same record, byte for byte: *skip-ahead* asks for the findings of a window of visits at once, when the first of
them begins, and sleeps until the first finding (the window doubles while nothing happens); *stepped* wakes at every visit. The second is the
oracle of the first. A window is announced as soon as it is known, so that those of many devices can be looked into together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import simpy

from lifesim.crossbar.cost import Writing
from lifesim.crossbar.faults import FaultMap
from lifesim.detection.schedules import (
    ChoosingSchedule,
    Course,
    Examinee,
    Finding,
    Outcome,
    Schedule,
    VisitCosts,
)
from lifesim.detection.visits import Chosen
from lifesim.fleet.clock import TEST, Moment, Process, run, wait
from lifesim.fleet.policy import Policy
from lifesim.fleet.records import DeviceRecord, Event, Programming, Segment, State, Stretch
from lifesim.fleet.redeployment import Redeployment

FIRST_WINDOW = 16  # visits: a few at a time cost little more than one; what fails until then is kept
LONGEST_WINDOW = 64  # visits evaluated in one call; more would waste work when an alarm comes first


class Twin(Examinee, Protocol):
    """What the process needs of a device's silicon and network (lifesim.fleet.twin.DeviceTwin).

    ``sees_ahead``: whether it costs no more to ask about all visits to come than about the next, as with a failure in closed form.
    """

    sees_ahead: bool

    def snapshot(self) -> Any: ...
    def halt(self, time_ns: int) -> None: ...
    def diagnose(self, known: FaultMap) -> tuple[FaultMap, int]: ...
    def take_named(self, time_ns: int, known: FaultMap) -> FaultMap: ...
    def resume(self, time_ns: int) -> None: ...
    def fit(self, known: FaultMap) -> None: ...
    def place(self, known: FaultMap) -> None: ...
    def judge(self, time_ns: int) -> int: ...
    def knows_baseline(self, known: FaultMap) -> bool: ...
    def install(self, message: bytes, known: FaultMap, sent: Mapping[bytes, FaultMap]) -> Redeployment: ...
    def next_writing(self, changes_only: bool) -> Writing: ...
    def program(self, time_ns: int) -> None: ...
    def program_changes(self, time_ns: int) -> None: ...
    def interrupt(self, time_ns: int, done_ns: int, latency_ns: int, changes_only: bool) -> None: ...


class Service(Protocol):
    """Where fault maps go and redeployments come from (lifesim.fleet.retraining_service.RetrainingService)."""

    def request(self, device: Device, fault_map: FaultMap) -> None:
        """Send the map; a retraining is queued unless one is pending, in which case the newest map received is used.

        What comes of it is a message in the device's ``inbox``, or a call of :meth:`Device.job_expired`.
        """


class PowerCuts(Protocol):
    """When the power goes (lifesim.fleet.power.PowerCuts)."""

    def first_after(self, time_ns: int) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Unit:
    """A device as it leaves the factory: its twin, and the stuck cells that its factory test has found."""

    twin: Twin
    known: FaultMap


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the devices of a group have in common: the world that they live in, and what they do in it.

    ``make_unit`` is called with the device's number, a generation (0, then 1 for the first replacement, ...) and the time at which it starts.
    """

    env: simpy.Environment
    make_unit: Callable[[int, int, int], Unit]
    schedule: Schedule
    costs: VisitCosts
    policy: Policy
    service: Service
    horizon_ns: int
    stepped: bool = False
    visit_ns: int = field(init=False)  # of one read of a visit
    baseline_ns: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "visit_ns", self.schedule.visit_cost(self.costs).latency_ns)
        object.__setattr__(self, "baseline_ns", self.schedule.baseline_cost(self.costs).latency_ns)


class Device:
    """What stands in one slot; ``number`` orders slots where several act at one instant. All that happens goes to ``record``.

    While something is going on, such as a repair, that is a process. While the device serves or waits, all that the event loop has of it is a timer.
    """

    __slots__ = (
        "env", "number", "record", "twin", "_around", "_power_cuts", "_next_visit", "_generation", "_inbox", "_bell_rings",
        "_asleep", "_timer", "_window", "_finding", "_known_map", "_solved_map", "_told_map", "_sent", "_alarm_unresolved", "_least_score", "_waiting", "_call_at",
        "_needs_cloud", "_failed_redeployments",
    )  # fmt: skip

    def __init__(
        self,
        around: Surroundings,
        number: int,
        power_cuts: PowerCuts,
        record: DeviceRecord,
    ):
        self.env = around.env
        self.number = number
        self.record = record
        self._around = around
        self._power_cuts = power_cuts
        self._next_visit = 0  # visits below are accounted for
        self._generation = -1
        self._inbox: simpy.Event | None = None  # made when somebody looks for it
        self._bell_rings = False  # there is something to see to besides the inbox
        self._asleep = (
            False  # nothing is going on, and nothing will until the timer, if there is one, or a disturbance
        )
        self._timer: Moment | None = None
        if record.commissioned_ns:
            self._enter(State.UNCOMMISSIONED)
        wait(around.env, record.commissioned_ns).callbacks.append(self._begin)

    @property
    def inbox(self) -> simpy.Event:
        """Succeeds with the next redeployment message."""
        if self._inbox is None:
            self._inbox = self.env.event()
            self._inbox.callbacks.append(self._disturb)
        return self._inbox

    def job_expired(self) -> None:
        """The job that the device waits for has left the cloud's queue: no redeployment will come of it."""
        self._waiting = False
        if self._around.policy.retry_after_ns is not None:
            self._call_later(self._around.policy.retry_after_ns)
        if self._around.policy.offline_while_waiting:
            self._ring()

    def log(self, kind: str, amount: int = 0, detail: str = "") -> None:
        """Add a line to the trace, at the current time."""
        self.record.events.append(Event(self.env.now, kind, amount, detail))

    def finish(self) -> None:
        """Account for the visits of what is open at the horizon."""
        segment = self.record.segments[-1]
        if self.record.grid is None or segment.state in (State.RETIRED, State.UNCOMMISSIONED):
            return
        if segment.state is State.SERVING:
            segment.end_visit = self.record.grid.first_at_or_after(self._around.horizon_ns)
        else:
            self._miss_visits_before(self._around.horizon_ns)

    # -- the life --

    def _begin(self, _: simpy.Event) -> None:
        run(self._start())

    def _start(self) -> Process:
        """Start with a unit fresh from the factory."""
        self._install_unit()
        yield from self._take_baseline()
        yield from self._live()

    def _live(self, finding: Finding | None = None) -> Process:
        """See to what a visit has found, then to inbox and bell as long as there is something; then serve."""
        if finding is not None:
            yield from self._act_on(finding)
        while True:
            if self._failed_redeployments >= self._around.policy.retire_after:
                self._retire()
                if (replace_after_ns := self._around.policy.replace_after_ns) is not None:
                    yield wait(self.env, replace_after_ns)
                    self.log("replacement", self._generation + 1)
                    yield from self._start()
                return
            elif self._mail:
                yield from self._redeploy()
            elif self._bell_rings:
                yield from self._see_to_bell()
            else:
                break
        self._serve()

    def _retire(self) -> None:
        self._miss_visits_before(self.env.now)
        self._enter(State.RETIRED)
        self._end_stretch()
        self._cancel_call()
        self.log("retirement", self._failed_redeployments)

    def _install_unit(self) -> None:
        self._generation += 1
        unit = self._around.make_unit(self.number, self._generation, self.env.now)
        self.twin: Twin = unit.twin
        self._known_map: FaultMap = unit.known
        self._solved_map = unit.known  # what the redeployment in the backup was made for
        self._told_map = unit.known  # the newest map sent
        self._sent: dict[bytes, FaultMap] | None = None  # maps sent since that redeployment's, by digest
        self._alarm_unresolved = False
        self._least_score = 0  # of an alarm; above 0 while one that was not worth acting on stands
        self._needs_cloud = self._around.policy.climb_from_score is None  # no rung below it is left
        self._waiting = False  # for a job of the cloud
        self._call_at: simpy.Event | None = None  # when the cloud will be called, unless it is postponed
        self._failed_redeployments = 0  # in a row
        if self.record.grid is not None:
            self._next_visit = max(self._next_visit, self.record.grid.first_at_or_after(self.env.now))
        self._start_stretch()

    def _act_on(self, finding: Finding) -> Process:
        if finding.outcome is Outcome.REFRESH:
            self._end_stretch()
            yield from self._rewrite()
            return
        if finding.outcome is Outcome.NAMED:
            yield from self._take_named(finding)
            return
        if finding.outcome is Outcome.NOTED:
            self._log_alarm(finding)
            self._alarm_unresolved = True
            return
        if finding.outcome is not Outcome.DIAGNOSE:
            if finding.reads:
                yield from self._test(finding.reads)
            if finding.outcome is Outcome.UNCONFIRMED:
                self.log("unconfirmed_alarm", finding.reads)
                return
            self._log_alarm(finding)
            self._alarm_unresolved = True
            if finding.score < self._around.policy.act_from_score:
                self.log("alarm_tolerated", finding.score)
                self._least_score = self._around.policy.act_from_score
                return
        yield from self._recover()

    def _log_alarm(self, finding: Finding) -> None:
        self.log("alarm", finding.reads, "" if finding.without_noise else "noise")

    def _recover(self) -> Process:
        """Diagnose, refresh, and call the cloud if the policy says so."""
        self._end_stretch()
        self._enter(State.DIAGNOSING)
        found, again = self.twin.diagnose(self._known_map)
        yield wait(
            self.env, self._around.costs.diagnosis.latency_ns + again * self._around.costs.again.latency_ns
        )
        new = found.new_since(self._known_map)
        self.log("diagnosis", found.count, str(new))
        if again:
            self.log("tried_again", again)
        if new:
            self._known_map = found
        self._alarm_unresolved = self._waiting or self._open
        # Also without new ones: what a redeployment was not made for may be too much for it.
        if self._around.policy.climb_from_score is not None and (new or self._unsolved):
            yield from self._climb()
        else:
            yield from self._rewrite() if self._around.policy.refresh else self._resume()
        self._consider_calling(new)

    def _take_named(self, finding: Finding) -> Process:
        """Learn which cells a reload could not write. What they hold is as it was: only nearest codes, where the device writes them, are others now."""
        self._log_alarm(finding)
        found = self.twin.take_named(self.env.now, self._known_map)
        new = found.new_since(self._known_map)
        self.log("cells_named", found.count, str(new))
        self._known_map = found
        self._alarm_unresolved = self._waiting or self._open
        if self._around.policy.climb_from_score is not None:
            self._end_stretch()
            yield from self._climb()
        self._consider_calling(new)

    def _climb(self) -> Process:
        """Write the nearest codes that the cells can hold; if a test says that this is not enough, place units anew; if that is not, call the cloud."""
        policy = self._around.policy
        self.twin.fit(self._known_map)
        yield from self._write(State.REFRESHING, changes_only=not policy.refresh)
        yield from self._judge("refresh" if policy.refresh else "fitting")
        if self._needs_cloud and policy.places:
            self._end_stretch()
            self.twin.place(self._known_map)
            yield from self._write(State.REFRESHING)
            yield from self._judge("placement")
        self._alarm_unresolved = self._waiting or self._open
        yield from self._take_baseline()

    def _judge(self, written: str) -> Process:
        """Serve from now on with what has been ``written``, and let a test judge whether it is enough."""
        self.log(written)
        self._start_stretch()
        self._enter(State.TESTING)
        yield wait(self.env, self._around.costs.test.latency_ns)
        score = self.twin.judge(self.env.now)
        self.log("judgement", score)
        self._needs_cloud = score >= self._around.policy.climb_from_score

    def _rewrite(self) -> Process:
        yield from self._refresh()
        yield from self._take_baseline()

    def _refresh(self) -> Process:
        """Write the backup into all cells, and serve from then on with what they hold."""
        yield from self._write(State.REFRESHING)
        self.log("refresh")
        self._start_stretch()

    def _resume(self) -> Process:
        """Go on with what the cells hold."""
        self.twin.resume(self.env.now)
        self._start_stretch()
        yield from self._take_baseline(written=False)

    def _write(self, state: State, changes_only: bool = False) -> Process:
        """Write the backup into the cells; after a power cut, from the start again: the journal says that it was not finished."""
        self._enter(state)
        while True:
            pulses, latency_ns = self.twin.next_writing(changes_only)
            cut_ns = self._power_cuts.first_after(self.env.now)
            if cut_ns is None or cut_ns >= self.env.now + latency_ns:
                break
            done_ns = cut_ns - self.env.now
            yield wait(self.env, done_ns)
            self.twin.interrupt(cut_ns, done_ns, latency_ns, changes_only)
            done = pulses * done_ns // latency_ns
            self.record.add_programming(Programming(self.env.now, done, changes_only))
            self.log("power_cut", done_ns)
        yield wait(self.env, latency_ns)
        self.record.add_programming(Programming(self.env.now, pulses, changes_only))
        program = self.twin.program_changes if changes_only else self.twin.program
        program(self.env.now)

    def _redeploy(self) -> Process:
        """Apply the cloud's message to the backup, rewrite, and let a test judge."""
        message = self.inbox.value
        self._inbox = None
        self._waiting = False
        self._end_stretch()
        redeployment = self.twin.install(message, self._known_map, self._sent or {})
        self._needs_cloud = self._around.policy.climb_from_score is None
        self._note_solved(redeployment.map_digest)
        yield from self._write(State.REPROGRAMMING, self._around.policy.changes_only)
        self._start_stretch()
        self.log("reprogramming", len(redeployment.delta))
        failed = not redeployment.in_spec
        if failed:
            self.log("validation_failed")
            if self._failed_redeployments + 1 >= self._around.policy.retire_after:
                self._failed_redeployments += 1
                return  # about to be retired: neither tested nor retrained any more
        alarm = yield from self._verify()
        if alarm and self._around.policy.changes_only:
            # What has drifted in the cells that were not written is not the model's fault.
            self.log("drift_suspected", alarm.reads)
            self._end_stretch()
            yield from self._refresh()
            alarm = yield from self._verify()
        if alarm:
            self._log_alarm(alarm)
            yield from self._recover()
            # Faults that the cloud did not know excuse an alarm; else the model does not do what the cloud said.
            failed = failed or not self._unsolved
        self._failed_redeployments = self._failed_redeployments + 1 if failed else 0
        if self._failed_redeployments < self._around.policy.retire_after:
            self._alarm_unresolved = self._waiting or self._open
            self._consider_calling()

    def _verify(self) -> Process:
        """Test a redeployment against the scores that came with it; return the alarm, if any. What passes is the new baseline."""
        visit_ns = self._around.visit_ns
        if not visit_ns:  # a schedule that reads nothing has nothing to judge by
            return None
        finding = self._around.schedule.first_finding(
            self.twin, [self.env.now + visit_ns], self._around.policy.act_from_score
        )
        yield from self._test(finding.reads if finding else 1)
        if finding and finding.outcome is Outcome.ALARM:
            return finding
        self.log("verification", finding.reads if finding else 1)
        yield from self._take_baseline()
        return None

    def _take_baseline(self, written: bool = True) -> Process:
        """Set what later visits are compared with. It may be known of cells that have just been ``written``; what is left in others is read."""
        self._least_score = 0
        if self._around.baseline_ns and not (written and self.twin.knows_baseline(self._known_map)):
            self._enter(State.TESTING)
            yield wait(self.env, self._around.baseline_ns)
            self._around.schedule.set_baseline(self.twin, self.env.now)
            self.log("baseline")

    def _test(self, reads: int) -> Process:
        self._enter(State.TESTING)
        yield wait(self.env, reads * self._around.visit_ns)

    # -- the cloud --

    @property
    def _unsolved(self) -> int:
        """Stuck cells known that the redeployment in the backup does not account for."""
        return self._known_map.new_since(self._solved_map)

    @property
    def _open(self) -> bool:
        """Whether there are any, and no rung below the cloud has done enough about them."""
        return self._needs_cloud and self._unsolved > 0

    def _note_solved(self, digest: bytes) -> None:
        """The backup is now made for the map of this digest; no older one will come back."""
        while self._sent and digest in self._sent:
            oldest = next(iter(self._sent))
            solved = self._sent.pop(oldest)
            if oldest == digest:
                self._solved_map = solved

    def _consider_calling(self, new: int = 0) -> None:
        """Send the map, by policy; ``new`` stuck cells have just been found."""
        # A redeployment that waits in the inbox is installed next; it will be seen then that its map is not the newest.
        if self._mail or not self._call_is_due:
            return
        if new and self._around.policy.quiet_ns:
            self._call_later(self._around.policy.quiet_ns)
        elif self._call_at is None or not self._around.policy.quiet_ns:
            self._call_cloud()

    @property
    def _call_is_due(self) -> bool:
        if not self._needs_cloud:
            return False
        heard_of = self._told_map if self._waiting else self._solved_map
        return self._known_map.new_since(heard_of) >= self._around.policy.call_from

    def _call_cloud(self) -> None:
        self._cancel_call()
        self._waiting = True
        self._told_map = self._known_map
        self._sent = {**(self._sent or {}), self._known_map.digest(): self._known_map}
        self._around.service.request(self, self._known_map)

    def _call_later(self, delay_ns: int) -> None:
        """Call in a while instead of at any time set before."""
        self._call_at = timer = wait(self.env, delay_ns)
        timer.callbacks.append(lambda _: self._ring() if timer is self._call_at else None)

    def _cancel_call(self) -> None:
        self._call_at = None

    def _ring(self) -> None:
        if not self._bell_rings:
            self._bell_rings = True
            wait(self.env, 0).callbacks.append(self._disturb)

    def _see_to_bell(self) -> Process:
        self._bell_rings = False
        if self._call_at is not None and self._call_at.processed:
            self._cancel_call()
            if self._call_is_due:
                self._call_cloud()
        if self.record.segments[-1].state is State.OFFLINE and not self._waiting:
            yield from self._rewrite()  # in use again: what drifted meanwhile is cured

    # -- serving --

    def _serve(self) -> None:
        """Fall asleep until a visit finds something, or the inbox or the bell asks for attention."""
        self._asleep, self._timer = True, None
        if self._waiting and self._around.policy.offline_while_waiting:
            self._end_stretch()
            self._enter(State.OFFLINE)
            return
        segment, grid = self._enter(State.SERVING), self.record.grid
        segment.known = self._alarm_unresolved
        if grid is None:
            return
        self._miss_visits_before(self.env.now)
        first = segment.first_visit = self._next_visit
        self._window, self._finding = FIRST_WINDOW, None
        self._choose()
        last = grid.first_at_or_after(self._around.horizon_ns)
        if self.twin.sees_ahead and first < last and not self._around.stepped:
            self._look(grid.ends_ns(first, last))
        self._sleep()

    def _sleep(self) -> None:
        """Sleep until visit ``_next_visit`` begins: it finds ``_finding``; or it is the first of a window that is looked into when it begins."""
        grid, around = self.record.grid, self._around
        self._choose()
        if self._finding is None and not around.stepped and (ends_ns := self._window_ends_ns()):
            around.schedule.foresee(self.twin, ends_ns, self._next_visit)
        self._timer = wait(self.env, grid.start_ns(self._next_visit) - self.env.now, TEST)
        self._timer.callbacks.append(self._visit)

    def _choose(self) -> None:
        """Where the schedule chooses its visits as it goes, have it choose those that are looked into next."""
        chosen, around = self.record.grid, self._around
        if not isinstance(chosen, Chosen):
            return
        schedule: ChoosingSchedule = around.schedule
        ahead = 1 if around.stepped or schedule.looks_back else self._window
        grid, stretches = chosen.grid, self.record.stretches
        since_ns, end = stretches[-1].start_ns, grid.first_at_or_after(around.horizon_ns)
        before = chosen.first_at_or_after(since_ns) - 1
        by_visit = before >= 0 and len(stretches) > 1 and chosen.start_ns(before) == stretches[-2].end_ns
        while chosen.planned < self._next_visit + ahead:
            last_ns = chosen.start_ns(chosen.planned - 1) if chosen.planned else -1
            earliest = grid.first_at_or_after(max(self.env.now, last_ns + 1))
            made_ns = chosen.since(since_ns)
            course = Course(since_ns, made_ns, by_visit, self._alarm_unresolved)
            point = schedule.next_visit(self.twin, grid, range(earliest, max(earliest, end)), course)
            if point is None:
                return
            chosen.plan(point)

    def _window_ends_ns(self) -> Sequence[int]:
        grid, first = self.record.grid, self._next_visit
        last = grid.first_at_or_after(self._around.horizon_ns)
        return grid.ends_ns(first, min(first + self._window, last))

    def _look(self, ends_ns: Sequence[int]) -> None:
        """Ask what the next visits find, and go on to the first that finds something, or to the one beyond them."""
        self._finding = finding = self._around.schedule.first_finding(
            self.twin, ends_ns, self._least_score, self._next_visit
        )
        self._next_visit += finding.position if finding else len(ends_ns)

    def _visit(self, _: simpy.Event) -> None:
        """The visit begins until which the device has slept."""
        if self._around.stepped:
            self._step()
            return
        if self._finding is None:
            begun = self._next_visit
            self._look(self._window_ends_ns())
            self._window = min(2 * self._window, LONGEST_WINDOW)
            if self._finding is None or self._next_visit > begun:
                self._sleep()
                return
        self._wake(self._finding)

    def _step(self) -> None:
        grid = self.record.grid
        ends_ns = [grid.end_ns(self._next_visit)]
        finding = self._around.schedule.first_finding(self.twin, ends_ns, self._least_score, self._next_visit)
        if finding is not None:
            self._wake(finding)
            return
        self._asleep = False  # a visit that has begun is ended first
        wait(self.env, grid.visit_ns, TEST).callbacks.append(self._end_step)

    def _end_step(self, _: simpy.Event) -> None:
        self._next_visit += 1
        if self._disturbed:
            self._wake()
            return
        self._asleep = True
        self._sleep()

    def _disturb(self, _: simpy.Event) -> None:
        """Wake the device if it is asleep."""
        if not self._asleep:
            return
        self._asleep = False
        if self._timer is not None:
            self._timer.callbacks.clear()
        wait(self.env, 0).callbacks.append(self._break_off)

    def _break_off(self, _: simpy.Event) -> None:
        """Serving ends before its time: visits that have been slept through have found nothing, and one that has begun is ended first."""
        segment, grid, now_ns = self.record.segments[-1], self.record.grid, self.env.now
        if segment.state is State.SERVING and grid is not None and not self._around.stepped:
            self._next_visit = max(segment.first_visit, grid.first_at_or_after(now_ns))
            in_progress = self._next_visit - 1
            if in_progress >= segment.first_visit and grid.end_ns(in_progress) > now_ns:
                wait(self.env, grid.end_ns(in_progress) - now_ns, TEST).callbacks.append(
                    lambda _: self._wake()
                )
                return
        self._wake()

    def _wake(self, finding: Finding | None = None) -> None:
        """There is something to see to: what a visit has found, or inbox or bell."""
        self._asleep, self._timer = False, None
        segment = self.record.segments[-1]
        if segment.state is State.SERVING:
            segment.end_visit = self._next_visit
        if finding is not None:
            self._next_visit += 1  # the visit that found something is no longer part of serving
        if isinstance(self.record.grid, Chosen):
            self.record.grid.take_back(self._next_visit)
        run(self._live(finding))

    @property
    def _disturbed(self) -> bool:
        return self._bell_rings or (self._inbox is not None and self._inbox.triggered)

    @property
    def _mail(self) -> bool:
        return self._inbox is not None and self._inbox.triggered

    # -- keeping the record --

    def _enter(self, state: State) -> Segment:
        segments, now_ns = self.record.segments, self.env.now
        if segments:
            segments[-1].end_ns = now_ns
        segments.append(Segment(state, now_ns, self._around.horizon_ns))
        return segments[-1]

    def _start_stretch(self) -> None:
        snapshot = self.twin.snapshot()
        self.record.stretches.append(
            Stretch(self.env.now, self._around.horizon_ns, snapshot, self._generation)
        )

    def _end_stretch(self) -> None:
        stretch = self.record.stretches[-1]
        if stretch.end_ns == self._around.horizon_ns:  # still open
            stretch.end_ns = self.env.now
            self.twin.halt(self.env.now)

    def _miss_visits_before(self, time_ns: int) -> None:
        visit = self.record.grid.first_at_or_after(time_ns) if self.record.grid else 0
        if visit > self._next_visit:
            self.record.add_missed_visits(self._next_visit, visit)
            self._next_visit = visit
