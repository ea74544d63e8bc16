"""A device's twin that has no network: its cells fail as they do, and what its tests and its accuracy come to is its place in the network's response.

The cells that wear out are those of the exact simulation, one for one: they are few, known to the device and sent to the cloud. Those that expire are
as many as there, but which they are is not asked. Left out are what the single cells of a redeployment have been written more often than the others, and
that these few cells, and no others, lose no state before it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lifesim.crossbar.cost import Writing
from lifesim.crossbar.diagnosis import Diagnosis
from lifesim.crossbar.faults import FaultMap
from lifesim.crossbar.programming import Programmed
from lifesim.detection.schedules import Finding, Outcome
from lifesim.fleet.prospect import Prospect
from lifesim.fleet.redeployment import Redeployment
from lifesim.fleet.silicon import Silicon
from lifesim.fleet.surrogate.ageing import Ageing
from lifesim.fleet.surrogate.calibration import Calibrated
from lifesim.fleet.surrogate.harm import LOSS, TEST, TEST_AGAIN, WRONG
from lifesim.fleet.surrogate.response import Quantiles
from lifesim.network.model import Model
from lifesim.streams import first_uniform, generator, stream_key, uniforms
from lifesim.timeunits import NS_PER_S

_EXAMPLE = struct.Struct("<I")
_NORMAL = NormalDist()
_FIRST_LOOK = 64  # visits looked into at a time, at first


@dataclass(frozen=True, slots=True, eq=False)
class SurrogateEquipment:
    """What the surrogate twins of a group have in common.

    ``fitted``: the calibration. ``pulse_ns``, ``cell_pulse_ns``: how long a pulse of a writing of all cells takes, and of cells that are written alone. ``kept_share``: of the cells keep
    their limits of retention for life. ``pictures``: of the spec set, of which the network without faults gets ``clean_correct`` right and a device in
    spec ``required``.
    """

    fitted: Calibrated
    pulse_ns: float
    cell_pulse_ns: float
    diagnosis: Diagnosis
    prospect: Prospect
    rereads: int
    pictures: int
    clean_correct: int
    required: int
    horizon_ns: int
    kept_share: float
    fresh_ns: int = NS_PER_S * 3600  # within which no cell is expected to lose what has been written

    @property
    def allowed(self) -> int:
        """How many pictures a device in spec may lose."""
        return self.clean_correct - self.required


@dataclass(frozen=True, slots=True, eq=False)
class SurrogateSnapshot:
    """All that decides a device's accuracy at any later time.

    ``solved``: how many of its worn cells the redeployment in the backup was made for. ``lost``: pictures that the network loses with these alone.
    ``course``: what is lost by harm. ``alone``: cells that have been written alone, in all.
    """

    equipment: SurrogateEquipment
    ageing: Ageing
    programmed: tuple[Programmed, ...]
    solved: int
    lost: int
    quantiles: Quantiles
    course: np.ndarray
    alone: int

    @property
    def silicon(self) -> Silicon:
        return self.ageing.silicon

    def state(self, times_ns: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return at each time (ascending) how many pictures of the spec set are right, and how many cells are stuck and have expired (int64)."""
        ageing, times = self.ageing, np.asarray(times_ns, np.int64)
        expired = ageing.expired(self.programmed, times)
        harm = ageing.stuck_harm(LOSS, self.solved, times) + ageing.expired_harm(LOSS, expired)
        right = np.full(len(times), self.equipment.clean_correct - self.lost)
        if np.any(harm):
            right = np.maximum(right - np.rint(self.quantiles.shown(self.course, harm)).astype(np.int64), 0)
        stuck = ageing.when_ns.searchsorted(times, side="right")
        return right, stuck, sum((count for _, count in expired), np.zeros(len(times), np.int64))

    def at(self, time_ns: int) -> tuple[Programmed, ...]:
        return self.silicon.at(self.programmed, time_ns)

    def lost_cells(self, time_ns: int) -> list[tuple[int, int]]:
        """Return how many cells of each bank are stuck, and how many have expired."""
        expired = dict(self.ageing.expired(self.programmed, np.array([time_ns])))
        stuck = self.ageing.worn_by_bank(time_ns).tolist()
        return [(worn, int(expired[bank][0]) if bank in expired else 0) for bank, worn in enumerate(stuck)]

    def written_at(self, time_ns: int) -> tuple[int, np.ndarray]:
        """Return the programming operations of all cells together, and those per cell of each bank that came from reloads."""
        now = self.at(time_ns)
        writes = sum(b.n_cells * p.operations for b, p in zip(self.silicon.banks, now, strict=True))
        return writes + self.alone, np.array([p.reloads for p in now], np.int64)


