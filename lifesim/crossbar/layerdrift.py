"""The drift of one layer's weights over its programmings: of the whole layer, and of single cells rewritten since."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.drift import CellDeviations, Drift, WeightDeviations, WeightDrift, drift_z, misreads
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.programming import Programmed
from lifesim.physics.temperature import AgeingClock
from lifesim.streams import stream_key
from lifesim.timeunits import NS_PER_S


@dataclass(slots=True)
class LayerDrift:
    """Analog drift of a layer of ``weights`` weights.

    key
        That of the layer on its device.
    drift
        Of cells, or (Eq. 8) of weights.
    clock
        Seconds at the temperature at which ``drift`` holds.
    """

    key: int
    drift: Drift | WeightDrift
    clock: AgeingClock
    encoding: Encoding
    weights: int
    reference_column: bool
    _last: tuple[object, CellDeviations | WeightDeviations] | None = None

    def deviation(self, now: Programmed, time_ns: int, stuck: np.ndarray, scale: float) -> np.ndarray:
        """Return how far each weight has drifted at ``time_ns``, in codes (float32 [weights]).

        ``now``: what the programmings left in the layer's bank. ``stuck`` cells do not drift. ``scale``: the weight of one code, the least
        significant bit.
        """
        rewritten = [np.setdiff1d(patch.cells, stuck) for patch in now.patches]
        deviation = self._since(now, stuck, rewritten, scale).at(self._age_s(now.time_ns, time_ns))
        for patch, cells in zip(now.patches, rewritten, strict=True):
            age_s = self._age_s(patch.time_ns, time_ns)
            key = stream_key(self.key, "patch", patch.ordinal)
            deviation = deviation + self._of_cells(key, now.epoch, cells, age_s, scale)
        return deviation

    def misread(
        self, now: Programmed, time_ns: int, codes: np.ndarray, stuck: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the cells (int64) that a digital read sees at another level than they were written to, and that level (uint8).

        Cells rewritten alone count as freshly written. Eq. 8 knows no cells, so it misreads none.
        """
        if isinstance(self.drift, WeightDrift):
            return np.empty(0, np.int64), np.empty(0, np.uint8)
        fresh = np.concatenate([stuck, *(patch.cells for patch in now.patches)])
        age_s = self._age_s(now.time_ns, time_ns)
        return misreads(
            self.drift, self.key, now.epoch, self.encoding, codes, age_s, fresh, self.reference_column
        )

    def _age_s(self, since_ns: int, time_ns: int) -> float:
        return self.clock.at(time_ns / NS_PER_S) - self.clock.at(since_ns / NS_PER_S)

    def _since(
        self, now: Programmed, stuck: np.ndarray, rewritten: list[np.ndarray], scale: float
    ) -> CellDeviations | WeightDeviations:
        """Return the deviations of all cells that were programmed with the bank; drawn again only when something has changed."""
        still = np.unique(np.concatenate([stuck, *rewritten]))
        state = (now.epoch, still.tobytes())
        if self._last is None or self._last[0] != state:
            if isinstance(self.drift, WeightDrift):
                drawn = WeightDeviations.draw(self.drift, self.key, now.epoch, self.weights, scale)
                drawn.z[self._weights_of(rewritten)] = 0.0
            else:
                drawn = CellDeviations.draw(
                    self.drift, self.key, now.epoch, self.encoding, self.weights, still, self.reference_column
                )
            self._last = state, drawn
        return self._last[1]

    def _of_cells(self, key: int, epoch: int, cells: np.ndarray, age_s: float, scale: float) -> np.ndarray:
        """Return what cells rewritten alone add to the deviations."""
        deviation = np.zeros(self.weights, np.float32)
        if isinstance(self.drift, WeightDrift):
            weights = self._weights_of([cells])
            sd = np.float32(self.drift.sd_weights(age_s) / scale)
            deviation[weights] = sd * drift_z(key, epoch, self.weights)[weights]
        elif len(cells):
            weights, digits = np.divmod(cells, self.encoding.cells_per_weight)
            z = drift_z(key, epoch, int(cells[-1]) + 1)[cells]
            moved = self.drift.mean_levels(age_s) + self.drift.sd_levels(age_s) * z
            np.add.at(deviation, weights, (self.encoding.digit_values()[digits] * moved).astype(np.float32))
        return deviation

    def _weights_of(self, cells: list[np.ndarray]) -> np.ndarray:
        every = np.concatenate([np.empty(0, np.int64), *cells])
        return np.unique(every // self.encoding.cells_per_weight)
