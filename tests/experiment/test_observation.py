"""When devices were in spec: against daily brute force, and without evaluating anything twice."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lifesim.experiment import observation
from lifesim.experiment.accounting import lowest_accuracies, mean_accuracy_se
from lifesim.experiment.executors import InProcessExecutor, make_executor
from lifesim.experiment.judging import Judgement, Rule, as_new, judge, piece_order
from lifesim.experiment.observation import Observed, Observer, Sample, _bisect, _Judge, _spans
from lifesim.experiment.paired import Tally
from lifesim.fleet.clock import to_ns
from lifesim.fleet.keys import Draw, draw_of
from lifesim.fleet.records import DeviceRecord, State, Stretch
from lifesim.fleet.silicon import Condition
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
                (correct,) = brute_force(lived, number, stretch, [time_ns])
                assert sample.accuracy == sample.full_accuracy == correct / 1000
                assert sample.in_spec == (correct >= lived.plans[record.group].required_correct)
                assert sample.accuracy_se == 0.0
                assert sample.stuck_cells == sum(len(f.stuck) for f in held.faults)
                assert sample.expired_cells == sum(len(f.expired) for f in held.faults)
        assert len(samples) == len(lived.observed[number].samples)


def test_spans_fill_their_stretch_and_change_sides(lived) -> None:
    for record, observed in zip(lived.fleet.devices, lived.observed, strict=True):
        for stretch, spans in zip(record.stretches, observed.spans, strict=True):
            assert (spans[0].start_ns, spans[-1].end_ns) == (stretch.start_ns, stretch.end_ns)
            for a, b in itertools.pairwise(spans):
                assert a.end_ns == b.start_ns and a.in_spec != b.in_spec


def test_every_state_is_evaluated_once(lived, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def judged_as_new(model, encoding, runs, known, exactly, rule, device) -> list[Judgement]:
        asked.append(len(known))
        assert sum(map(len, runs)) == len(known)
        return [as_new(rule)] * len(known)

    monkeypatch.setattr("lifesim.experiment.observation.judge_states", judged_as_new)
    judge = _Judge(lived.plans, lived.fleet.devices, InProcessExecutor(), "cpu")
    points = [
        (number, i, time_ns)
        for number, record in enumerate(lived.fleet.devices)
        for i, stretch in enumerate(record.stretches)
        for time_ns in (stretch.start_ns, (stretch.start_ns + stretch.end_ns) // 2, stretch.end_ns)
    ]
    judge.ask(points)
    judge.ask(points)
    truly, keys = set(), set()
    for number, i, time_ns in points:
        record = lived.fleet.devices[number]
        held = record.stretches[i].snapshot.held_at(time_ns)
        faulty = tuple(tuple(sorted(cells.tolist())) for f in held.faults for cells in (f.stuck, f.expired))
        as_deployed = held.model.digest == lived.plans[record.group].model.digest
        if any(faulty) or not as_deployed:
            unit = (number, record.stretches[i].generation) if any(faulty) else None
            truly.add((record.group, unit, held.model.digest, faulty))
            keys.add((record.group, unit, held.condition.key))
    # States are told apart by how they came about: a few are the same.
    assert len(truly) <= len(keys) == sum(asked) < len(points)
    assert sum(asked) < 1.2 * len(truly)


def observe(
    fleet, report_times_ns: list[int], resolution_ns: int, executor: Executor, **how
) -> list[Observed]:
    observer = Observer(fleet.plans, fleet.devices, report_times_ns, executor, **how)
    return observer.observed(fleet.horizon_ns, resolution_ns)


@pytest.mark.parametrize("confidence", [1.0, 0.95])
def test_whoever_follows_sees_what_is_seen_in_the_end(lived, monkeypatch, confidence: float) -> None:
    """Records are shown as far as they had been written by some times; what they hide must not have been asked for."""
    monkeypatch.setattr(observation, "_POINTS_AT_ONCE", 3)
    resolution_ns, draw = to_ns(lived.scenario.spec.resolution_s), draw_of(lived.scenario)
    records = [DeviceRecord(r.group, r.device, r.grid, r.commissioned_ns) for r in lived.fleet.devices]
    executor = Counting()
    observer = Observer(lived.plans, records, lived.edges_ns, executor, confidence=confidence, draw=draw)
    horizon_ns = lived.fleet.horizon_ns
    for now_ns in range(horizon_ns // 7, horizon_ns, horizon_ns // 7):
        for shown, record in zip(records, lived.fleet.devices, strict=True):
            shown.stretches = [
                replace(s, end_ns=s.end_ns if s.end_ns < now_ns else horizon_ns)
                for s in record.stretches
                if s.start_ns < now_ns
            ]
        observer.follow(now_ns)
    before = executor.submitted
    for shown, record in zip(records, lived.fleet.devices, strict=True):
        shown.stretches = record.stretches
    observed = observer.observed(horizon_ns, resolution_ns)
    assert observed == observe(
        lived.fleet, lived.edges_ns, resolution_ns, InProcessExecutor(), confidence=confidence, draw=draw
    )
    assert before > 10


class Counting(InProcessExecutor):
    submitted = 0

    def submit(self, fn, /, *args, **kwargs) -> Future:
        self.submitted += 1
        return super().submit(fn, *args, **kwargs)


# -- from some of the pictures --

CONFIDENCE = 0.95


def sampled(lived, executor: Executor, plain: bool = False) -> list[Observed]:
    resolution_ns, draw = to_ns(lived.scenario.spec.resolution_s), draw_of(lived.scenario)
    return observe(
        lived.fleet, lived.edges_ns, resolution_ns, executor, confidence=CONFIDENCE, draw=draw, plain=plain
    )


@pytest.fixture(scope="module")
def estimated(lived) -> list[Observed]:
    return sampled(lived, InProcessExecutor())


def test_crossings_are_exact_whatever_the_confidence(lived, estimated) -> None:
    assert [o.spans for o in estimated] == [o.spans for o in lived.observed]
    assert sum(len(spans) > 1 for o in estimated for spans in o.spans) > 5
    verdicts = [[s.in_spec for s in o.samples] for o in estimated]
    assert verdicts == [[s.in_spec for s in o.samples] for o in lived.observed]


def test_estimates_agree_with_the_truth_within_their_errors(lived, estimated) -> None:
    """At each report time the mean over devices, each of which has looked at pictures of its own."""
    exact, some = (
        {t: [s for o in found for s in o.samples if s.time_ns == t] for t in lived.edges_ns}
        for found in (lived.observed, estimated)
    )
    scores = []
    for time_ns in lived.edges_ns[1:]:
        error = sum(s.accuracy - t.full_accuracy for s, t in zip(some[time_ns], exact[time_ns], strict=True))
        spread = np.sqrt(sum(s.accuracy_se**2 for s in some[time_ns]))
        scores.append(error / spread)
    assert np.abs(scores).max() < 3


@pytest.mark.parametrize("plain", [False, True])
def test_what_is_found_depends_on_the_seed_alone(
    lived, estimated, plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on how states are dealt out to how many processes, nor on the path on which they are evaluated."""
    monkeypatch.setattr(observation, "_BYTES_PER_TASK", 1 << 20)
    monkeypatch.setattr(observation, "_STATES_PER_TASK", 5)
    with make_executor(2) as executor:
        assert sampled(lived, executor, plain) == estimated