class SurrogateTwin:
    """One device, programmed at ``started_ns``; ``noise_key`` addresses its places in the response and its reads."""

    __slots__ = (
        "silicon", "model", "programmed", "_ageing", "_equipment", "_key", "_halted_ns", "_solved", "_lost", "_again", "_alone", "_changed", "_worn_of",
        "_baseline_stuck", "_baseline_harm", "_baselines", "_course", "_course_number", "_new_worn", "_own", "_redeployments", "_course_of_loss", "_wrong_before", "_known",
    )  # fmt: skip

    sees_ahead = True

    def __init__(
        self,
        silicon: Silicon,
        model: Model,
        equipment: SurrogateEquipment,
        noise_key: int,
        started_ns: int,
    ):
        self.silicon = silicon
        self.model = model
        self.programmed = (Programmed(started_ns, 0, 1),) * len(silicon.banks)
        self._equipment = equipment
        self._ageing = Ageing(silicon, equipment.fitted.harms, noise_key, started_ns, equipment.horizon_ns)
        self._key = noise_key
        self._halted_ns = started_ns
        self._solved = 0  # worn cells that the redeployment in the backup was made for
        self._lost = 0
        self._again = False  # whether a redeployment is in the backup
        self._redeployments = 0
        self._alone = 0  # cells written alone
        self._changed: Sequence[int] = (0,) * len(silicon.banks)
        self._worn_of: dict[bytes, int] = {}  # worn cells on a map that may have been sent, by its digest
        self._known = (0, FaultMap.empty(len(silicon.regions), silicon.encoding))  # the newest
        self._baselines = 0
        self._wrong_before = 0.0
        self._new_worn = True  # since the baseline before the last diagnosis
        self._set_reference(0)
        self._set_courses()

    def snapshot(self) -> SurrogateSnapshot:
        response = self._equipment.fitted.response
        quantiles = response.lost_again if self._again else response.lost
        return SurrogateSnapshot(
            self._equipment, self._ageing, self.programmed, self._solved, self._lost, quantiles, self._course_of_loss, self._alone
        )  # fmt: skip

    # -- what schedules ask (lifesim.detection.schedules.Examinee) --

    def foresee(self, times_ns: Sequence[int]) -> None:
        pass

    def first_alarm(self, times_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        begin = 0
        for window in _windows(times_ns):
            found = self._first_alarm(window, least_score)
            if found is not None:
                return found._replace(position=begin + found.position)
            begin += len(window)
        return None

    def _first_alarm(self, times_ns: np.ndarray, least_score: int) -> Finding | None:
        reached = self._reached_at(times_ns)
        reading, draws = self._equipment.fitted.response.reading, uniforms(self._key, times_ns)
        first, confirmed = reading.outcomes(reached)
        alarming = draws < first
        if least_score:
            alarming &= reading.scores(reached) >= least_score
        position = int(alarming.argmax())
        if not alarming[position]:
            return None
        if not isinstance(reached, np.ndarray):
            first, confirmed, reached = ([x] * len(draws) for x in (first, confirmed, reached))
        reads = 1 + self._equipment.rereads
        if draws[position] >= confirmed[position]:
            return Finding(position, Outcome.UNCONFIRMED, reads=reads)
        score = int(reading.scores(reached[position]))
        return Finding(position, Outcome.ALARM, reads, score, bool(reached[position] >= 1.0))

    def progress(self, time_ns: int) -> int:
        return int(1000.0 * float(np.max(self._reached_at(np.array([time_ns])))))

    def knows_baseline(self, known: FaultMap) -> bool:
        return False

    def new_wrong_cells(self, times_ns: Sequence[int]) -> Iterator[int]:
        for window in _windows(times_ns):
            new = self._wrong(window) - self._wrong_before
            yield from np.maximum(np.rint(new), 0.0).astype(np.int64).tolist()

    def read_back(self, time_ns: int) -> None:
        self._wrong_before = float(self._wrong(np.array([time_ns]))[0])

    def read_goldens(self, time_ns: int) -> None:
        worn, harm = self._ageing.worn_by(time_ns), 0.0
        if self.programmed[0].time_ns < time_ns - self._equipment.fresh_ns:
            expired = self._ageing.expired(self.programmed, np.array([time_ns]))
            harm = float(np.max(self._ageing.expired_harm(self._test, expired)))
        self._set_reference(worn, harm)

    def expected_faults(self, since_ns: int, time_ns: int, tests: int = 0) -> float:
        return self._equipment.prospect.expected_faults(
            self.silicon, self.programmed, since_ns, time_ns, tests
        )

    # -- what the process does to it --

    def halt(self, time_ns: int) -> None:
        """Stop using the crossbars: reloads end here until the next programming."""
        self.programmed = self.silicon.at(self.programmed, time_ns)
        self._halted_ns = time_ns

    def diagnose(self, known: FaultMap) -> tuple[FaultMap, int]:
        """Find all stuck cells with a March test, which leaves no weights."""
        worn = self._ageing.worn_by(self._halted_ns)
        self._new_worn = worn > self._baseline_stuck
        if worn > self._known[0]:
            self._known = worn, self._ageing.fault_map(worn)
        found = self._known[1]
        if worn:
            self._worn_of[found.digest()] = worn
        writes = self._equipment.diagnosis.test.writes_per_cell
        self.programmed = tuple(left.worn(writes) for left in self.programmed)
        self._ageing.note_programming(self.programmed, self._halted_ns)
        return found, 0

    def resume(self, time_ns: int) -> None:
        """Go on at ``time_ns`` with what the cells hold, reloads included."""
        self.programmed = tuple(
            bank.resumed(p, self._halted_ns, time_ns)
            for bank, p in zip(self.silicon.banks, self.programmed, strict=True)
        )

    def next_writing(self, changes_only: bool) -> Writing:
        equipment = self._equipment
        number = self.programmed[0].epoch + self._redeployments + self._baselines
        if changes_only:
            pulses = self._pulses(sum(self._changed), number)
            return Writing(pulses, round(pulses * equipment.cell_pulse_ns))
        pulses = self._pulses(sum(bank.n_cells * bank.layers for bank in self.silicon.banks), number)
        return Writing(pulses, round(pulses * equipment.pulse_ns))

    def _pulses(self, cells: int, number: int) -> int:
        """Return the pulses that a writing of so many cells takes: a sum of geometric numbers, drawn as the normal one that it nearly is."""
        if not cells:
            return 0
        mean = self.silicon.banks[0].write.mean_pulses
        z = _NORMAL.inv_cdf(first_uniform(stream_key(self._key, "pulses", number)))
        return max(cells, round(cells * mean + z * (cells * mean * (mean - 1.0)) ** 0.5))

    def interrupt(self, time_ns: int, done_ns: int, latency_ns: int, changes_only: bool) -> None:
        """A programming that would have taken ``latency_ns`` ends after ``done_ns``: what was written is worn, bank after bank."""
        if changes_only:
            self._alone += sum(self._changed) * done_ns // latency_ns
            return
        self.programmed = self.silicon.broken_off(self.programmed, done_ns, latency_ns)

    def program(self, time_ns: int) -> None:
        """Write all cells; ends at ``time_ns``."""
        self.programmed = tuple(
            p.rewritten(time_ns, b.layers) for b, p in zip(self.silicon.banks, self.programmed, strict=True)
        )
        self._ageing.note_programming(self.programmed, time_ns)
        self._changed = (0,) * len(self._changed)

    def program_changes(self, time_ns: int) -> None:
        """Write only the cells that are to hold something else since the last programming; ends at ``time_ns``."""
        self.resume(time_ns)
        self._alone += sum(self._changed)
        self._changed = (0,) * len(self._changed)

    def install(self, message: bytes, known: FaultMap, sent: Mapping[bytes, FaultMap]) -> Redeployment:
        """Take a redeployment as the reference; a programming must follow."""
        redeployment = Redeployment.decode(message)
        retrained = self._equipment.fitted.response.retrained
        (example,) = _EXAMPLE.unpack_from(redeployment.delta)
        self._solved = self._worn_of[redeployment.map_digest]
        self._worn_of = {digest: worn for digest, worn in self._worn_of.items() if worn >= self._solved}
        self._lost = int(retrained.lost[example])
        changed = retrained.changed[example].tolist()
        self._changed = [before + more for before, more in zip(self._changed, changed, strict=True)]
        self._again = True
        self._redeployments += 1
        self._new_worn = True
        self._set_reference(self._solved)
        self._set_courses()
        self._wrong_before = float(self._ageing.harm[WRONG, self._known[0]])
        return redeployment

    # -- the response --

    @property
    def _test(self) -> int:
        return TEST_AGAIN if self._again else TEST

    def _set_courses(self) -> None:
        """Take a place in the loss of accuracy, which lasts as long as the backup is what it is."""
        response = self._equipment.fitted.response
        quantiles = response.lost_again if self._again else response.lost
        place = first_uniform(stream_key(self._key, "loss", self._redeployments))
        self._own = _NORMAL.inv_cdf(place)
        self._course_of_loss = quantiles.course(place)

    def _set_reference(self, worn: int, expired_harm: float = 0.0) -> None:
        """From now on compare tests with what a device shows of whose cells so many have worn out; take a place in what they reach."""
        self._baseline_stuck, self._baseline_harm = worn, expired_harm
        self._baselines += 1
        self._course: np.ndarray | None = None
        # Of the cells that expire, some keep their limits: they expire again in the same order, and show the same.
        share = self._equipment.kept_share
        if self._new_worn or first_uniform(stream_key(self._key, "again", self._baselines)) >= share:
            self._course_number = self._baselines

    def _reached_at(self, times_ns: np.ndarray) -> np.ndarray | float:
        """Return what a test without noise reaches at each time (ascending), in units of what alarms; 0 where that is nothing all the time."""
        ageing, test = self._ageing, self._test
        of_expired = ageing.expired_harm(test, ageing.expired(self.programmed, times_ns))
        harm = ageing.stuck_harm(test, self._baseline_stuck, times_ns) + abs(of_expired - self._baseline_harm)
        if not np.any(harm):
            return 0.0
        response = self._equipment.fitted.response
        if self._course is None:
            own = _NORMAL.inv_cdf(first_uniform(stream_key(self._key, "test", self._course_number)))
            rho = response.together
            place = _NORMAL.cdf(rho * self._own + (1.0 - rho * rho) ** 0.5 * own)
            courses = self._equipment.fitted.courses[self._again]
            self._course = courses[min(int(place * len(courses)), len(courses) - 1)]
        quantiles = response.reached_again if self._again else response.reached
        return np.atleast_1d(quantiles.shown(self._course, harm))

    def _wrong(self, times_ns: np.ndarray) -> np.ndarray:
        """Return how many cells are wrong at each time (ascending)."""
        expired = self._ageing.expired(self.programmed, times_ns)
        stuck = self._ageing.harm[WRONG][self._ageing.when_ns.searchsorted(times_ns, side="right")]
        return stuck + self._ageing.expired_harm(WRONG, expired)


def _windows(times_ns: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield times (int64) a few at first, then twice as many, and so on: most looks find something soon."""
    begin, window = 0, _FIRST_LOOK
    while begin < len(times_ns):
        yield np.asarray(times_ns[begin : begin + window], np.int64)
        begin, window = begin + window, 2 * window


@dataclass(frozen=True, slots=True)
class ExampleRetraining:
    """One job of the cloud, answered by what came of an example with about as many stuck cells; ``place`` chooses among these."""

    equipment: SurrogateEquipment
    fault_map: FaultMap
    place: float


def prepare_like_example(task: ExampleRetraining) -> bytes:
    """Return a redeployment as long as the example's."""
    retrained = task.equipment.fitted.response.retrained
    example = retrained.like(task.fault_map.count, task.place)
    delta, rest = int(retrained.delta_bytes[example]), int(retrained.test_bytes[example])
    filling = _filling(example, delta + rest)
    return Redeployment(
        bool(retrained.in_spec[example]),
        task.fault_map.digest(),
        _EXAMPLE.pack(example) + filling[_EXAMPLE.size : delta],
        int(retrained.pictures[example]),
        filling[delta:],
    ).encode()


@functools.lru_cache(maxsize=64)
def _filling(example: int, size: int) -> bytes:
    """Return ``size`` bytes without a pattern, the same for all devices: they are as long as what the example's message was compressed to."""
    return generator(stream_key("filling", example)).bytes(size)
