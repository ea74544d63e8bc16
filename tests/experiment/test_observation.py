"""When devices were in spec: against daily brute force, and without evaluating anything twice."""

from __future__ import annotations

import itertools
from concurrent.futures import Executor, Future
from types import SimpleNamespace

import numpy as np
import pytest

from lifesim.experiment.observation import _bisect, _Judge, _spans, observe
from lifesim.fleet.clock import to_ns
from lifesim.fleet.records import DeviceRecord, State, Stretch
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator

DAY_NS = 86_400 * 10**9


def brute_force(lived, number: int, stretch: Stretch, times_ns: list[int]) -> list[int]:
    """Return how many spec pictures a device gets right at each time of a stretch: no sharing, no keys."""
    plan = lived.plans[lived.fleet.devices[number].group]
    pictures, labels = load_dataset("mnist5k").part("spec")
    codes = [stretch.snapshot.held_at(time_ns).weights() for time_ns in times_ns]
    return Evaluator.of(plan.model).correct(codes, pictures, labels).tolist()


def crosses_once_at_most(in_spec: list[bool]) -> bool:
    return sum(a != b for a, b in itertools.pairwise(in_spec)) <= 1


@pytest.mark.parametrize("group", ["harsh", "forgotten"])
def test_spans_agree_with_a_daily_evaluation(lived, group: str) -> None:
    number = next(r.device for r in lived.fleet.devices if r.group == group)
    record, observed = lived.fleet.devices[number], lived.observed[number]
    required = lived.plans[group].required_correct
    resolution_ns = to_ns(lived.scenario.spec.resolution_s)
    crossings = pieces = 0
    for stretch, spans in zip(record.stretches, observed.spans, strict=True):
        grid = [
            stretch.start_ns,
            *(t for t in lived.edges_ns if stretch.start_ns < t < stretch.end_ns),
            stretch.end_ns,
        ]
        for start_ns, end_ns in itertools.pairwise(grid):
            days = [start_ns, *range(start_ns + DAY_NS, end_ns, DAY_NS), end_ns]
            truth = [correct >= required for correct in brute_force(lived, number, stretch, days)]
            if not crosses_once_at_most(truth):
                continue  # an excursion, of which bisection promises nothing
            pieces += 1
            change = next((i for i in range(1, len(days)) if truth[i] != truth[i - 1]), None)
            crossings += change is not None
            for day, in_spec in zip(days, truth, strict=True):
                near = (
                    change is not None
                    and days[change - 1] - resolution_ns < day < days[change] + resolution_ns
                )
                said = next(s.in_spec for s in reversed(spans) if s.start_ns <= day)
                assert near or said == in_spec
    assert crossings >= 1
    assert pieces > 10


def test_samples_are_the_truth_at_the_report_times_at_which_a_device_was_running(lived) -> None:
    for number in (0, 5, 11):
        record, samples = lived.fleet.devices[number], {s.time_ns: s for s in lived.observed[number].samples}
        for time_ns in lived.edges_ns:
            (state,) = {
                s.state
                for s in record.segments
                if s.start_ns <= time_ns < s.end_ns or time_ns == s.end_ns == lived.fleet.horizon_ns
            }
            running = state in (State.SERVING, State.TESTING)
            assert (time_ns in samples) == running
            if running:
                stretch = [s for s in record.stretches if s.start_ns <= time_ns][-1]
                held = stretch.snapshot.held_at(time_ns)
                sample = samples[time_ns]
                assert [sample.correct] == brute_force(lived, number, stretch, [time_ns])
                assert (sample.stuck_cells, sample.expired_cells) == (held.stuck_cells, held.expired_cells)
        assert len(samples) == len(lived.observed[number].samples)


def test_spans_fill_their_stretch_and_change_sides(lived) -> None:
    for record, observed in zip(lived.fleet.devices, lived.observed, strict=True):
        for stretch, spans in zip(record.stretches, observed.spans, strict=True):
            assert (spans[0].start_ns, spans[-1].end_ns) == (stretch.start_ns, stretch.end_ns)
            for a, b in itertools.pairwise(spans):
                assert a.end_ns == b.start_ns and a.in_spec != b.in_spec


