"""Ageing against closed forms: Weibull arrivals under reloads, lognormal retention in a cycling temperature.

Counts over many banks; each mean within 3 standard errors of the exact one, the standard error (binomial)
under 1 % of the value.
"""

import math

import numpy as np
import pytest
from scipy import integrate

from lifesim.crossbar.bank import Bank, Wear
from lifesim.crossbar.programming import Programmed
from lifesim.crossbar.soft import Retention
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import CosineProfile, acceleration_factor, equivalent_time
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
NEW = Programmed(0, 0, 1)
HOT_BOX = CosineProfile(55.0, season_amplitude_c=8.0, day_amplitude_c=12.0)
NO_DRIFT = Retention(Lognormal(1e30, 1.0), 0.5, 0, equivalent_time(HOT_BOX, 85.0, 1.5))
NO_WEAR = Wear(Weibull(1e30, 2.0), 0.8)


def check_counts(counts, n, share):
    """``counts`` of failed cells of banks of ``n`` cells, each cell failed with probability ``share``."""
    counts = np.array(counts)
    expected, standard_error = n * share, math.sqrt(n * share * (1 - share) / len(counts))
    assert standard_error < 0.01 * expected
    assert abs(counts.mean() - expected) < 3 * standard_error
    # Banks are independent, and so are a bank's cells: the spread is binomial (within 3 standard errors of a
    # variance).
    assert abs(counts.var(ddof=1) / (n * share * (1 - share)) - 1) < 3 * math.sqrt(2.2 / len(counts))


@pytest.mark.parametrize(("years", "reloads_per_day"), [(1, 288), (5, 288), (10, 288), (10, 24)])
def test_weibull_arrivals_under_reloads(years, reloads_per_day):
    """The worn camera: Weibull of scale 1e7 and shape 2 in programming operations, n F(x) of 6.89 M cells
    stuck after x reloads.
    """
    n, scale = 6_890_000, 1e7
    operations = 1 + years * 365 * reloads_per_day
    share = -math.expm1(-((operations / scale) ** 2))
    banks = max(20, math.ceil(1.2e4 / (n * share)))
    if reloads_per_day == 288:
        assert {1: 762, 5: 19_000, 10: 75_800}[years] == pytest.approx(n * share, rel=0.01), (
            "the published table"
        )
    counts = []
    for i in range(banks):
        bank = Bank(
            stream_key("camera", i),
            n,
            Wear(Weibull(scale, 2.0), 5 / 6),
            (NO_DRIFT,),
            DAY_NS // reloads_per_day,
        )
        counts.append(len(bank.faults_at(NEW, years * 365 * DAY_NS).stuck))
    check_counts(counts, n, share)


@pytest.mark.parametrize("shape", [0.8, 1.0, 3.0])
@pytest.mark.parametrize("share", [0.01, 0.6])
def test_weibull_arrivals_of_other_shapes(shape, share):
    n, scale = (20_000 if share == 0.01 else 400), 1e5
    operations = round(scale * (-math.log1p(-share)) ** (1 / shape))
    exact = -math.expm1(-((operations / scale) ** shape))
    banks = (
        Bank(stream_key("shape", i), n, Wear(Weibull(scale, shape), 0.5), (NO_DRIFT,)) for i in range(120)
    )
    check_counts([len(bank.stuck_at(Programmed(0, 0, operations), 0)[0]) for bank in banks], n, exact)


def damage_s(start_day, end_day, energy_ev):
    """Equivalent seconds at 85 C by quadrature, a quarter of a day at a time."""
    cuts = np.arange(start_day * 4, end_day * 4 + 1) * (S_PER_DAY / 4)
    return math.fsum(
        integrate.fixed_quad(
            lambda t: acceleration_factor(HOT_BOX.temperature_c(t), 85.0, energy_ev), a, b, n=8
        )[0]
        for a, b in zip(cuts, cuts[1:], strict=False)
    )


@pytest.mark.parametrize("cell_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("energy_ev", "start_day", "end_day"), [(1.5, 0, 365), (1.5, 40, 210), (1.1, 300, 900)]
)
def test_retention_under_a_cycling_temperature(energy_ev, start_day, end_day, cell_share):
    """Lognormal of median 0.1 y at 85 C, sigma 1, in a sealed box outdoors: programmed on one day, looked at
    on another.
    """
    n, banks = 4000, 60
    limits = Lognormal(0.1 * 365 * S_PER_DAY, 1.0)
    z = math.log(damage_s(start_day, end_day, energy_ev) / limits.median) / limits.sigma_ln
    share = 0.5 * math.erfc(-z / math.sqrt(2))
    assert 0.02 < share < 0.9
    retention = Retention(limits, cell_share, 0, equivalent_time(HOT_BOX, 85.0, energy_ev))
    counts = []
    for i in range(banks):
        bank = Bank(stream_key("box", i), n, NO_WEAR, (retention,))
        counts.append(len(bank.faults_at(Programmed(start_day * DAY_NS, 3, 4), end_day * DAY_NS).expired))
    check_counts(counts, n, share)


@pytest.mark.parametrize(("energy_ev", "multiplier"), [(0.7, 1.47), (1.1, 2.37), (1.5, 4.19)])
def test_a_cycling_day_ages_as_many_times_faster_as_published(energy_ev, multiplier):
    """Expired cells in a +-15 C day at 25 C: as many as without the cycle after ``multiplier`` times as long
    (given to 0.005).
    """
    n, banks, days = 20_000, 10, 90
    limits = Lognormal(multiplier * days * S_PER_DAY, 1.0)  # so the median is reached
    cycling = equivalent_time(CosineProfile(25.0, day_amplitude_c=15.0), 25.0, energy_ev)
    constant = equivalent_time(CosineProfile(25.0), 25.0, energy_ev)
    counts = {}
    for name, clock, end_ns in (
        ("cycling", cycling, days * DAY_NS),
        ("constant", constant, round(multiplier * days * DAY_NS)),
    ):
        retention = Retention(limits, 0.5, 0, clock)
        counts[name] = [
            len(Bank(stream_key("day", i), n, NO_WEAR, (retention,)).faults_at(NEW, end_ns).expired)
            for i in range(banks)
        ]
    check_counts(counts["constant"], n, 0.5)
    # The same silicon: the counts differ by the rounding of the multiplier alone, 0.005 / multiplier times
    # the density 0.4 per ln.
    difference = np.mean(counts["cycling"]) - np.mean(counts["constant"])
    assert abs(difference) < 0.005 / multiplier * 0.4 * n * 1.1 + 3 * math.sqrt(0.005 * 0.4 * n / banks)
