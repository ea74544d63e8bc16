"""Inferences since the start: by hand, and against a sum over the hours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.physics.usage import Usage, usage

S_PER_H, S_PER_DAY = 3600, 86_400


def test_evenly_by_hand():
    count = Usage(60.0)
    assert [count.at(hours * 3600.0) for hours in (0, 0.5, 1, 24 * 365)] == [0, 30, 60, 60 * 24 * 365]


def test_by_day_only():
    """Twelve hours at twice the mean."""
    count = Usage(10.0, (0.0,) * 12 + (1.0,) * 12)
    assert count.at(12 * S_PER_H) == 0.0
    assert count.at(13 * S_PER_H) == pytest.approx(20.0)
    assert count.at(36 * S_PER_H) - count.at(24 * S_PER_H) == 0.0
    assert count.at(48 * S_PER_H) == pytest.approx(480.0)


def test_none_are_none():
    assert Usage(0.0, (1.0,) + (0.0,) * 23).at(1e9) == 0.0


@settings(deadline=None, max_examples=100)
@given(
    st.just(0.0) | st.floats(1e-6, 1e6),
    st.lists(st.floats(0, 100), min_size=24, max_size=24).filter(lambda shape: sum(shape) > 1e-3),
    st.integers(0, 10_000),
    st.floats(0, 24, exclude_max=True),
)
def test_the_hours_add_up(per_hour, shape, days, hour):
    count = Usage(per_hour, tuple(shape))
    today = sum(shape[: int(hour)]) + shape[int(hour)] * (hour - int(hour))
    expected = per_hour * 24 * (days + today / sum(shape))
    assert count.at(days * S_PER_DAY + hour * S_PER_H) == pytest.approx(
        expected, rel=1e-8, abs=1e-8 * per_hour
    )
    assert count.mean_rate * 3600 == pytest.approx(per_hour)


def test_devices_of_a_group_share_the_table():
    assert usage(5.0, (1.0,) * 24) is usage(5.0, (1.0,) * 24)
