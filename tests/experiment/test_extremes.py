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
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), min_size=1, max_size=40), st.integers(1, 10)
)
def test_bounds_that_hold_lead_to_the_lowest_values(drawn: list[tuple[int, int]], matter: int) -> None:
    """Evaluate candidates until there are none: the lowest are known then, and a value far above them need never be."""
    values, slack = (np.array(column, float) for column in zip(*drawn, strict=True))
    matter = min(matter, len(values))
    lowest, known = values - slack, np.zeros(len(values), bool)
    while len(more := candidates(lowest, known, matter)):
        assert not known[more].any()
        lowest[more], known[more] = values[more], True
    found = np.where(known, values, np.inf)
    assert np.sort(found)[:matter].tolist() == np.sort(values)[:matter].tolist()
    assert not known[values - slack > np.sort(values)[matter - 1]].any()
