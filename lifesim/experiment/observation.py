"""What nobody in the fleet knows: the true, noise-free accuracy of every device, and when it was in spec.

Observation steers nothing, so it lags behind the simulation, in bulk: what has happened cannot change any more, and is judged while the rest
is being simulated, or after it. Accuracy is judged at the report times and just after and just before every intervention; inside a piece of time whose ends differ, the crossing is bisected to the scenario's resolution. Accuracy
is not monotone: an excursion that begins and ends between two such times is missed.

With a confidence below 1 a state is judged from as many pictures as that takes (:mod:`lifesim.experiment.judging`). Evaluated in full are both ends
of a piece of time that differ and all that bisection asks for, so that crossings are exact, and the candidates for the lowest accuracies.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np

from lifesim.experiment.extremes import candidates, how_many_matter
from lifesim.experiment.judging import (
    Judgement,
    Rule,
    Run,
    Weights,
    as_new,
    correct_if_known,
    estimate,
    judge_states,
    looks,
    prospects,
)
from lifesim.fleet.build import Plan
from lifesim.fleet.keys import Draw, device_key
from lifesim.fleet.records import DeviceRecord, Stretch
from lifesim.network.changes import Changes, Transitions

_BYTES_PER_TASK = 8 << 20  # of states given by all their weights
_STATES_PER_TASK = 256  # of others
_FIRST = Draw(0)
_TASKS_WAITING = 32
_POINTS_AT_ONCE = 24  # of a stretch that goes on: what neighbouring states have in common is evaluated once


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of a device at one time: its accuracy on the spec set, stuck and expired cells.

    ``accuracy``: an unbiased estimate, with its standard error. ``full_accuracy``: on all pictures, None where not all were looked at. Where
    they were, the estimate stays what it was: whether they are depends on what was seen.
    """

    time_ns: int
    accuracy: float
    accuracy_se: float
    full_accuracy: float | None
    in_spec: bool
    stuck_cells: int
    expired_cells: int


@dataclass(frozen=True, slots=True)
class SpecSpan:
    """A piece of a stretch that was wholly in spec or wholly out of spec."""

    start_ns: int
    end_ns: int
    in_spec: bool


Judged = list[tuple[int, float]]
"""Times (ns) in order, each with the correct pictures of the spec set, or an unbiased estimate."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The truth about one device: samples at the report times at which it was running; for each of its stretches, spans in order.

    ``judged``: for each stretch, every time at which it was judged, its start and end among them.
    """

    samples: list[Sample]
    spans: list[list[SpecSpan]]
    judged: list[Judged]


class Observer:
    """Observes devices while their records are being filled: at any time what has happened by then, and in the end all the rest.

    Parameters
    ----------
    plans, records : of the fleet; all records are there before anything is observed
    report_times_ns : from 0 to the horizon
    confidence : with which a verdict is reached from some of the pictures; 1 for all of them
    draw : of the order in which they are looked at
    plain : evaluate on the plain path alone; the answers are the same
    among_others : the devices are a part of a fleet, of whose lowest accuracies theirs may be
    """

    def __init__(
        self,
        plans: Mapping[str, Plan],
        records: Sequence[DeviceRecord],
        report_times_ns: Sequence[int],
        executor: Executor,
        torch_device: str = "cpu",
        *,
        confidence: float = 1.0,
        draw: Draw = _FIRST,
        plain: bool = False,
        among_others: bool = False,
    ):
        self._records = records
        self._among_others = among_others
        self._times_ns = report_times_ns
        self._judge = _Judge(plans, records, executor, torch_device, confidence, draw, plain)
        # Of each device the stretch, and up to where it has been judged:
        self._followed: dict[int, tuple[int, int]] = {}

    def follow(self, now_ns: int) -> None:
        """Have judged what has happened by ``now_ns``, the end of what is simulated so far; waits for nothing unless far too much is waiting."""
        self._judge.request(
            [
                point
                for device, record in enumerate(self._records)
                for point in self._news(device, record, now_ns)
            ]
        )

    def _news(self, device: int, record: DeviceRecord, now_ns: int) -> list[Point]:
        """Return the points of a device that have been passed since it was last asked for, if they are worth the while."""
        first, begin_ns = self._followed.get(device, (0, -1))
        times_ns, points = self._times_ns, []
        for i in range(first, len(record.stretches)):
            stretch = record.stretches[i]
            end_ns = min(stretch.end_ns, now_ns)
            inside = times_ns[
                bisect_right(times_ns, max(stretch.start_ns, begin_ns)) : bisect_left(times_ns, end_ns)
            ]
            over = stretch.end_ns <= now_ns and i + 1 < len(record.stretches)
            if not over and len(inside) < _POINTS_AT_ONCE:
                break
            if begin_ns < stretch.start_ns:
                points.append((device, i, stretch.start_ns))
            points += [(device, i, time_ns) for time_ns in inside]
            if over:
                points.append((device, i, end_ns))
                self._followed[device], begin_ns = (i + 1, -1), -1
            else:
                self._followed[device] = i, inside[-1]
        return points

    def observed(
        self, horizon_ns: int, resolution_ns: int, on_progress: Callable[[float], None] = lambda share: None
    ) -> list[Observed]:
        """Return the truth about each device, in the order of their records, which are complete."""
        records, judge = self._records, self._judge
        points = {
            (device, i, time_ns)
            for device, record in enumerate(records)
            for i, stretch in enumerate(record.stretches)
            for time_ns in _grid(stretch, self._times_ns)
        }
        times = set(self._times_ns)
        reported = {point for point in points if point[2] in times and _runs(records, horizon_ns, point)}
        judge.ask(sorted(points), on_progress=on_progress)
        judge.settle(_rankings(records, reported, self._among_others))
        crossings = _bisect(judge, points, resolution_ns)
        judged = judge.judged()
        samples: dict[int, list[Sample]] = {}
        for point in sorted(reported):
            samples.setdefault(point[0], []).append(judge.sample(point))
        return [
            Observed(
                samples.get(device, []),
                [
                    _spans(crossings.get((device, i), []), stretch, judge, (device, i))
                    for i, stretch in enumerate(record.stretches)
                ],
                [judged[device, i] for i in range(len(record.stretches))],
            )
            for device, record in enumerate(records)
        ]


