"""Which values the lowest depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifesim.experiment.extremes import PERCENTILE, candidates, how_many_matter


@pytest.mark.parametrize("devices", [1, 2, 3, 20, 21, 22, 40, 41, 42, 100, 1000, 1001])
def test_minimum_and_percentile_depend_on_those_that_matter_and_no_more(devices: int) -> None:
    values, matter = np.arange(devices, dtype=float), how_many_matter(devices)
    unknown_above = np.where(np.arange(devices) < matter, values, np.inf)
    assert np.percentile(unknown_above, PERCENTILE) == np.percentile(values, PERCENTILE)
    assert unknown_above.min() == values.min()
    if matter > 2:
        one_less = np.where(np.arange(devices) < matter - 2, values, 1e9)
        assert np.percentile(one_less, PERCENTILE) > np.percentile(values, PERCENTILE)


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 10), st.floats(-1, 1)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 10),
)
def test_bounds_that_hold_lead_to_the_lowest_values(drawn: list[tuple[int, int, float]], matter: int) -> None:
    """Evaluate candidates until there are none: the lowest are known then, and a value far above them need never be."""
    values, slack, guesses = (np.array(column, float) for column in zip(*drawn, strict=True))
    matter = min(matter, len(values))
    lowest, likely, known = values - slack, values + guesses * slack, np.zeros(len(values), bool)
    while len(more := candidates(lowest, likely, known, matter)):
        assert not known[more].any()
        lowest[more], likely[more], known[more] = values[more], values[more], True
    found = np.where(known, values, np.inf)
    assert np.sort(found)[:matter].tolist() == np.sort(values)[:matter].tolist()


def test_a_value_that_cannot_be_among_the_lowest_need_not_be_known() -> None:
    lowest, likely = np.array([3.0, 1.0, 8.0, 5.5]), np.array([4.0, 2.0, 9.0, 6.0])
    known = np.zeros(4, bool)
    assert candidates(lowest, likely, known, 1).tolist() == [1]
    # The first two have to be known; the second of them may well turn out higher than another.
    likely[0] = 7.0
    assert candidates(lowest, likely, known, 2).tolist() == [0, 1, 3]
    known[[0, 1, 3]] = True
    assert candidates(lowest, likely, known, 3).tolist() == []
