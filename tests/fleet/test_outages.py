"""Outages: when, how long, and what they leave of a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.fleet.outages import Outages
from lifesim.timeunits import NS_PER_S

YEAR_NS = 365 * 86_400 * NS_PER_S


def first(outages, count):
    spans, time_ns = [], 0
    for _ in range(count):
        spans.append(outages.next(time_ns))
        time_ns = spans[-1][1]
    return np.array(spans)


def test_never():
    assert Outages().next(5) is None
    assert Outages().up_from(5) == 5 and Outages().done_by(5, 100) == 105


def test_times_between_and_durations_are_exponential():
    spans = first(Outages(3, per_year=50, mean_s=7200), 12_000)
    down = (spans[:, 1] - spans[:, 0]) / NS_PER_S
    up = (spans[1:, 0] - spans[:-1, 1]) / YEAR_NS * 50
    for sample, mean in ((down, 7200.0), (up, 1.0)):
        error = mean / np.sqrt(len(sample))
        assert error < 0.01 * mean
        assert abs(sample.mean() - mean) < 3 * error
        assert abs((sample > mean).mean() - np.exp(-1)) < 3 * np.sqrt(
            np.exp(-1) * (1 - np.exp(-1)) / len(sample)
        )


def test_an_outage_is_the_same_whenever_it_is_asked_for():
    spans = first(Outages(3, 1000, 3600), 50)
    late = Outages(3, 1000, 3600)
    for start_ns, end_ns in reversed(spans.tolist()):
        assert late.next(start_ns) == late.next(end_ns - 1) == (start_ns, end_ns)
    assert (first(Outages(4, 1000, 3600), 50) != spans).any()


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 100))
def test_what_is_done_has_taken_its_time_while_up(begin_ns, work_ns, key):
    outages = Outages(key, 3e6, 5.0)
    end_ns = outages.done_by(begin_ns, work_ns)
    down_ns, time_ns = 0, begin_ns
    while (span := outages.next(time_ns))[0] < end_ns:
        down_ns += min(span[1], end_ns) - max(span[0], begin_ns)
        time_ns = span[1]
    assert end_ns - begin_ns - down_ns == work_ns
    if work_ns:
        assert outages.up_from(end_ns - 1) == end_ns - 1, "it ends while it is up"


@pytest.mark.parametrize(("offset_ns", "expected"), [(-1, "itself"), (0, "end"), (1, "end")])
def test_up_from(offset_ns, expected):
    outages = Outages(3, 1000, 3600)
    start_ns, end_ns = outages.next(0)
    at_ns = start_ns + offset_ns
    assert outages.up_from(at_ns) == (at_ns if expected == "itself" else end_ns)