def test_every_state_is_evaluated_once(lived, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = _Judge(lived.fleet, None, "cpu")
    asked: list[tuple] = []
    monkeypatch.setattr(
        judge, "_submit", lambda plan, batch: asked.extend(state for state, _ in batch) or ([], None)
    )
    monkeypatch.setattr(judge, "_collect", lambda tasks, most_waiting: tasks.clear())
    points = [
        (number, i, time_ns)
        for number, record in enumerate(lived.fleet.devices)
        for i, stretch in enumerate(record.stretches)
        for time_ns in (stretch.start_ns, (stretch.start_ns + stretch.end_ns) // 2, stretch.end_ns)
    ]
    judge.ask(points)
    judge.ask(points)
    truly = set()
    for number, i, time_ns in points:
        record = lived.fleet.devices[number]
        held = record.stretches[i].snapshot.held_at(time_ns)
        faulty = tuple(tuple(sorted(cells.tolist())) for f in held.faults for cells in (f.stuck, f.expired))
        truly.add((record.group, number if any(faulty) else None, held.model.digest, faulty))
    assert len(asked) == len(set(asked)) == len(truly)
    assert len(truly) < len(points)


# -- devices made up for the purpose --


class MadeUpState:
    """What a made-up device holds: so many stuck cells, and weights that get so many pictures right."""

    expired_cells = 0

    def __init__(self, faults: int, correct: int) -> None:
        self.key, self.stuck_cells, self._correct = ("one model", faults), faults, correct
        self.as_new = not faults
        self.model = SimpleNamespace(architecture=SimpleNamespace(weights=1))

    def weights(self) -> int:
        return self._correct


class Reader(Executor):
    """Takes the weights for the answer, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def submit(self, fn, model, codes, dataset, part, device) -> Future:
        self.asked += codes
        future: Future = Future()
        future.set_result(np.array(codes))
        return future


def made_up_fleet(*devices: list[tuple[int, int, int, int]]) -> SimpleNamespace:
    """Devices of one group; each a list of stretches: start, end, faults, correct pictures."""
    records = []
    for number, stretches in enumerate(devices):
        record = DeviceRecord("all", number, None)
        for start_ns, end_ns, faults, correct in stretches:
            state = MadeUpState(faults, correct)
            snapshot = SimpleNamespace(held_at=lambda time_ns, state=state: state)
            record.stretches.append(Stretch(start_ns, end_ns, snapshot))
        records.append(record)
    group = SimpleNamespace(network=SimpleNamespace(data=""))
    plan = SimpleNamespace(model=None, group=group, required_correct=50)
    return SimpleNamespace(devices=records, plans={"all": plan}, horizon_ns=100)


def test_devices_with_equally_many_faults_are_not_taken_for_one_another() -> None:
    reader = Reader()
    observed = observe(made_up_fleet([(0, 100, 3, 70)], [(0, 100, 3, 40)]), [0, 100], 1, reader)
    assert [[s.correct for s in o.samples] for o in observed] == [[70, 70], [40, 40]]
    assert reader.asked == [70, 40]


def test_devices_without_faults_are_evaluated_once_for_all() -> None:
    reader = Reader()
    observed = observe(made_up_fleet([(0, 100, 0, 70)], [(0, 100, 0, 70)]), [0, 50, 100], 1, reader)
    assert [len(o.samples) for o in observed] == [3, 3]
    assert reader.asked == [70]


def test_a_device_is_not_sampled_at_the_instant_at_which_an_intervention_begins() -> None:
    device = [(0, 50, 1, 70), (60, 90, 1, 70), (100, 100, 1, 70)]
    (observed,) = observe(made_up_fleet(device), [0, 50, 60, 90, 100], 1, Reader())
    assert [s.time_ns for s in observed.samples] == [0, 60, 100]


# -- bisection, of a device that is what a function says --


class Scripted:
    """Judges points by a function of time; counts the questions."""

    def __init__(self, in_spec) -> None:
        self._in_spec = in_spec
        self.asked = 0

    def ask(self, points) -> None:
        self.asked += len(points)

    def in_spec(self, point) -> bool:
        return self._in_spec(point[2])


def scripted_spans(in_spec, grid: list[int], resolution_ns: int):
    judge, stretch = Scripted(in_spec), Stretch(grid[0], grid[-1], None)
    crossings = _bisect(judge, None, {(0, 0, t) for t in grid}, resolution_ns)
    return _spans(crossings.get((0, 0), []), stretch, judge, (0, 0)), judge.asked


@pytest.mark.parametrize("crossing_ns", [1, 2, 499, 500, 501, 998, 999, 1000])
@pytest.mark.parametrize("resolution_ns", [1, 10, 64])
def test_bisection_finds_a_crossing_to_half_the_resolution(crossing_ns: int, resolution_ns: int) -> None:
    spans, asked = scripted_spans(lambda t: t < crossing_ns, [0, 1000], resolution_ns)
    assert [s.in_spec for s in spans] == [True, False]
    assert abs(spans[0].end_ns - crossing_ns) <= -(-resolution_ns // 2)
    assert asked <= np.ceil(np.log2(1000 / resolution_ns))
    if resolution_ns > 1:
        assert all(s.end_ns > s.start_ns for s in spans)


def test_every_piece_of_the_grid_has_its_own_crossing() -> None:
    spans, _ = scripted_spans(lambda t: t < 150 or t >= 720, [0, 100, 200, 600, 800, 1000], 1)
    assert [(s.start_ns, s.in_spec) for s in spans] == [(0, True), (149, False), (719, True)]


def test_an_excursion_between_two_points_of_the_grid_is_missed() -> None:
    spans, asked = scripted_spans(lambda t: not 200 < t < 800, [0, 1000], 1)
    assert [s.in_spec for s in spans] == [True] and asked == 0
