"""The integral of a rate that repeats, against sums of exact fractions."""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.physics.periodic import LONGEST_S, PeriodicIntegral, doubles

PIECES = st.lists(st.tuples(st.floats(0.01, 1e6), st.floats(0, 1e9)), min_size=1, max_size=20)


def integral(pieces):
    widths, amounts = zip(*pieces, strict=True)
    knots = np.concatenate([[0.0], np.cumsum(widths)])
    return PeriodicIntegral(doubles(knots), np.array(amounts)), knots, amounts


def exact(knots, amounts, time_s):
    """Rational arithmetic on the same knots."""
    periods, rest = divmod(Fraction(time_s), Fraction(knots[-1]))
    i = bisect_right(list(map(Fraction, knots)), rest) - 1
    share = (rest - Fraction(knots[i])) / (Fraction(knots[i + 1]) - Fraction(knots[i]))
    amounts = [Fraction(float(amount)) for amount in amounts]
    return float(periods * sum(amounts) + sum(amounts[:i]) + amounts[i] * share)


@settings(deadline=None, max_examples=200)
@given(PIECES, st.floats(0, 1e9))
def test_it_is_the_sum_of_periods_and_pieces(pieces, time_s):
    table, knots, amounts = integral(pieces)
    resolution = (
        sum(amounts) * 2.0 ** -(52 - math.ceil(math.log2(LONGEST_S / knots[-1]))) * (1 + time_s / knots[-1])
    )
    expected = exact(knots, amounts, time_s)
    assert table.at(time_s) == pytest.approx(expected, rel=1e-12, abs=len(pieces) * resolution + 1e-290)
    assert table.at_many(np.array([time_s, knots[0], knots[-1]])).tolist() == [
        table.at(time) for time in (time_s, knots[0], knots[-1])
    ]


@settings(deadline=None, max_examples=200)
@given(PIECES, st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 20), st.integers(-3, 3)), min_size=2))
def test_it_never_runs_backwards(pieces, moments):
    """At the borders of pieces and periods, a few of a float's last bits apart."""
    table, knots, _ = integral(pieces)
    times = []
    for periods, knot, steps in moments:
        time_s = periods * knots[-1] + knots[min(knot, len(knots) - 1)]
        for _ in range(abs(steps)):
            time_s = math.nextafter(time_s, math.inf if steps > 0 else -math.inf)
        times.append(max(time_s, 0.0))
    values = [table.at(time_s) for time_s in sorted(times)]
    assert values == sorted(values)


@settings(deadline=None, max_examples=100)
@given(PIECES.filter(lambda pieces: sum(a for _, a in pieces) > 1.0), st.floats(0, 1e10))
def test_the_time_of_an_amount_is_when_it_is_reached(pieces, amount):
    table, knots, amounts = integral(pieces)
    time_s = table.time_of(amount)
    steepest = max(a / (end - begin) for a, begin, end in zip(amounts, knots, knots[1:], strict=False))
    rounding = 1e-12 * (amount + time_s * steepest) + 1e-6 * sum(amounts)
    assert table.at(time_s) == pytest.approx(amount, abs=rounding)


@pytest.mark.parametrize("amount", [0.0, 5e-324, 1e-310])
def test_a_rate_of_nothing(amount):
    table = PeriodicIntegral(doubles(np.array([0.0, 60.0])), np.full(1, amount))
    assert table.at(0.0) == table.at(1e9) == table.mean_rate == 0.0
    assert table.time_of(1.0) == math.inf


def test_whole_periods_add_without_rounding_for_a_thousand_years():
    table = PeriodicIntegral(doubles(np.array([0.0, 1000.0, 86_400.0])), np.array([0.1, 0.7]))
    day, part = table.at(86_400.0), table.at(1000.0)
    for days in (1, 364_999):
        assert table.at(days * 86_400.0) == days * day
        assert Fraction(table.at(days * 86_400.0 + 1000.0)) == days * Fraction(day) + Fraction(part)