# -- devices made up for the purpose --


class MadeUp:
    """The snapshot of a device that is in one condition all the time, with such ``weights``."""

    def __init__(self, condition: Condition, weights: Any, digest: str) -> None:
        self.model = SimpleNamespace(digest=digest)
        self._condition, self._weights = condition, weights

    def conditions(self, times_ns: list[int]) -> list[Condition]:
        return [self._condition] * len(times_ns)

    def held_at(self, time_ns: int) -> SimpleNamespace:
        return SimpleNamespace(weights=lambda: self._weights)


class Reader(Executor):
    """Takes the weights for the answer, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def submit(self, fn, model, encoding, runs, known, exactly, rule, device) -> Future:
        correct = [n for run in runs for n in run.states]
        self.asked += correct
        future: Future = Future()
        future.set_result([seen_in_full(n, rule) for n in correct])
        return future


def seen_in_full(correct: int, rule: Rule) -> Judgement:
    net = correct - rule.clean_correct
    seen = Tally(rule.clean_correct, rule.pictures - rule.clean_correct, max(0, -net), max(0, net))
    return Judgement(rule.pieces, seen, rule.pieces, net, net**2, correct >= rule.required)


def made_up_fleet(
    *devices: list[tuple[int, int, int, int]], digest: str = "one model", clean: str = "another"
) -> SimpleNamespace:
    """Devices of one group; each a list of stretches: start, end, faults, correct pictures. ``digest``: of their model; ``clean``: of the group's."""
    records = []
    for number, stretches in enumerate(devices):
        record = DeviceRecord("all", number, None)
        for start_ns, end_ns, faults, correct in stretches:
            condition = Condition((digest, faults), faults, 0, not faults)
            record.stretches.append(Stretch(start_ns, end_ns, MadeUp(condition, correct, digest)))
        records.append(record)
    plan = SimpleNamespace(
        name="all",
        model=SimpleNamespace(architecture=SimpleNamespace(weights=1), digest=clean),
        group=SimpleNamespace(network=SimpleNamespace(data=""), technology=SimpleNamespace(drift="none")),
        hardware=SimpleNamespace(encoding=None),
        spec_pictures=100,
        spec_correct=90,
        required_correct=50,
    )
    return SimpleNamespace(devices=records, plans={"all": plan}, horizon_ns=100)


