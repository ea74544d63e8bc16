"""The device's twin: its silicon, its backup, its test pictures. Everything a device does to itself or asks of itself.

The process in :mod:`lifesim.fleet.device` knows time and states, the twin knows cells and networks; tests drive the process with
other twins, such as one that fails at exponential times.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from lifesim.crossbar.cost import OperationCosts, Writing, cell_pulses_cost, pulses_cost
from lifesim.crossbar.diagnosis import Diagnosis
from lifesim.crossbar.faults import FaultMap, apply_map, differing_cells
from lifesim.crossbar.monitor import Deviations, Monitor
from lifesim.crossbar.programming import Programmed
from lifesim.detection.reading import ReadNoise, Readout
from lifesim.detection.schedules import Finding, Outcome, Trip
from lifesim.detection.screening import Window
from lifesim.detection.sequential import START, Cusum
from lifesim.detection.testset import TestSet
from lifesim.fleet.diagnosing import diagnose
from lifesim.fleet.lookahead import Announcement, Lookahead
from lifesim.fleet.prospect import Prospect
from lifesim.fleet.redeployment import Agreement, Redeployment
from lifesim.fleet.silicon import NEAREST, Silicon, Snapshot
from lifesim.fleet.truth import Truth
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.importance import Importance
from lifesim.recovery.placement import Placement, best_placement
from lifesim.streams import first_uniform, stream_key

_NOTHING_READ: Mapping[int, tuple[bool, int]] = MappingProxyType({})
_NOTHING_JUDGED: Mapping[int, bool] = MappingProxyType({})
_NOTHING_ADDED: Mapping[int, int] = MappingProxyType({})


@functools.cache
def _no_cells(layers: int) -> tuple[np.ndarray, ...]:
    return (np.empty(0, np.int64),) * layers


@functools.lru_cache(maxsize=64)
def _as_new(started_ns: int, banks: int) -> tuple[Programmed, ...]:
    """Return what the first programming leaves in each bank: the same for all devices that start together."""
    return (Programmed(started_ns, 0, 1),) * banks


@dataclass(frozen=True, slots=True, eq=False)
class Equipment:
    """What the twins of a group have in common: how they are tested and diagnosed, what their pulses cost, and what evaluates their networks.

    ``lookahead``: where windows of visits are looked into before they are read; None for the plain path alone. ``model``: what devices are deployed
    with; what has become of it is looked into as a change of it, like faults. ``fitting``: how devices write what their cells can hold; None:
    they write the backup.
    ``importance``: of the weights, where redeployments are for hidden units placed where the faults harm them least; else None. ``agreement``: with
    the cloud, on what redeployments change. ``prospect``: what devices that go by it can expect of their cells. ``truth``: for the oracle
    alone. ``known_baseline``: tests are compared with what the pictures should show, as long as that was worked out for all stuck cells that the
    device knows of.
    """

    rule: Readout
    noise: ReadNoise
    costs: OperationCosts
    diagnosis: Diagnosis
    evaluator: Evaluator
    lookahead: Lookahead | None = None
    model: Model | None = None
    fitting: Fitting | None = None
    importance: Importance | None = None
    agreement: Agreement | None = None
    prospect: Prospect | None = None
    truth: Truth | None = None
    known_baseline: bool = False


class _Baseline(NamedTuple):
    """A baseline without noise that nobody has asked about: it is read with what will be compared with it, or never."""

    snapshot: Snapshot
    time_ns: int


class DeviceTwin:
    """One device: programmed with ``model`` at ``started_ns``, tested with ``test_set``; ``noise_key`` addresses its read noise."""

    __slots__ = (
        "silicon", "model", "_started_ns", "fitted_to", "placement", "solved", "programmed", "test_set", "_golden", "_made_for", "_baseline", "_equipment", "_noise_key",
        "_known_wrong", "_changed", "_reported", "_halted_ns", "_first_read_at", "_progress_at", "_sum_at", "_announced", "_sums_off", "_begun_ns", "_diagnosed",
        "_out_of_spec_at",
    )  # fmt: skip

    def __init__(
        self,
        silicon: Silicon,
        model: Model,
        test_set: TestSet,
        equipment: Equipment,
        noise_key: int,
        started_ns: int = 0,
    ):
        self.silicon = silicon
        self.model = model  # in the backup
        self._started_ns = started_ns
        self.programmed = _as_new(started_ns, len(silicon.banks))
        # The factory test has found what was stuck when the device was programmed for the first time.
        self.fitted_to = silicon.stuck_map(self.programmed, started_ns) if equipment.fitting else None
        self.placement: Placement | None = None
        self.solved: FaultMap | None = None  # what the backup was retrained for
        self.test_set = test_set
        self._golden = test_set.golden
        # Digest of the stuck cells for which that was worked out.
        self._made_for: bytes | None = None
        self._baseline: _Baseline | None = None
        self._equipment = equipment
        self._noise_key = noise_key
        self._known_wrong = _no_cells(len(model.codes))
        self._changed = self._known_wrong  # cells that are to hold something else than was programmed last
        self._reported: FaultMap | None = (
            None  # what the device knows, as far as reloads go; None: what the factory test has found
        )
        self._sums_off: Deviations | None = (
            None  # how far sums are off the image's and should be; None until that is asked for
        )
        self._halted_ns = 0
        # First reads of visits to come; they hold until cells, pictures or baseline change.
        self._first_read_at: Mapping[int, tuple[bool, int]] = _NOTHING_READ
        self._begun_ns = started_ns  # when it went into use with what the cells have held since
        self._diagnosed = False  # since the last redeployment
        self._out_of_spec_at: Mapping[int, bool] = _NOTHING_JUDGED
        self._progress_at: Mapping[int, int] = _NOTHING_ADDED  # of visits since the baseline
        self._sum_at: Mapping[int, int] = (
            _NOTHING_ADDED  # of the statistics since the baseline, after each of some visits
        )
        self._announced: Announcement | None = None

    sees_ahead = False

    @property
    def rule(self) -> Readout:
        made = self.test_set
        if made.known_rule is not None and self._baseline is None and self._golden is made.golden:
            return made.known_rule
        return self._rule_of_read_baselines

    @property
    def _rule_of_read_baselines(self) -> Readout:
        return self.test_set.rule or self._equipment.rule

    def test_with(self, test_set: TestSet, known: FaultMap) -> None:
        """From now on be tested with what was made for a device with these stuck cells."""
        self.test_set, self._made_for = test_set, known.digest()
        self._golden, self._baseline = test_set.golden, None

    @property
    def noise(self) -> ReadNoise:
        return self._equipment.noise

    def snapshot(self) -> Snapshot:
        fitting = self._equipment.fitting or NEAREST
        return Snapshot(
            self.silicon, self.model, self.programmed, self.fitted_to, self.placement, fitting, self.solved
        )

    @property
    def golden(self) -> Any:
        """What the test pictures should show: as was told, or read for a baseline."""
        if self._baseline is not None:
            read = self._read([(self._baseline.time_ns, 0)], self._baseline.snapshot)
            self._take_for_golden(self._rule_of_read_baselines.baseline(read))
        return self._golden

    @property
    def image(self) -> Model:
        """What a programming writes: the backup, or the nearest codes to it that the cells can hold, where its units are placed."""
        return self.snapshot().image

    # -- what schedules ask (lifesim.detection.schedules.Examinee) --

    def foresee(self, times_ns: Sequence[int]) -> None:
        lookahead = self._equipment.lookahead
        if lookahead is not None and self._can_be_screened:
            self._announced = lookahead.announce(self._window, times_ns)

    def first_alarm(self, times_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        cusum = self._cusum
        find = self._first_to_add_up if cusum else self._first_to_alarm
        position, lowest = find(times_ns, least_score)
        if position is None:
            self._first_read_at = _NOTHING_READ
            return None
        # Evidence of many visits is not confirmed by more reads of one.
        rereads = range(1, 1 if cusum else self.rule.rereads + 1)
        if not self.noise.sigma and not self.silicon.warming:
            # Any further read, at whatever temperature, is the first again.
            return Finding(position, Outcome.ALARM, 1 + len(rereads), lowest, True)
        if rereads:
            again = self._test([(times_ns[position], number) for number in rereads])
            lowest = min([lowest, *self.rule.score(self.golden, again).tolist()])
            if not self.rule.alarms(self.golden, again).all() or lowest < least_score:
                return Finding(position, Outcome.UNCONFIRMED, reads=1 + len(rereads))
        nominal = self.snapshot().held_at(times_ns[position]).weights()
        clean = self._answers([nominal], None)
        if cusum is not None:
            without_noise = int(self.rule.score(self.golden, clean)[0]) > cusum.reference
        else:
            without_noise = bool(self.rule.alarms(self.golden, clean)[0])
        return Finding(position, Outcome.ALARM, 1 + len(rereads), lowest, without_noise)

    def _first_to_alarm(self, times_ns: Sequence[int], least_score: int) -> tuple[int | None, int]:
        """Return the position of the first visit whose first read alarms, and its score."""
        passes_at = self._settle(times_ns)
        for position, time_ns in enumerate(times_ns):
            if not passes_at.get(time_ns):
                alarm, found = self._first_read(time_ns)
                if alarm and found >= least_score:
                    return position, found
        return None, 0

    def _first_to_add_up(self, times_ns: Sequence[int], least_score: int) -> tuple[int | None, int]:
        """Return the position of the first visit at which the statistics since the baseline add up to an alarm, and its own."""
        # Visits that were asked for and then did not happen are not before these.
        before = [time_ns for time_ns in self._sum_at if time_ns < times_ns[0]]
        state = self._sum_at[max(before)] if before else START
        self._sum_at = {}
        for position, time_ns in enumerate(times_ns):
            _, found = self._first_read(time_ns)
            state, alarm = self._cusum.update(state, found)
            self._sum_at[time_ns] = state
            if alarm and found >= least_score:
                return position, found
        return None, 0

    def progress(self, time_ns: int) -> int:
        if time_ns not in self._progress_at:
            read = self._test([(time_ns, 0)])[0]
            self._note_first_read(time_ns, read)
            reached = int(self.rule.progress(self.golden, read))
            self._progress_at = {**self._progress_at, time_ns: reached}
        return self._progress_at[time_ns]

    @property
    def _cusum(self) -> Cusum | None:
        return getattr(self.rule, "cusum", None)

    def knows_baseline(self, known: FaultMap) -> bool:
        """Return whether what the pictures should show was worked out for just these stuck cells, and need not be read."""
        return self._equipment.known_baseline and self._made_for == known.digest()

    def new_wrong_cells(self, times_ns: Sequence[int]) -> Iterator[int]:
        for time_ns in times_ns:
            pairs = zip(self._wrong_cells(time_ns), self._known_wrong, strict=True)
            yield sum(len(np.setdiff1d(now, known, assume_unique=True)) for now, known in pairs)

    def first_trip(self, times_ns: Sequence[int], monitor: Monitor) -> Trip | None:
        chances: dict[object, tuple[float, Deviations]] = {}
        snapshot = self.snapshot()
        for position, (time_ns, condition) in enumerate(
            zip(times_ns, snapshot.conditions(times_ns), strict=True)
        ):
            if condition.key not in chances:
                off = self._sums_off_now(time_ns, monitor)
                chances = {condition.key: (monitor.trip_probability(off), off)}
            chance, off = chances[condition.key]
            if first_uniform(stream_key(self._noise_key, time_ns, "sums")) < chance:
                return Trip(position, monitor.trips(off))
        return None

    def read_sums(self, time_ns: int, monitor: Monitor) -> None:
        self._sums_off = self._sums_of(self.snapshot().held_at(time_ns).read_codes(), monitor)

    def out_of_spec(self, times_ns: Sequence[int]) -> list[bool]:
        truth = self._equipment.truth
        if truth is None:
            raise LookupError("only the oracle knows the truth")
        new = [time_ns for time_ns in times_ns if time_ns not in self._out_of_spec_at]
        if new:
            in_spec = truth.in_spec(self.snapshot(), new)
            judged = {time_ns: not is_in for time_ns, is_in in zip(new, in_spec, strict=True)}
            self._out_of_spec_at = {**self._out_of_spec_at, **judged}
        return [self._out_of_spec_at[time_ns] for time_ns in times_ns]

    def left_out_of_spec(self) -> bool:
        return self._diagnosed and self.out_of_spec([self._begun_ns])[0]

    def expected_faults(self, since_ns: int, time_ns: int, tests: int = 0) -> float:
        return self._equipment.prospect.expected_faults(
            self.silicon, self.programmed, since_ns, time_ns, tests
        )

    def cells_named(self, time_ns: int) -> int:
        return self._named(time_ns).new_since(self._known())

    def read_goldens(self, time_ns: int) -> None:
        self._forget()
        if self._equipment.lookahead is not None and self._can_be_screened and not self.noise.sigma:
            self._baseline = _Baseline(self.snapshot(), time_ns)
            return
        rule = self._rule_of_read_baselines
        reads = range(rule.baseline_reads if self.noise.sigma else 1)  # without noise they are all alike
        self._take_for_golden(rule.baseline(self._read([(time_ns, read) for read in reads])))

    def _take_for_golden(self, golden: Any) -> None:
        # Devices that show what they should keep nothing of their own.
        same = self._rule_of_read_baselines.same(golden, self.test_set.golden)
        self._golden = self.test_set.golden if same else golden
        self._baseline = None

    def judge(self, time_ns: int) -> int:
        """Return by how much a read at ``time_ns`` deviates from what the pictures show on a device that is as it should be."""
        return int(self.rule.score(self.test_set.golden, self._test([(time_ns, 0)]))[0])

    def read_back(self, time_ns: int) -> None:
        self._known_wrong = self._wrong_cells(time_ns)

    # -- what the process does to it --

    def halt(self, time_ns: int) -> None:
        """Stop using the crossbars: reloads end here until the next programming."""
        self.programmed = self.snapshot().at(time_ns)
        self._halted_ns = time_ns

    def diagnose(self, known: FaultMap) -> tuple[FaultMap, int]:
        """Look for stuck cells; return those known now, and how many cells were tried again. A March test leaves no weights."""
        self._diagnosed = True
        found, again, self.programmed = diagnose(
            self._equipment.diagnosis, self.silicon, self.image, self.programmed, self._halted_ns
        )
        # What a read-only diagnosis does not see may be stuck all the same.
        return (found.union(known) if self._equipment.diagnosis.read_only else found), again

    def take_named(self, time_ns: int, known: FaultMap) -> FaultMap:
        """Return the stuck cells known once those have been added on which write-verify has given up at the last reload before ``time_ns``."""
        self._reported = self._named(time_ns).union(known)
        return self._reported

    def resume(self, time_ns: int) -> None:
        """Go on at ``time_ns`` with what the cells hold, reloads included."""
        self._begun_ns = time_ns
        self.programmed = tuple(
            bank.resumed(p, self._halted_ns, time_ns)
            for bank, p in zip(self.silicon.banks, self.programmed, strict=True)
        )
        self._forget()

    def next_writing(self, changes_only: bool) -> Writing:
        """Return what the device's next programming will take: of all cells, or of those in which the backup has changed."""
        banks = zip(self.silicon.banks, self.programmed, strict=True)
        if not changes_only:
            pulses = sum(b.pulses(p.epoch + 1, 0, b.n_cells * b.layers) for b, p in banks)
            return Writing(pulses, pulses_cost(self._equipment.costs, pulses).latency_ns)
        pulses = sum(
            b.pulses(p.epoch, len(p.patches) + 1, len(self.silicon.cells_of_bank(self._changed, i)))
            for i, (b, p) in enumerate(banks)
        )
        return Writing(pulses, cell_pulses_cost(self._equipment.costs, pulses).latency_ns)

    def interrupt(self, time_ns: int, done_ns: int, latency_ns: int, changes_only: bool) -> None:
        """A programming that would have taken ``latency_ns`` ends at ``time_ns``, after ``done_ns``: what was written is worn.

        Cells are written layer by layer and in their order. Of a programming of all cells, the bank in progress counts as written.
        """
        if changes_only:
            left = self.changed_cells * done_ns // latency_ns
            written = []
            for cells in self._changed:
                written.append(cells[:left])
                left -= len(written[-1])
            self._patch(written, time_ns)
            return
        self.programmed = self.silicon.broken_off(self.programmed, done_ns, latency_ns)

    def program(self, time_ns: int) -> None:
        """Write all cells; ends at ``time_ns``."""
        self._begun_ns = time_ns
        self.programmed = tuple(
            p.rewritten(time_ns, b.layers) for b, p in zip(self.silicon.banks, self.programmed, strict=True)
        )
        self._changed = _no_cells(len(self.model.codes))
        self._forget()

    @property
    def changed_cells(self) -> int:
        """How many cells :meth:`program_changes` would write."""
        return sum(len(cells) for cells in self._changed)

    def program_changes(self, time_ns: int) -> None:
        """Write only the cells that are to hold something else since the last programming; ends at ``time_ns``."""
        self.resume(time_ns)
        self._patch(self._changed, time_ns)
        self._changed = _no_cells(len(self.model.codes))

    def _patch(self, cells: Sequence[np.ndarray], time_ns: int) -> None:
        """Write single cells, given by layer."""
        self.programmed = tuple(
            p.patched(self.silicon.cells_of_bank(cells, bank), time_ns)
            for bank, p in enumerate(self.programmed)
        )

    def fit(self, known: FaultMap) -> None:
        """From now on write what cells with these faults can hold of the backup; a programming must follow."""
        self._write_instead(self.model, known, self.placement, self.solved)

    def place(self, known: FaultMap) -> None:
        """Place hidden units where cells with these faults harm them least, and write the nearest codes there; a programming must follow."""
        placement = best_placement(self.model, known, self._equipment.importance)
        self._write_instead(self.model, known, placement, self.solved)

    def install(self, message: bytes, known: FaultMap, sent: Mapping[bytes, FaultMap]) -> Redeployment:
        """Apply the cloud's delta to the backup and take its test set as the reference; a programming must follow.

        ``sent``: the maps that the cloud may have made it for, by their digests. Raises DeltaError if the delta does not belong to this backup.
        """
        redeployment = Redeployment.decode(message)
        model = redeployment.applied(self.model, self._equipment.agreement)
        solved, placement, fits = sent.get(redeployment.map_digest), self.placement, self._equipment.fitting
        if self._equipment.importance is not None:
            placement = best_placement(self.model, sent[redeployment.map_digest], self._equipment.importance)
        self._write_instead(model, known if fits else None, placement, solved)
        self.test_set = TestSet.decode(redeployment.test_set, redeployment.pictures, self.test_set)
        self._golden, self._baseline = self.test_set.golden, None
        self._made_for = redeployment.map_digest
        self._known_wrong = self._differing(apply_map(self.image.codes, known))
        self._reported, self._sums_off, self._diagnosed = known, None, False
        return redeployment

    def _write_instead(
        self, model: Model, fitted_to: FaultMap | None, placement: Placement | None, solved: FaultMap | None
    ) -> None:
        before = self.image
        self.model, self.fitted_to, self.placement, self.solved = model, fitted_to, placement, solved
        changed = differing_cells(before.codes, self.image.codes, self.silicon.encoding)
        self._changed = tuple(np.union1d(a, b) for a, b in zip(self._changed, changed, strict=True))

    @property
    def _can_be_screened(self) -> bool:
        """Whether a test is one read that differs from one of the backup in few cells alone, and decides alone."""
        alone = self._cusum is None and not (self.rule.reads > 1 and self.noise.sigma)
        return alone and not (self.silicon.drift or self.silicon.warming)

    def _settle(self, times_ns: Sequence[int]) -> dict[int, bool]:
        """Have these visits looked into, with all that other devices have announced; return which surely pass, as far as that is known."""
        if self._announced is None and len(times_ns) > 1:
            self.foresee(times_ns)
        if self._announced is None:
            return {}
        announced, self._announced = self._announced, None
        seen = announced.result()
        if self._baseline is not None and seen.golden is not None:
            self._take_for_golden(seen.golden)
        if seen.doubts:
            read = {announced.times_ns[position]: (alarms, score) for position, alarms, score in seen.doubts}
            self._first_read_at = read
        return dict(zip(announced.times_ns, seen.passes.tolist(), strict=True))

    def _window(self, times_ns: Sequence[int]) -> Window:
        """Return what is to be looked into to know which visits surely pass."""
        # With noise every state begins at the model, so the nearer that is the better.
        snapshot = self.snapshot()
        base = snapshot.model if self.noise.sigma else self._equipment.model or self.model
        baseline, golden = self._baseline, None
        if baseline is not None and baseline.snapshot.programmed is self.programmed:
            times_ns = [baseline.time_ns, *times_ns]
        else:
            golden = self.golden
        return Window(
            base,
            self.silicon.encoding,
            snapshot.overlays(times_ns, base),
            self.test_set.pictures,
            golden,
            self.rule,
            self.noise,
            [
                self.noise.first_key(self._noise_key, time_ns) if self.noise.sigma else 0
                for time_ns in times_ns
            ],
        )

    def _forget(self) -> None:
        self._first_read_at = _NOTHING_READ
        self._progress_at = self._sum_at = _NOTHING_ADDED
        self._out_of_spec_at = _NOTHING_JUDGED
        if self._announced is not None:
            self._announced.withdraw()
            self._announced = None

    def _first_read(self, time_ns: int) -> tuple[bool, int]:
        """Return whether the first read of a visit alarms, and its score."""
        if time_ns not in self._first_read_at:
            self._note_first_read(time_ns, self._test([(time_ns, 0)])[0])
        return self._first_read_at[time_ns]

    def _note_first_read(self, time_ns: int, read: np.ndarray) -> None:
        to_come = {t: seen for t, seen in self._first_read_at.items() if t >= time_ns}
        seen = bool(self.rule.alarms(self.golden, read)), int(self.rule.score(self.golden, read))
        self._first_read_at = {**to_come, time_ns: seen}

    def _sums_off_now(self, time_ns: int, monitor: Monitor) -> Deviations:
        """Return how far the sums are off what they should be."""
        off = self._sums_of(self.snapshot().held_at(time_ns).read_codes(), monitor)
        if (
            self._sums_off is None
        ):  # after a redeployment: what its image gives with the stuck cells that are known
            self._sums_off = self._sums_of(apply_map(self.image.codes, self._known()), monitor)
        return tuple(now - should for now, should in zip(off, self._sums_off, strict=True))

    def _sums_of(self, held: tuple[np.ndarray, ...], monitor: Monitor) -> Deviations:
        return monitor.deviations(self.image.codes, held, self.silicon.encoding)

    def _known(self) -> FaultMap:
        """Return the stuck cells that the device knew of at its last redeployment or naming, or when it was made."""
        if self._reported is None:
            first = _as_new(self._started_ns, len(self.silicon.banks))
            self._reported = self.silicon.stuck_map(first, self._started_ns)
        return self._reported

    def _named(self, time_ns: int) -> FaultMap:
        return self.silicon.named_by_reload(self.image, self.programmed, time_ns)

    def _wrong_cells(self, time_ns: int) -> tuple[np.ndarray, ...]:
        return self._differing(self.snapshot().held_at(time_ns).read_codes())

    def _differing(self, held: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Return per layer the cells that hold something else than was to be written."""
        return differing_cells(self.image.codes, held, self.silicon.encoding)

    def _test(self, tests: Sequence[tuple[int, int]]) -> np.ndarray:
        """Return the averaged answers [len(tests), m, classes] of tests, each given by the visit's time and its number there."""
        averaged = self.rule.reads if self.noise.sigma else 1
        reads = [(time_ns, number * averaged + k) for time_ns, number in tests for k in range(averaged)]
        read = self._read(reads)
        if averaged == 1:
            return read
        return (
            read.reshape(len(tests), averaged, *read.shape[1:]).mean(axis=1, dtype=float).astype(np.float32)
        )

    def _read(self, reads: Sequence[tuple[int, int]], snapshot: Snapshot | None = None) -> np.ndarray:
        """Return the answers [len(reads), m, classes] of noisy reads, each given by the visit's time and its number there; as of now or of a ``snapshot``."""
        snapshot = snapshot or self.snapshot()
        held = {time_ns: snapshot.held_at(time_ns).weights(at_temperature=True) for time_ns, _ in reads}
        weights = [held[time_ns] for time_ns, _ in reads]
        if self.noise.sigma == 0.0:
            return self._answers(weights, None)
        pictures, elements = len(self.test_set.pictures), self._equipment.evaluator.noise_elements
        z = [self.noise.draw(self._noise_key, time, [read], pictures, elements) for time, read in reads]
        return self._answers(weights, Noise(self.noise.sigma, np.concatenate(z), self.noise.kind))

    def _answers(self, weights: Sequence[tuple[np.ndarray, ...]], noise: Noise | None) -> np.ndarray:
        """Return what copies answer to the test pictures, as the rule wants it."""
        evaluator = self._equipment.evaluator
        answer = evaluator.confidences if self.rule.softmax else evaluator.logits
        return answer(weights, self.test_set.pictures, noise)
