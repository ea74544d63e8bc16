"""Inferences and wrong ones: against integration minute by minute, where accuracy and use change."""

from __future__ import annotations

from bisect import bisect_right
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.experiment.accounting import account
from lifesim.experiment.answers import inferences, pieces
from lifesim.experiment.observation import Observed, SpecSpan
from lifesim.experiment.schema import COUNTS
from lifesim.fleet.records import DeviceRecord, Grid, Segment, State, Stretch
from lifesim.physics.usage import Usage

MINUTE_NS, DAY_NS = 60 * 10**9, 86_400 * 10**9
OFFICE_HOURS = (0.0,) * 8 + (1.0,) * 10 + (0.0,) * 6
PICTURES, CLEAN = 1000, 960


class NoWear:
    """A snapshot of cells that nobody writes."""

    def written_at(self, time_ns: int) -> tuple[int, np.ndarray]:
        return 1, np.array([0])


def booked(usage: Usage | None, judged: list[tuple[int, int]], edges_ns: list[int], grid: Grid | None = None):
    """The ledger of a device that serves from the first to the last time judged, and does something else before and after."""
    start_ns, end_ns = judged[0][0], judged[-1][0]
    visits = (grid.first_at_or_after(start_ns), grid.first_at_or_after(end_ns)) if grid else (0, 0)
    record = DeviceRecord(
        "made up",
        0,
        grid,
        segments=[
            Segment(State.REFRESHING, 0, start_ns),
            Segment(State.SERVING, start_ns, end_ns, False, *visits),
            Segment(State.OFFLINE, end_ns, edges_ns[-1]),
        ],
        stretches=[Stretch(start_ns, end_ns, NoWear())],
    )
    bank = SimpleNamespace(layers=(0,), last_of=1)
    plan = SimpleNamespace(
        hardware=SimpleNamespace(layout=SimpleNamespace(banks=[bank])),
        usage=usage,
        spec_pictures=PICTURES,
        spec_correct=CLEAN,
    )
    spans = [[SpecSpan(start_ns, end_ns, True)]]
    ledger = account(record, Observed([], spans, [judged]), plan, edges_ns)
    return ledger.counts[:, list(COUNTS).index("inferences")], ledger.extra_wrong


def by_the_minute(usage: Usage, judged: list[tuple[int, int]], edges_ns: list[int], grid: Grid | None = None):
    """Inferences and extra wrong ones in each period, the sums over minutes of rate, and rate times accuracy lost."""
    times, correct = zip(*judged, strict=True)
    answered, extra = np.zeros(len(edges_ns) - 1), np.zeros(len(edges_ns) - 1)
    for minute in range(times[0], times[-1], MINUTE_NS):
        middle = minute + MINUTE_NS // 2
        if grid and (middle - grid.phase_ns) % grid.interval_ns < grid.visit_ns:
            continue
        rate = usage.at((minute + MINUTE_NS) / 1e9) - usage.at(minute / 1e9)
        period = bisect_right(edges_ns, minute) - 1
        answered[period] += rate
        extra[period] += rate * (CLEAN - np.interp(middle, times, correct)) / PICTURES
    return answered, extra


EDGES_NS = [day * DAY_NS for day in (0, 4, 8, 12)]
DAYS_JUDGED = ((1, 970), (4, 960), (5.5, 949), (8, 800), (10, 820))


@pytest.mark.parametrize("visits", [False, True])
def test_even_use_is_counted_exactly(visits: bool) -> None:
    judged = [(int(day * DAY_NS), correct) for day, correct in DAYS_JUDGED]
    grid = Grid(3 * 3600 * 10**9, DAY_NS // 2, 37 * MINUTE_NS) if visits else None
    usage = Usage(240.0)
    answered, extra = booked(usage, judged, EDGES_NS, grid)
    expected_answered, expected_extra = by_the_minute(usage, judged, EDGES_NS, grid)
    assert np.abs(answered - expected_answered).max() <= 2  # a whole number for each piece
    # Which visits fall into which part of a piece is not followed: no more than a visit's worth of one piece.
    assert extra == pytest.approx(expected_extra, abs=2 + (240 * 37 / 60 * 0.15 if visits else 0))


def test_use_by_day_is_followed_where_it_matters() -> None:
    """With office hours, within a day's use times the accuracy lost on that day."""
    judged = [(int(day * DAY_NS), correct) for day, correct in DAYS_JUDGED]
    usage = Usage(240.0, OFFICE_HOURS)
    answered, extra = booked(usage, judged, EDGES_NS)
    expected_answered, expected_extra = by_the_minute(usage, judged, EDGES_NS)
    assert np.abs(answered - expected_answered).max() <= 2
    lost_a_day = (949 - 800) / 2.5 / PICTURES
    bound = 240 * 24 * lost_a_day / 4
    assert np.abs(extra - expected_extra).max() <= bound
    assert expected_extra[1] > 10 * bound


def test_nights_ask_for_nothing() -> None:
    usage = Usage(100.0, OFFICE_HOURS)
    assert inferences(usage, 18 * 3600 * 10**9, 32 * 3600 * 10**9) == 0
    assert inferences(usage, 0, DAY_NS) == 2400


def test_a_device_without_faults_gets_nothing_extra_wrong() -> None:
    answered, extra = booked(Usage(1e6), [(day * DAY_NS, CLEAN) for day in (0, 4, 5, 8, 12)], EDGES_NS)
    assert answered.sum() == pytest.approx(12 * 24e6, abs=3) and (extra == 0).all()


def test_a_device_better_than_new_gets_less_wrong_than_the_clean_network() -> None:
    _, extra = booked(Usage(1000.0), [(0, CLEAN + 10), (4 * DAY_NS, CLEAN + 10)], EDGES_NS)
    assert extra.tolist() == pytest.approx([-0.01 * 96_000, 0.0, 0.0])


def test_no_workload_no_inferences() -> None:
    answered, extra = booked(None, [(0, 100), (4 * DAY_NS, 100)], EDGES_NS)
    assert not answered.any() and not extra.any()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 1000)), min_size=2, unique_by=lambda p: p[0]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_pieces_cover_a_segment_once_and_keep_the_integral(judged, one: int, other: int) -> None:
    judged = sorted(judged)
    start_ns, end_ns = sorted((max(one, judged[0][0]), max(other, judged[0][0])))
    end_ns = min(end_ns, judged[-1][0])
    found = list(pieces(judged, start_ns, end_ns))
    assert sum(b - a for a, b, _ in found) == max(0, end_ns - start_ns)
    assert all(a[1] == b[0] for a, b in zip(found, found[1:], strict=False))
    times, correct = zip(*judged, strict=True)
    if found:
        knots = sorted({start_ns, end_ns, *(t for t in times if start_ns < t < end_ns)})
        integral = np.trapezoid(np.interp(knots, times, correct), knots)
        assert sum((b - a) * c for a, b, c in found) == pytest.approx(integral, rel=1e-9, abs=1e-6)
