"""Power cuts come at random, and whatever is asked when."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lifesim.fleet.power import PowerCuts
from lifesim.timeunits import NS_PER_S, S_PER_YEAR

YEAR_NS = int(S_PER_YEAR) * NS_PER_S


def until(cuts, end_ns):
    times = [cuts.first_after(0)]
    while times[-1] <= end_ns:
        times.append(cuts.first_after(times[-1]))
    return np.array(times[:-1])


EVERY = until(PowerCuts(7, 3.0), 60 * YEAR_NS)


def test_they_are_poisson():
    """Independent gaps of the stated mean, as variable as an exponential."""
    years, rate = 50, 250.0
    times = until(PowerCuts(1, rate), years * YEAR_NS)
    gaps = np.diff(times, prepend=0) / YEAR_NS
    error = 1 / np.sqrt(len(gaps))
    assert error < 0.01
    assert abs(gaps.mean() * rate - 1) < 3 * error
    assert abs(gaps.std() * rate - 1) < 3 * np.sqrt(2) * error  # kurtosis 9: the sd of the sd is sqrt(2/n)
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 3 * error


def test_without_a_rate_there_are_none():
    assert PowerCuts(1, 0.0).first_after(10**18) is None


@given(st.lists(st.integers(0, 20 * YEAR_NS), min_size=1, max_size=20))
def test_the_answer_does_not_depend_on_what_was_asked_before(times_ns):
    cuts = PowerCuts(7, 3.0)
    for time_ns in times_ns:
        assert cuts.first_after(time_ns) == EVERY[EVERY > time_ns][0]
