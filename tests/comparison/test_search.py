"""The search finds optima that are known: of functions, and of devices whose best interval has a closed form."""

import math

import numpy as np
import pytest
from exponential import ExponentialTwin, Programming, hidden_failure_record, live, up_ns

from lifesim.comparison.search import Dimension, search
from lifesim.detection.schedules import BlindRefresh
from lifesim.fleet.records import Grid, State
from lifesim.streams import stream_key


def noisy(function, replications=8, common=1.0, own=0.0, seed=1):
    """An objective whose replications share what is random, but for ``own``."""
    rng = np.random.default_rng(seed)
    shift = common * rng.normal(size=replications)

    def evaluate(candidates):
        return [list(function(*c) + shift + own * rng.normal(size=replications)) for c in candidates]

    return evaluate


def test_one_dimension():
    found = search(noisy(lambda x: (math.log(x / 20)) ** 2), [Dimension("x", 1, 1000)], 20)
    assert found.best.candidate[0] == pytest.approx(20, rel=0.05)
    assert len(found.evaluations) <= 20
    assert [e.candidate for e in found.evaluations] == sorted(e.candidate for e in found.evaluations)


def test_common_luck_does_not_blur_it():
    """Replications differ a hundred times as much as candidates: only those beside the best are as good."""
    found = search(noisy(lambda x: (math.log(x / 20)) ** 2, common=100.0), [Dimension("x", 1, 1000)], 20)
    low, high = found.as_good_range(0)
    assert found.best.candidate[0] == pytest.approx(20, rel=0.05)
    assert low > 15
    assert high < 27
    assert found.best.interval.half_width > 10


def test_own_luck_shows_in_what_is_as_good():
    found = search(noisy(lambda x: (math.log(x / 20)) ** 2, own=1.0), [Dimension("x", 1, 1000)], 20)
    low, high = found.as_good_range(0)
    assert high / low > 3


def test_of_several_valleys_the_deepest_of_those_seen():
    found = search(
        noisy(lambda x: min((math.log(x / 3)) ** 2 + 0.5, (math.log(x / 300)) ** 2)),
        [Dimension("x", 1, 1000)],
        24,
    )
    assert found.best.candidate[0] == pytest.approx(300, rel=0.1)


def test_several_dimensions_one_of_them_whole():
    dimensions = [Dimension("x", 1, 1000), Dimension("n", 2, 64, whole=True)]
    found = search(noisy(lambda x, n: math.log(x / 50) ** 2 + (n - 20) ** 2 / 100), dimensions, 60)
    assert found.best.candidate[0] == pytest.approx(50, rel=0.3)
    assert abs(found.best.candidate[1] - 20) <= 3
    assert all(float(e.candidate[1]).is_integer() for e in found.evaluations)


def test_an_optimum_at_an_end():
    found = search(noisy(lambda x: x), [Dimension("x", 1, 1000)], 10)
    assert found.best.candidate == (1.0,)


def test_no_candidate_is_tried_twice():
    tried = []
    inner = noisy(lambda n: (n - 3) ** 2)

    def evaluate(candidates):
        tried.extend(candidates)
        return inner(candidates)

    search(evaluate, [Dimension("n", 1, 6, whole=True)], 30)
    assert len(tried) == len(set(tried)) <= 6


def test_settings_are_round():
    dimension = Dimension("x", 1, 1000)
    assert (dimension.at(0), dimension.at(1), dimension.at(2), dimension.at(0.123456)) == (
        1,
        1000,
        1000,
        2.35,
    )
    assert Dimension("x", 0, 10).at(0.5) == 5


# -- devices with a closed form --

MEAN_NS = 400_000_000
VISIT_NS = 200_000


def test_the_best_interval_of_inspection_of_hidden_failures():
    """Availability of :mod:`tests.analytic.test_hidden_failure` without repair time: the search over the interval on simulated devices finds its
    maximum, which is near sqrt(2 b / lambda) = 12.6 visits of a mean life of 2,000 visits.
    """

    def shares(candidates):
        return [
            [
                -up_ns(record) / record.segments[-1].end_ns
                for i in range(8)
                for tau_ns in [round(tau * VISIT_NS)]
                for record in [hidden_failure_record(stream_key("optimum", i), MEAN_NS, tau_ns, VISIT_NS, 0, round(2e11 / tau_ns), False)]
            ]
            for (tau,) in candidates
        ]  # fmt: skip

    def availability(tau):
        rate = VISIT_NS / MEAN_NS
        return -math.expm1(-rate * (tau - 1)) / rate / tau

    found = search(shares, [Dimension("tau", 5, 2000)], 12)
    best = found.best.candidate[0]
    closed = math.sqrt(2 * MEAN_NS / VISIT_NS)
    exact = max(np.arange(10, 200, 0.1), key=availability)
    assert exact == pytest.approx(closed, rel=0.02)
    # The top is flat: what is found loses at most a twentieth of what the optimum leaves to be lost.
    assert availability(best) > availability(exact) - 0.05 * (1 - availability(exact))
    assert best == pytest.approx(closed, rel=0.35)
    standard_error = found.best.interval.half_width / 2.36
    assert abs(-found.best.interval.mean - availability(best)) < 3 * standard_error


class WornTwin(ExponentialTwin):
    """Fails a Weibull time of shape 3 after each programming."""

    def _program(self, epoch, time_ns):
        uniform = ((stream_key(self.key, "life", epoch) >> 76) + 0.5) * 2.0**-52
        return Programming(
            epoch, time_ns, time_ns + math.ceil((-math.log(uniform)) ** (1 / 3) * self._mean_ns)
        )


def test_the_best_interval_of_blind_refresh():
    """Refreshes by the clock, failures hidden until then (replacement by the clock; Barlow and Hunter 1960): a refresh costs 1, a scale of time out
    of order 20. The cost rate (1 + 20 int_0^T F) / T has its minimum where T F(T) - int_0^T F = 1 / 20.
    """
    scale_ns, refreshes = 1_000_000, 150

    def down(record):
        up = sum(
            max(0, min(stretch.end_ns, stretch.snapshot.failure_ns) - stretch.start_ns)
            for stretch in record.stretches
        )
        return sum(s.end_ns - s.start_ns for s in record.segments if s.state is State.SERVING) - up

    def rates(candidates):
        values = []
        for (interval,) in candidates:
            interval_ns = round(interval * scale_ns)
            horizon_ns = interval_ns * refreshes
            values.append([])
            for i in range(8):
                record = live(
                    WornTwin(stream_key("worn", i), scale_ns), BlindRefresh(interval_ns), Grid(interval_ns, interval_ns, 0), horizon_ns,
                    stepped=False, read_ns=0, diagnosis_ns=0, programming_ns=1,
                )  # fmt: skip
                values[-1].append((refreshes + 20 * down(record) / scale_ns) / (horizon_ns / scale_ns))
        return values

    t = np.linspace(1e-4, 3, 30_000)
    integral = np.cumsum(-np.expm1(-(t**3))) * (t[1] - t[0])
    rate = (1 + 20 * integral) / t
    exact = t[np.argmin(rate)]
    assert np.interp(exact, t, t * -np.expm1(-(t**3)) - integral) == pytest.approx(1 / 20, rel=0.01)
    found = search(rates, [Dimension("interval", 0.05, 3)], 16)
    assert found.best.candidate[0] == pytest.approx(exact, rel=0.15)
    standard_error = found.best.interval.half_width / 2.36
    assert abs(found.best.interval.mean - np.interp(found.best.candidate[0], t, rate)) < 3.5 * standard_error
