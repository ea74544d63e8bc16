"""The fixed-point format of weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.fixedpoint import FixedPoint, quantise

FORMATS = st.integers(0, 15).map(lambda bits: FixedPoint(fraction_bits=bits))
WEIGHTS = st.lists(st.floats(-40_000, 40_000, allow_nan=False), min_size=1, max_size=30).map(np.array)


@pytest.mark.parametrize("fraction_bits", range(16))
def test_every_code_is_its_own_image(fraction_bits):
    fmt = FixedPoint(fraction_bits=fraction_bits)
    codes = np.arange(-(2**15), 2**15).astype(np.int16)
    weights = fmt.dequantise(codes)
    assert weights.dtype == np.float32 and weights[0] == -(2.0 ** (15 - fraction_bits))
    assert np.array_equal(fmt.quantise(weights), codes)
    assert np.all(np.diff(weights.astype(np.float64)) == fmt.scale)


@settings(deadline=None, max_examples=60)
@given(FORMATS, WEIGHTS)
def test_the_error_is_at_most_half_a_step_and_beyond_the_range_the_end_of_it(fmt, weights):
    codes = fmt.quantise(weights)
    assert codes.dtype == np.int16
    nearest = np.clip(weights, fmt.lowest * fmt.scale, fmt.highest * fmt.scale)
    assert np.all(np.abs(fmt.dequantise(codes).astype(np.float64) - nearest) <= fmt.scale / 2)
    assert np.array_equal(fmt.quantise(np.sort(weights)), np.sort(codes)), "monotone"


@pytest.mark.parametrize(("half_steps", "codes"), [([1, 3, 5, -1, -3, -5], [0, 2, 2, 0, -2, -2])])
def test_halves_go_to_even(half_steps, codes):
    fmt = FixedPoint(fraction_bits=15)
    assert fmt.quantise(np.array(half_steps) * fmt.scale / 2).tolist() == codes


def test_saturation_does_not_wrap():
    assert FixedPoint().quantise(np.array([1.0, 1e30, -1.0, -1e30, np.inf, -np.inf])).tolist() == [
        32767, 32767, -32768, -32768, 32767, -32768
    ]  # fmt: skip


def saturates(fmt, weights):
    """Whether a weight is rounded to a code that the format has not got."""
    codes = np.rint(weights / fmt.scale)
    return bool(np.any((codes < fmt.lowest) | (codes > fmt.highest)))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.floats(-30_000, 30_000), max_size=8).map(np.array), min_size=1, max_size=4),
    st.integers(-18, 0),
)
def test_the_tightest_format_holds_everything_and_the_next_does_not(arrays, exponent):
    arrays = [a * 2.0**exponent for a in arrays]
    fmt = FixedPoint.tightest(arrays)
    assert not any(saturates(fmt, a) for a in arrays)
    if fmt.fraction_bits < 15:
        assert any(saturates(FixedPoint(fraction_bits=fmt.fraction_bits + 1), a) for a in arrays)


@pytest.mark.parametrize(
    ("largest", "name"),
    [
        (0.0, "Q0.15"),
        (0.5, "Q0.15"),
        (-1.0, "Q0.15"),
        (32767.4 / 32768, "Q0.15"),
        (32767.6 / 32768, "Q1.14"),
        (1.0, "Q1.14"),
        (7.9, "Q3.12"),
    ],
)
def test_formats_by_hand(largest, name):
    assert str(FixedPoint.tightest([np.array([0.1]), np.array([largest, -0.2])])) == name


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        FixedPoint.tightest([np.array([1e10])])
    for width, fraction_bits in ((16, 41), (16, -17), (8, 4)):
        with pytest.raises(ValueError, match="16 bits"):
            FixedPoint(width, fraction_bits)


@settings(deadline=None, max_examples=60)
@given(st.floats(2.0**-25, 2.0**30), st.booleans())
def test_the_tightest_scale_may_be_any_power_of_two(largest, negative):
    weights = np.array([-largest if negative else largest, 0.0])
    fmt = FixedPoint.tightest([weights], most_fraction_bits=40)
    assert not saturates(fmt, weights)
    assert fmt.fraction_bits == 40 or saturates(FixedPoint(fraction_bits=fmt.fraction_bits + 1), weights)
    assert np.array_equal(
        fmt.dequantise(fmt.quantise(weights)), fmt.quantise(weights) * np.float32(fmt.scale)
    )


def test_scales_may_differ_from_weight_to_weight():
    formats = [FixedPoint(fraction_bits=bits) for bits in (0, 15, 20)]
    weights = np.array([-3.5, 0.3, 0.01])
    scales = np.array([f.scale for f in formats])
    assert quantise(weights, scales).tolist() == [
        int(f.quantise(w)) for f, w in zip(formats, weights, strict=True)
    ]
