"""What nobody in the fleet knows: the true, noise-free accuracy of every device, and when it was in spec.

Observation steers nothing, so it happens after the simulation, in bulk. Accuracy is judged at the report times and just after and just
before every intervention; inside a piece of time whose ends differ, the crossing is bisected to the scenario's resolution. Accuracy
is not monotone: an excursion that begins and ends between two such times is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from lifesim.fleet.build import Plan
from lifesim.fleet.records import Stretch
from lifesim.fleet.silicon import Held
from lifesim.fleet.simulation import FleetRecord
from lifesim.network.evaluate import correct_in_part

_BYTES_PER_TASK = 8 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of a device at one time: correct pictures of the spec set, stuck and expired cells."""

    time_ns: int
    correct: int
    stuck_cells: int
    expired_cells: int


@dataclass(frozen=True, slots=True)
class SpecSpan:
    """A piece of a stretch that was wholly in spec or wholly out of spec."""

    start_ns: int
    end_ns: int
    in_spec: bool


Judged = list[tuple[int, int]]
"""Times (ns) in order, each with the correct pictures of the spec set."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The truth about one device: samples at the report times at which it was running; for each of its stretches, spans in order.

    ``judged``: for each stretch, every time at which it was judged, its start and end among them.
    """

    samples: list[Sample]
    spans: list[list[SpecSpan]]
    judged: list[Judged]


def observe(
    fleet: FleetRecord,
    report_times_ns: list[int],
    resolution_ns: int,
    executor: Executor,
    torch_device: str = "cpu",
    on_progress: Callable[[float], None] = lambda share: None,
) -> list[Observed]:
    """Return the truth about each device, in the order of ``fleet.devices``."""
    judge = _Judge(fleet, executor, torch_device)
    points = {
        (device, i, time_ns)
        for device, record in enumerate(fleet.devices)
        for i, stretch in enumerate(record.stretches)
        for time_ns in _grid(stretch, report_times_ns)
    }
    judge.ask(sorted(points), on_progress)
    crossings = _bisect(judge, fleet, points, resolution_ns)
    judged = judge.judged()
    return [
        Observed(
            [
                judge.sample((device, i, time_ns))
                for i, stretch in enumerate(record.stretches)
                for time_ns in report_times_ns
                if stretch.start_ns <= time_ns < stretch.end_ns
                or time_ns == stretch.end_ns == fleet.horizon_ns
            ],
            [
                _spans(crossings.get((device, i), []), stretch, judge, (device, i))
                for i, stretch in enumerate(record.stretches)
            ],
            [judged[device, i] for i in range(len(record.stretches))],
        )
        for device, record in enumerate(fleet.devices)
    ]


Point = tuple[int, int, int]  # device, stretch, time in ns


class _Judge:
    """Answers how many pictures a device got right at a point, and evaluates each distinct state once."""

    def __init__(self, fleet: FleetRecord, executor: Executor, torch_device: str):
        self._fleet = fleet
        self._executor = executor
        self._torch_device = torch_device
        self._state: dict[Point, tuple] = {}
        self._cells: dict[Point, tuple[int, int]] = {}
        self._correct: dict[tuple, int] = {}

    def ask(self, points: list[Point], on_progress: Callable[[float], None] = lambda share: None) -> None:
        """Evaluate the states at ``points``."""
        tasks: list[tuple[list[tuple], Future]] = []
        batch: list[tuple[tuple, Held]] = []
        for number, point in enumerate(points):
            device, i, time_ns = point
            record = self._fleet.devices[device]
            held = record.stretches[i].snapshot.held_at(time_ns)
            cells = held.stuck_cells, held.expired_cells
            # Without faults all devices with the same model are alike.
            state = (
                record.group,
                None if held.as_new else (device, record.stretches[i].generation),
                held.key,
            )
            self._state[point], self._cells[point] = state, cells
            if state not in self._correct:
                self._correct[state] = -1
                batch.append((state, held))
            full = batch and len(batch) * 2 * held.model.architecture.weights >= _BYTES_PER_TASK
            changes_group = (
                number + 1 == len(points) or self._fleet.devices[points[number + 1][0]].group != record.group
            )
            if batch and (full or changes_group):
                tasks.append(self._submit(self._fleet.plans[record.group], batch))
                batch = []
                self._collect(tasks, most_waiting=8)
                on_progress((number + 1) / len(points))
        self._collect(tasks, most_waiting=0)

    def in_spec(self, point: Point) -> bool:
        plan = self._fleet.plans[self._fleet.devices[point[0]].group]
        return self._correct[self._state[point]] >= plan.required_correct

    def sample(self, point: Point) -> Sample:
        return Sample(point[2], self._correct[self._state[point]], *self._cells[point])

    def judged(self) -> dict[tuple[int, int], Judged]:
        """Return all that is known of each (device, stretch)."""
        known: dict[tuple[int, int], Judged] = {}
        for point in sorted(self._state):
            known.setdefault(point[:2], []).append((point[2], self._correct[self._state[point]]))
        return known

    def _submit(self, plan: Plan, batch: list[tuple[tuple, Held]]) -> tuple[list[tuple], Future]:
        codes = [held.weights() for _, held in batch]
        future = self._executor.submit(
            correct_in_part, plan.model, codes, plan.group.network.data, "spec", self._torch_device
        )
        return [state for state, _ in batch], future

    def _collect(self, tasks: list[tuple[list[tuple], Future]], most_waiting: int) -> None:
        while len(tasks) > most_waiting:
            states, future = tasks.pop(0)
            self._correct.update(zip(states, future.result().tolist(), strict=True))


def _grid(stretch: Stretch, report_times_ns: Iterable[int]) -> list[int]:
    """Return when a stretch is judged: its ends and the report times inside."""
    inside = [time_ns for time_ns in report_times_ns if stretch.start_ns < time_ns < stretch.end_ns]
    return [stretch.start_ns, *inside, stretch.end_ns]


def _bisect(
    judge: _Judge, fleet: FleetRecord, points: set[Point], resolution_ns: int
) -> dict[tuple[int, int], list[tuple[int, bool]]]:
    """Return for each (device, stretch) the times at which it crossed, each with the side that it crossed to."""
    ordered = sorted(points)
    open_pieces = [
        (a, b)
        for a, b in zip(ordered, ordered[1:], strict=False)
        if a[:2] == b[:2] and judge.in_spec(a) != judge.in_spec(b)
    ]
    crossings: dict[tuple[int, int], list[tuple[int, bool]]] = {}
    while open_pieces:
        halved = []
        for a, b in open_pieces:
            if b[2] - a[2] <= resolution_ns:
                # The middle: right on average, and never so near to an intervention that the time out of spec before it vanishes.
                crossings.setdefault(a[:2], []).append(((a[2] + b[2]) // 2, judge.in_spec(b)))
            else:
                halved.append((a, (*a[:2], (a[2] + b[2]) // 2), b))
        judge.ask([middle for _, middle, _ in halved])
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
