"""What regions add up to is exact: no order of adding changes a digit."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from lifesim.experiment import totals


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)))
def test_sums_of_floats_are_not_rounded(numbers):
    assert totals._exact_sum(numbers) == sum(map(Fraction, numbers), Fraction(0))
