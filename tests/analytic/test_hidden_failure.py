"""Availability under periodic inspection of hidden failures, against its closed form.

The device fails at rate l after each programming and nobody notices until a visit: every tau a visit of b,
whose verdict is about the state at its end; diagnosis and refresh take D, a multiple of tau (the grid is
absolute, so only then a cycle begins anew). Up time counts while serving, so a = tau - b of each interval:

    A = ((1 - e^{-l a}) / l) / (tau + D q),   q = 1 - e^{-l tau}
"""

import math

import numpy as np
import pytest
from exponential import hidden_failure_record, up_ns

from lifesim.streams import stream_key

TAU_NS = 1_000_000
DEVICES = 20


def availability(rate, tau, b, down):
    a = tau - b
    return -math.expm1(-rate * a) / rate / (tau - down * math.expm1(-rate * tau))


def test_the_closed_form_by_simulating_it():
    """The formula against a few lines of numpy that know nothing of the package."""
    rate, b, down = 0.8, 0.3, 2.0
    lives = np.random.default_rng(1).exponential(1 / rate, 400_000)
    up, cycle = np.minimum(lives, 1 - b), 1 + down * (lives <= 1)
    assert up.mean() / cycle.mean() == pytest.approx(availability(rate, 1.0, b, down), rel=5e-3)


@pytest.mark.parametrize("stepped", [False, True], ids=["skip-ahead", "stepped"])
@pytest.mark.parametrize(
    ("rate", "b", "down", "intervals"),
    [(0.5, 0.1, 1, 1200), (2.0, 0.4, 3, 2500), (0.02, 0.01, 2, 3000), (1.0, 0.001, 0, 900)],
)
def test_availability(rate, b, down, intervals, stepped):
    """Rates per interval, times in intervals. Within 3 standard errors over devices, the standard error under
    1 % of the value.
    """
    shares = np.array(
        [
            up_ns(
                hidden_failure_record(
                    stream_key("hidden failure", i),
                    TAU_NS / rate,
                    TAU_NS,
                    round(b * TAU_NS),
                    down * TAU_NS,
                    intervals,
                    stepped,
                )
            )
            / (intervals * TAU_NS)
            for i in range(DEVICES)
        ]
    )
    expected = availability(rate, 1.0, b, down)
    standard_error = shares.std(ddof=1) / math.sqrt(DEVICES)
    assert standard_error < 0.01 * expected
    assert abs(shares.mean() - expected) < 3 * standard_error


def test_a_verdict_about_the_beginning_of_a_visit_would_show():
    """What the test above can tell apart: with q = 1 - e^{-l a} the second case would be off by more than 3
    of its standard errors.
    """
    rate, b, down = 2.0, 0.4, 3
    a = 1 - b
    other = -math.expm1(-rate * a) / rate / (1 - down * math.expm1(-rate * a))
    assert other > 1.03 * availability(rate, 1.0, b, down)
