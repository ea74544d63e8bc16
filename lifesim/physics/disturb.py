"""Read disturb: each read pulse stresses a cell a little, and after a number of pulses it has left its state.

The median number falls exponentially with the read voltage. What the spread of the read voltage over a crossbar (IR drop, offset of the
drivers) does to the number is lognormal too, so it adds to the cells' own spread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lifesim.physics.distributions import Lognormal


@dataclass(frozen=True, slots=True)
class PulsesToDisturb:
    """Median pulses to disturb: ``n50_pulses`` at ``v_ref``, ten times as many for every ``slope_v`` volts less.

    ``sigma_ln`` is the cells' own spread of ln(pulses), ``sigma_v`` the spread of the voltage (standard deviation, volts).
    """

    n50_pulses: float
    v_ref: float
    slope_v: float
    sigma_ln: float
    sigma_v: float = 0.0

    def median_pulses(self, read_v: float) -> float:
        """Return the median number of pulses of ``read_v`` volts that disturb a cell."""
        return self.n50_pulses * 10.0 ** ((self.v_ref - read_v) / self.slope_v)

    def limits(self, read_v: float) -> Lognormal:
        """Return the distribution of the cells' limits, in pulses of ``read_v`` volts nominally."""
        spread = math.hypot(self.sigma_ln, math.log(10.0) * self.sigma_v / self.slope_v)
        return Lognormal(self.median_pulses(read_v), spread)


def pulses_per_inference(positions: int, input_bits: int, share_of_ones: float) -> float:
    """Return how many pulses a cell sees on average per inference: one for each input bit that is one, at each position of its layer."""
    return positions * input_bits * share_of_ones
