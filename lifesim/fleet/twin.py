"""The device's twin: its silicon, its backup, its test pictures. Everything a device does to itself or asks of itself.

The process in :mod:`lifesim.fleet.device` knows time and states, the twin knows cells and networks; tests drive the process with
other twins, such as one that fails at exponential times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.crossbar.programming import Programmed
from lifesim.detection.criteria import Golden
from lifesim.detection.reading import ReadNoise, TestRule
from lifesim.detection.schedules import Finding, Outcome
from lifesim.fleet.redeployment import Redeployment, TestSet
from lifesim.fleet.silicon import Silicon, Snapshot
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.model import Model
from lifesim.recovery.delta import apply_delta


class DeviceTwin:
    """One device: programmed with ``model`` at time 0, tested with ``test_set`` under ``rule``; ``noise_key`` addresses its read noise."""

    def __init__(
        self,
        silicon: Silicon,
        model: Model,
        test_set: TestSet,
        rule: TestRule,
        noise: ReadNoise,
        noise_key: int,
        torch_device: str = "cpu",
    ):
        self.silicon = silicon
        self.model = model
        self.programmed = tuple(Programmed(0, 0, 1) for _ in silicon.banks)
        self.test_set = test_set
        self.golden = test_set.golden
        self.rule = rule
        self.noise = noise
        self._noise_key = noise_key
        self._evaluator = Evaluator.of(model, torch_device)
        self._known_wrong = tuple(np.empty(0, np.int64) for _ in model.codes)
        self._changed = self._known_wrong  # cells of the backup that differ from what was programmed last
        self._halted_ns = 0
        # First reads already evaluated; they hold until cells, pictures or baseline change.
        self._alarm_at: dict[int, bool] = {}

    def snapshot(self) -> Snapshot:
        return Snapshot(self.silicon, self.model, self.programmed)

    # -- what schedules ask (lifesim.detection.schedules.Examinee) --

    def first_alarm(self, times_ns: Sequence[int]) -> Finding | None:
        position = next((i for i, alarm in enumerate(self._first_reads(times_ns)) if alarm), None)
        if position is None:
            return None
        codes = self._held(times_ns[position])
        rereads = range(1, self.rule.rereads + 1)
        again = self._read([codes] * len(rereads), [(times_ns[position], read) for read in rereads])
        if not self.rule.alarms(self.golden, again).all():
            return Finding(position, Outcome.UNCONFIRMED, reads=1 + len(rereads))
        clean = self._evaluator.confidences([codes], self.test_set.pictures, None)
        without_noise = bool(self.rule.alarms(self.golden, clean)[0])
        return Finding(position, Outcome.ALARM, reads=1 + len(rereads), without_noise=without_noise)

    def new_wrong_cells(self, time_ns: int) -> int:
        pairs = zip(self._wrong_cells(time_ns), self._known_wrong, strict=True)
        return sum(len(np.setdiff1d(now, known, assume_unique=True)) for now, known in pairs)

    def read_goldens(self, time_ns: int) -> None:
        codes = self._held(time_ns)
        reads = range(self.rule.baseline_reads)
        self.golden = Golden.of(
            self._read([codes] * len(reads), [(time_ns, read) for read in reads]).mean(axis=0)
        )
        self._alarm_at.clear()

    def read_back(self, time_ns: int) -> None:
        self._known_wrong = self._wrong_cells(time_ns)

    # -- what the process does to it --

    def halt(self, time_ns: int) -> None:
        """Stop using the crossbars: reloads end here until the next programming."""
        self.programmed = self.snapshot().at(time_ns)
        self._halted_ns = time_ns

    def march(self, writes_per_cell: int) -> FaultMap:
        """Run a March test on all cells. Cells that its own writes wear out show up at the next one. The weights are gone."""
        found = self.silicon.stuck_map(self.programmed, self._halted_ns)
        self.programmed = tuple(p.worn(writes_per_cell) for p in self.programmed)
        return found

    def program(self, time_ns: int, writes_per_cell: int) -> None:
        """Write the backup into all cells; ends at ``time_ns``."""
        self.programmed = tuple(
            p.rewritten(time_ns, b.layers * writes_per_cell)
            for b, p in zip(self.silicon.banks, self.programmed, strict=True)
        )
        self._changed = tuple(np.empty(0, np.int64) for _ in self.model.codes)
        self._alarm_at.clear()

    @property
    def changed_cells(self) -> int:
        """How many cells :meth:`program_changes` would write."""
        return sum(len(cells) for cells in self._changed)

    def program_changes(self, time_ns: int, writes_per_cell: int) -> None:
        """Write only the cells in which the backup has changed since the last programming; ends at ``time_ns``."""
        silicon = self.silicon
        self.programmed = tuple(
            bank.resumed(p, self._halted_ns, time_ns).patched(
                silicon.cells_of_bank(self._changed, i), time_ns, writes_per_cell
            )
            for i, (bank, p) in enumerate(zip(silicon.banks, self.programmed, strict=True))
        )
        self._changed = tuple(np.empty(0, np.int64) for _ in self.model.codes)
        self._alarm_at.clear()

    def install(self, message: bytes, known: FaultMap) -> Redeployment:
        """Apply the cloud's delta to the backup and take its test set as the reference; :meth:`program` must follow.

        Raises DeltaError if the delta does not belong to this backup.
        """
        redeployment = Redeployment.decode(message, self.model.architecture.input_shape)
        model = apply_delta(self.model, redeployment.delta)
        changed = self._differing(model.codes)
        self._changed = tuple(np.union1d(a, b) for a, b in zip(self._changed, changed, strict=True))
        self.model = model
        self.test_set = redeployment.test_set
        self.golden = redeployment.test_set.golden
        self._known_wrong = self._differing(apply_map(self.model.codes, known))
        return redeployment

    def _first_reads(self, times_ns: Sequence[int]) -> list[bool]:
        """Return whether the first read of each visit alarms. Visits beyond an alarm that is not confirmed are not read again."""
        self._alarm_at = {
            time_ns: alarm for time_ns, alarm in self._alarm_at.items() if time_ns >= times_ns[0]
        }
        unknown = [time_ns for time_ns in times_ns if time_ns not in self._alarm_at]
        if unknown:
            codes = [self._held(time_ns) for time_ns in unknown]
            alarms = self.rule.alarms(self.golden, self._read(codes, [(time_ns, 0) for time_ns in unknown]))
            self._alarm_at.update(zip(unknown, alarms.tolist(), strict=True))
        return [self._alarm_at[time_ns] for time_ns in times_ns]

    def _wrong_cells(self, time_ns: int) -> tuple[np.ndarray, ...]:
        return self._differing(self._held(time_ns))

    def _differing(self, held: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Return per layer the cells that hold something else than the backup."""
        differing = self.silicon.encoding.differing_cells
        return tuple(differing(c, h) for c, h in zip(self.model.codes, held, strict=True))

    def _held(self, time_ns: int) -> tuple[np.ndarray, ...]:
        return self.snapshot().held_at(time_ns).codes()

    def _read(self, codes: Sequence[tuple[np.ndarray, ...]], reads: Sequence[tuple[int, int]]) -> np.ndarray:
        """Return confidences [len(codes), m, classes] of noisy reads; ``reads`` gives the visit's time and the read's number of each."""
        pictures = self.test_set.pictures
        if self.noise.sigma == 0.0:
            return self._evaluator.confidences(codes, pictures, None)
        elements = self._evaluator.noise_elements
        z = [self.noise.draw(self._noise_key, time, [read], len(pictures), elements) for time, read in reads]
        return self._evaluator.confidences(codes, pictures, Noise(self.noise.sigma, np.concatenate(z)))
