"""Read disturb: the law of its median, and how the voltage's spread adds to the cells'."""

import math

import numpy as np
import pytest

from lifesim.physics.distributions import failed_share
from lifesim.physics.disturb import PulsesToDisturb, pulses_per_inference
from lifesim.streams import generator, stream_key

CELLS = PulsesToDisturb(1e8, 0.2, 0.060, 1.0)


def test_the_median_gains_a_decade_per_slope():
    assert CELLS.median_pulses(0.2) == 1e8
    assert CELLS.median_pulses(0.14) == pytest.approx(1e9)
    assert CELLS.median_pulses(0.26) == pytest.approx(1e7)
    assert CELLS.median_pulses(0.1) == pytest.approx(4.6e9, rel=0.01)
    limits = CELLS.limits(0.1)
    assert float(failed_share(limits, CELLS.median_pulses(0.1))) == pytest.approx(0.5)
    assert limits.sigma_ln == 1.0, "without a spread of the voltage, the cells' own"


@pytest.mark.parametrize(("sigma_ln", "sigma_v"), [(1.0, 0.02), (0.3, 0.05), (0.0, 0.01)])
def test_cells_under_spread_voltages_fail_as_the_combined_distribution_says(sigma_ln, sigma_v):
    """A cell with its own limit under its own voltage, one by one, against the closed form."""
    disturb = PulsesToDisturb(1e8, 0.2, 0.060, sigma_ln, sigma_v)
    rng, n = generator(stream_key("disturb", str(sigma_v))), 40_000
    medians = [disturb.median_pulses(v) for v in 0.15 + sigma_v * rng.standard_normal(n)]
    limits = np.log(medians) + sigma_ln * rng.standard_normal(n)
    combined = disturb.limits(0.15)
    sd = combined.sigma_ln
    assert abs(limits.mean() - math.log(combined.median)) < 3 * sd / math.sqrt(n)
    assert abs(limits.std() / sd - 1) < 3 / math.sqrt(2 * n) < 0.03
    share = float(failed_share(combined, 1e8))
    assert abs(np.mean(limits <= math.log(1e8)) - share) < 3 * math.sqrt(share * (1 - share) / n)


def test_pulses_are_the_ones_of_the_inputs():
    assert pulses_per_inference(576, 16, 1.0) == 9216
    assert pulses_per_inference(576, 16, 0.06) == pytest.approx(553, abs=1)