Point = tuple[int, int, int]  # device, stretch, time in ns


class _Judge:
    """Answers what is known of a device at a point, and has each distinct state evaluated once."""

    def __init__(
        self,
        plans: Mapping[str, Plan],
        records: Sequence[DeviceRecord],
        executor: Executor,
        torch_device: str,
        confidence: float = 1.0,
        draw: Draw = _FIRST,
        plain: bool = False,
    ):
        self._plans = plans
        self._records = records
        self._executor = executor
        self._torch_device = torch_device
        self._draw = draw
        self._plain = plain
        self._rules = {name: _rule(plan, confidence) for name, plan in plans.items()}
        # States are numbered. What is known of each, and a point at which a device is in it:
        self._judgements: list[Judgement] = []
        self._found_at: list[Point] = []
        self._numbers: dict[tuple, int] = {}
        self._state: dict[Point, int] = {}
        self._cells: dict[Point, tuple[int, int]] = {}
        self._tasks: deque[tuple[list[int], Future]] = deque()
        self._under_way: set[int] = set()  # states
        self._transitions: dict[str, Transitions] = {}

    def ask(
        self,
        points: Sequence[Point],
        *,
        exactly: bool = False,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Judge the states at ``points`` (ascending): look at all pictures if ``exactly``, else until there is a verdict."""
        self.request(points, exactly=exactly, on_progress=on_progress)
        self._collect(most_waiting=0)

    def request(
        self,
        points: Sequence[Point],
        *,
        exactly: bool = False,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Begin to judge as :meth:`ask` does. What is exact is asked of states of which no judgement is under way."""
        done = 0
        for group, of_group in groupby(points, key=self._group):
            plan, batch = self._plans[group], []
            enough = self._rules[group].pieces if exactly else 1
            for point in self._looked_up(of_group):
                done += 1
                state = self._state[point]
                if state in self._under_way or self._judgements[state].pieces >= enough:
                    continue
                self._under_way.add(state)
                batch.append((state, point))
                dense = len(batch) * 2 * plan.model.architecture.weights >= _BYTES_PER_TASK
                if dense if self._is_dense(plan) else len(batch) >= _STATES_PER_TASK:
                    self._submit(plan, batch, exactly)
                    batch = []
                    on_progress(done / len(points))
            if batch:
                self._submit(plan, batch, exactly)
            on_progress(done / len(points))

    def settle(self, rankings: Sequence[tuple[list[Point], int]]) -> None:
        """Evaluate in full what the lowest accuracies depend on: so many of the lowest in each ranking."""
        ranked = [(np.array([self._state[point] for point in points]), matter) for points, matter in rankings]
        lowest, likely = np.zeros(len(self._judgements)), np.zeros(len(self._judgements))
        known = np.zeros(len(self._judgements), bool)
        unsettled = range(len(self._judgements))
        while len(unsettled):
            for name, rule in self._rules.items():
                states = [state for state in unsettled if self._group(self._found_at[state]) == name]
                judgements = [self._judgements[state] for state in states]
                lowest[states], likely[states] = np.array(prospects(judgements, rule)) / rule.pictures
                known[states] = [correct_if_known(judgement, rule) is not None for judgement in judgements]
            found = [
                states[candidates(lowest[states], likely[states], known[states], matter)]
                for states, matter in ranked
            ]
            unsettled = sorted({state for states in found for state in states.tolist()})
            self.ask(sorted(self._found_at[state] for state in unsettled), exactly=True)

    def is_exact(self, point: Point) -> bool:
        return self._exactly(point) is not None

    def in_spec(self, point: Point) -> bool:
        return bool(self._judgements[self._state[point]].in_spec)

    def sample(self, point: Point) -> Sample:
        pictures, correct = self._rules[self._group(point)].pictures, self._exactly(point)
        estimated, variance = self._estimate(point)
        return Sample(
            point[2],
            estimated / pictures,
            math.sqrt(variance) / pictures,
            None if correct is None else correct / pictures,
            self.in_spec(point),
            *self._cells[point],
        )

    def judged(self) -> dict[tuple[int, int], Judged]:
        """Return all that is known of each (device, stretch)."""
        known: dict[tuple[int, int], Judged] = {}
        for point in sorted(self._state):
            known.setdefault(point[:2], []).append((point[2], self._estimate(point)[0]))
        return known

    def _looked_up(self, points: Iterable[Point]) -> Iterator[Point]:
        for _, of_stretch in groupby(points, key=lambda point: point[:2]):
            same = list(of_stretch)
            self._look_up(same)
            yield from same

    def _look_up(self, points: Sequence[Point]) -> None:
        """Number the states at points of one stretch that have not been looked up, and note what cells they have lost."""
        points = [point for point in points if point not in self._state]
        if not points:
            return
        device, i, _ = points[0]
        record, stretch = self._records[device], self._stretch(points[0])
        model = stretch.snapshot.model
        conditions = stretch.snapshot.conditions([time_ns for *_, time_ns in points])
        for point, condition in zip(points, conditions, strict=True):
            # Without faults all devices with the same model are alike.
            where = None if condition.as_new else (device, stretch.generation)
            state = self._numbers.setdefault((record.group, where, condition.key), len(self._judgements))
            if state == len(self._judgements):
                clean = condition.as_new and model.digest == self._plans[record.group].model.digest
                self._judgements.append(as_new(self._rules[record.group]) if clean else Judgement())
                self._found_at.append(point)
            self._state[point] = state
            self._cells[point] = condition.stuck_cells, condition.expired_cells

    def _submit(self, plan: Plan, batch: list[tuple[int, Point]], exactly: bool) -> None:
        rule = self._rules[plan.name]
        all_at_once = exactly or looks(rule) == (rule.pieces,)

        def order_key(state: int) -> int | None:
            return None if all_at_once and not self._judgements[state].pieces else self._order_key(state)

        runs = [
            Run(self._states(plan, [point for _, point in of_run]), key)
            for key, of_run in groupby(batch, key=lambda item: order_key(item[0]))
        ]
        states = [state for state, _ in batch]
        future = self._executor.submit(
            judge_states,
            plan.model,
            plan.hardware.encoding,
            runs,
            [self._judgements[state] for state in states],
            exactly,
            rule,
            self._torch_device,
        )
        self._tasks.append((states, future))
        self._collect(_TASKS_WAITING)

    def _states(self, plan: Plan, points: Sequence[Point]) -> Changes | list[Weights]:
        """Return states, those of a device in the order of time."""
        if self._is_dense(plan):
            return [self._stretch(point).snapshot.held_at(point[2]).weights() for point in points]
        if plan.name not in self._transitions:
            self._transitions[plan.name] = Transitions(plan.model, plan.hardware.encoding)
        overlays = (
            overlay
            for _, of_stretch in groupby(points, key=lambda point: point[:2])
            for same in [list(of_stretch)]
            for overlay in self._stretch(same[0]).snapshot.overlays([time for *_, time in same], plan.model)
        )
        return self._transitions[plan.name].between(overlays, independent=False)

    def _is_dense(self, plan: Plan) -> bool:
        """Whether states are given by all their weights: where all of them drift, and for the plain path."""
        return self._plain or plan.group.technology.drift != "none"

    def _stretch(self, point: Point) -> Stretch:
        return self._records[point[0]].stretches[point[1]]

    def _order_key(self, state: int) -> int:
        device = self._found_at[state][0]
        group = self._records[device].group
        return device_key(self._draw, group, device - self._first_devices[group], "spec pictures")

    @cached_property
    def _first_devices(self) -> dict[str, int]:
        """The number of each group's first device; looked up when devices are observed, as records are still to come when a judge is made."""
        first: dict[str, int] = {}
        for number, record in enumerate(self._records):
            first.setdefault(record.group, number)
        return first

    def _collect(self, most_waiting: int) -> None:
        while len(self._tasks) > most_waiting:
            states, future = self._tasks.popleft()
            for state, judgement in zip(states, future.result(), strict=True):
                self._judgements[state] = judgement
            self._under_way.difference_update(states)

    def _group(self, point: Point) -> str:
        return self._records[point[0]].group

    def _estimate(self, point: Point) -> tuple[float, float]:
        return estimate(self._judgements[self._state[point]], self._rules[self._group(point)])

    def _exactly(self, point: Point) -> int | None:
        return correct_if_known(self._judgements[self._state[point]], self._rules[self._group(point)])


def _rule(plan: Plan, confidence: float) -> Rule:
    return Rule(
        plan.group.network.data, plan.spec_pictures, plan.spec_correct, plan.required_correct, confidence
    )


def _grid(stretch: Stretch, report_times_ns: Iterable[int]) -> list[int]:
    """Return when a stretch is judged: its ends and the report times inside."""
    inside = [time_ns for time_ns in report_times_ns if stretch.start_ns < time_ns < stretch.end_ns]
    return [stretch.start_ns, *inside, stretch.end_ns]


def _runs(records: Sequence[DeviceRecord], horizon_ns: int, point: Point) -> bool:
    """Return whether a device goes on at a point: at the end of a stretch an intervention begins, but at the horizon."""
    device, i, time_ns = point
    return time_ns < records[device].stretches[i].end_ns or time_ns == horizon_ns


def _rankings(
    records: Sequence[DeviceRecord], reported: Iterable[Point], among_others: bool
) -> list[tuple[list[Point], int]]:
    """Return the points among which lowest accuracies are sought, and how many of the lowest matter: of the fleet and of
    each group at each time, and of each device over time.
    """
    rankings: dict[tuple, list[Point]] = {}
    for point in sorted(reported):
        device, _, time_ns = point
        for ranking in ((time_ns,), (time_ns, records[device].group), (None, device)):
            rankings.setdefault(ranking, []).append(point)
    return [
        (points, 1 if ranking[0] is None else how_many_matter(len(points), among_others))
        for ranking, points in rankings.items()
    ]


def _bisect(
    judge: _Judge, points: set[Point], resolution_ns: int
) -> dict[tuple[int, int], list[tuple[int, bool]]]:
    """Return for each (device, stretch) the times at which it crossed, each with the side that it crossed to."""
    pieces = [(a, b) for a, b in pairwise(sorted(points)) if a[:2] == b[:2]]

    def differing() -> list[tuple[Point, Point]]:
        return [(a, b) for a, b in pieces if judge.in_spec(a) != judge.in_spec(b)]

    # Evaluated in full, an end may turn out to be on the other side, and then differ from its other neighbour.
    while unsure := {end for piece in differing() for end in piece if not judge.is_exact(end)}:
        judge.ask(sorted(unsure), exactly=True)
    open_pieces = differing()
    crossings: dict[tuple[int, int], list[tuple[int, bool]]] = {}
    while open_pieces:
        halved = []
        for a, b in open_pieces:
            if b[2] - a[2] <= resolution_ns:
                # The middle: right on average, and never so near to an intervention that the time out of spec before it vanishes.
                crossings.setdefault(a[:2], []).append(((a[2] + b[2]) // 2, judge.in_spec(b)))
            else:
                halved.append((a, (*a[:2], (a[2] + b[2]) // 2), b))
        judge.ask([middle for _, middle, _ in halved], exactly=True)
        open_pieces = [(a, m) if judge.in_spec(a) != judge.in_spec(m) else (m, b) for a, m, b in halved]
    return crossings


def _spans(
    crossings: list[tuple[int, bool]], stretch: Stretch, judge: _Judge, where: tuple[int, int]
) -> list[SpecSpan]:
    start_ns, in_spec = stretch.start_ns, judge.in_spec((*where, stretch.start_ns))
    spans = []
    for time_ns, side in sorted(crossings):
        spans.append(SpecSpan(start_ns, time_ns, in_spec))
        start_ns, in_spec = time_ns, side
    return [*spans, SpecSpan(start_ns, stretch.end_ns, in_spec)]
