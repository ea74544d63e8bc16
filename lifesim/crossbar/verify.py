"""Write-verify: pulse, read, and pulse again the cells that have not arrived, up to a limit.

Every pulse succeeds with the same probability, so the number that a cell takes is geometric. A cell that has not arrived at the last pulse
is a *temporary write failure*: its next programming may succeed. (A stuck cell never arrives and takes every pulse there is.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifesim.physics.permutation import permute
from lifesim.streams import generator, stream_key


@dataclass(frozen=True, slots=True)
class WriteVerify:
    """``mean_pulses`` (at least 1) that a cell would take if nobody gave up, and after how many pulses, ``most_pulses``, one does."""

    mean_pulses: float
    most_pulses: int

    def __post_init__(self) -> None:
        if not (self.mean_pulses >= 1 and self.most_pulses >= 1):
            raise ValueError(f"a write takes at least 1 pulse: {self}")

    @property
    def failure_probability(self) -> float:
        """The probability that a healthy cell has not arrived after ``most_pulses``."""
        return (1 - 1 / self.mean_pulses) ** self.most_pulses

    @property
    def pulses_per_cell(self) -> float:
        """The expected number of pulses that a healthy cell takes, failures included."""
        return self.mean_pulses * (1 - self.failure_probability)

    def draw(self, key: int, cells: int) -> tuple[int, np.ndarray]:
        """Return the pulses that writing ``cells`` healthy cells takes in all, and which of them fail (int64, ascending, of ``range(cells)``).

        ``key`` is that of this programming. The number is exact in distribution: round after round, a binomial number of the cells that
        remain does not arrive, so it costs at most ``most_pulses`` draws.
        """
        rng = generator(stream_key(key, "pulses"))
        pulses, remaining = 0, int(cells)
        for _ in range(self.most_pulses):
            if not remaining:
                break
            pulses += remaining
            remaining = int(rng.binomial(remaining, 1 - 1 / self.mean_pulses))
        failed = permute(stream_key(key, "failed"), cells, np.arange(remaining))
        return pulses, np.sort(failed)