def test_devices_with_equally_many_faults_are_not_taken_for_one_another() -> None:
    reader = Reader()
    observed = observe(made_up_fleet([(0, 100, 3, 70)], [(0, 100, 3, 40)]), [0, 100], 1, reader, plain=True)
    assert [[s.accuracy for s in o.samples] for o in observed] == [[0.7, 0.7], [0.4, 0.4]]
    assert [[s.in_spec for s in o.samples] for o in observed] == [[True, True], [False, False]]
    assert reader.asked == [70, 40]


def test_devices_without_faults_are_evaluated_once_for_all() -> None:
    reader = Reader()
    observed = observe(
        made_up_fleet([(0, 100, 0, 70)], [(0, 100, 0, 70)]), [0, 50, 100], 1, reader, plain=True
    )
    assert [len(o.samples) for o in observed] == [3, 3]
    assert reader.asked == [70]


def test_devices_as_deployed_are_not_evaluated_at_all() -> None:
    reader = Reader()
    fleet = made_up_fleet([(0, 50, 0, 90), (60, 100, 2, 80)], digest="clean", clean="clean")
    (observed,) = observe(fleet, [0, 100], 1, reader, plain=True)
    assert [s.accuracy for s in observed.samples] == [0.9, 0.8]
    assert reader.asked == [80]


def test_a_device_is_not_sampled_at_the_instant_at_which_an_intervention_begins() -> None:
    device = [(0, 50, 1, 70), (60, 90, 1, 70), (100, 100, 1, 70)]
    (observed,) = observe(made_up_fleet(device), [0, 50, 60, 90, 100], 1, Reader(), plain=True)
    assert [s.time_ns for s in observed.samples] == [0, 60, 100]


# -- bisection, of a device that is what a function says --


class Scripted:
    """Judges points by a function of time; counts the questions."""

    def __init__(self, in_spec) -> None:
        self._in_spec = in_spec
        self.asked = 0

    def ask(self, points, exactly) -> None:
        assert exactly
        self.asked += len(points)

    def is_exact(self, point) -> bool:
        return True

    def in_spec(self, point) -> bool:
        return self._in_spec(point[2])


def scripted_spans(in_spec, grid: list[int], resolution_ns: int):
    judge, stretch = Scripted(in_spec), Stretch(grid[0], grid[-1], None)
    crossings = _bisect(judge, {(0, 0, t) for t in grid}, resolution_ns)
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


# -- a larger group, made up picture by picture --


@dataclass(frozen=True)
class Vectors:
    """Devices over some report times, a state each; what the clean network and each state get right."""

    fleet: SimpleNamespace
    times_ns: list[int]
    clean: np.ndarray
    right: np.ndarray  # [devices, times, pictures]


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """Most devices lose a few pictures of a thousand and gain some; one in twenty loses more than the tolerance allows."""
    devices, times, pictures, wrong = 60, 8, 1000, 40
    rng = np.random.default_rng(11)
    clean = rng.permutation(np.arange(pictures) >= wrong)
    right = np.tile(clean, (devices, times, 1))
    for device, state in np.ndindex(devices, times):
        losses = rng.poisson(3) + (rng.random() < 0.05) * rng.integers(5, 200)
        vector = right[device, state]
        vector[rng.choice(np.flatnonzero(clean), losses, replace=False)] = False
        vector[rng.choice(np.flatnonzero(~clean), rng.poisson(2), replace=False)] = True
    times_ns = list(range(0, 100 * times, 100))
    records = []
    for device in range(devices):
        record = DeviceRecord("all", device, None)
        for i, start_ns in enumerate(times_ns):
            snapshot = MadeUp(Condition((device, i), 1, 0, False), right[device, i], "retrained")
            record.stretches.append(Stretch(start_ns, start_ns + 50, snapshot))
        records.append(record)
    plan = SimpleNamespace(
        name="all",
        model=SimpleNamespace(architecture=SimpleNamespace(weights=1 << 17), digest="clean"),
        group=SimpleNamespace(network=SimpleNamespace(data=None), technology=SimpleNamespace(drift="none")),
        hardware=SimpleNamespace(encoding=None),
        spec_pictures=pictures,
        spec_correct=pictures - wrong,
        required_correct=pictures - wrong - 10,
    )
    return Vectors(
        SimpleNamespace(devices=records, plans={"all": plan}, horizon_ns=10**6), times_ns, clean, right
    )


def pieces_and_samples(
    vectors: Vectors, confidence: float, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[int], list[list[Sample]]]:
    """How many pieces were looked at of each state, and the samples [times][devices]."""
    looked_at: dict[int, int] = {}

    def judged(model, encoding, runs, known, exactly, rule, device) -> list[Judgement]:
        found = []
        states = [(state, run.order_key) for run in runs for state in run.states]
        for (state, key), before in zip(states, known, strict=True):

            def correct(which, pieces, state=state) -> np.ndarray:
                return state[None, np.isin(np.arange(len(state)) // 16, pieces)]

            order = piece_order(key, rule.pieces)
            found += judge(correct, [before], vectors.clean, order, exactly, rule)
            looked_at[id(state)] = looked_at.get(id(state), 0) + found[-1].pieces - before.pieces
        return found

    monkeypatch.setattr(observation, "judge_states", judged)
    observed = observe(
        vectors.fleet,
        vectors.times_ns,
        10,
        InProcessExecutor(),
        confidence=confidence,
        draw=Draw(3),
        plain=True,
    )
    return list(looked_at.values()), [list(row) for row in zip(*(o.samples for o in observed), strict=True)]


def test_the_lowest_accuracies_are_those_of_all_pictures(vectors: Vectors, monkeypatch) -> None:
    pieces, rows = pieces_and_samples(vectors, 0.99, monkeypatch)
    truth = vectors.right.mean(axis=2).T
    assert max(pieces) == 63 and np.mean(pieces) < 0.85 * 63
    equal = []
    for samples, accuracies in zip(rows, truth, strict=True):
        lowest = lowest_accuracies(samples)
        assert all(found in (math.inf, accuracy) for found, accuracy in zip(lowest, accuracies, strict=True))
        assert np.mean(np.isinf(lowest)) > 0.4
        equal.append(min(lowest) == accuracies.min())
        equal.append(np.percentile(lowest, 5) == np.percentile(accuracies, 5))
        assert np.percentile(lowest, 5) >= np.percentile(accuracies, 5)
        # A device that is out of spec is not overlooked.
        assert min(lowest) == accuracies.min() or accuracies.min() >= 0.95
    assert np.mean(equal) >= 0.9
    for device, accuracies in enumerate(truth.T):
        found = min(lowest_accuracies([samples[device] for samples in rows]))
        assert accuracies.min() <= found <= accuracies.min() + 0.002


def test_means_over_devices_are_unbiased(vectors: Vectors, monkeypatch) -> None:
    """Were accuracies that happen to be known in full taken as they are, the mean would be off: they are the low ones."""
    _, rows = pieces_and_samples(vectors, 0.99, monkeypatch)
    truth = vectors.right.mean(axis=2).T
    scores = [
        (np.mean([s.accuracy for s in samples]) - accuracies.mean()) / mean_accuracy_se(samples)
        for samples, accuracies in zip(rows, truth, strict=True)
    ]
    assert np.abs(scores).max() < 3
    assert 0.3 < np.std(scores) < 2


def test_with_confidence_1_all_is_known(vectors: Vectors, monkeypatch) -> None:
    pieces, rows = pieces_and_samples(vectors, 1.0, monkeypatch)
    assert pieces == [63] * 480
    accuracy = [[(s.accuracy, s.full_accuracy, s.accuracy_se) for s in samples] for samples in rows]
    assert accuracy == [[(x, x, 0.0) for x in row] for row in vectors.right.mean(axis=2).T]
