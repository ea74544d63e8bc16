"""Keyed streams: addressed by what a draw is for, random-access, independent."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from lifesim.streams import bits_at, bits_of, first_uniform, generator, stream_key, uniform_of, uniforms

PARTS = st.lists(
    st.integers(-(2**70), 2**70) | st.text(max_size=6) | st.sampled_from(["1", "\x1f", "\x1fi1", "s"]),
    max_size=4,
)


@settings(deadline=None, max_examples=300)
@given(PARTS, PARTS)
def test_different_tuples_have_different_keys(a, b):
    assume(a != b)
    assert stream_key(*a) != stream_key(*b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1,), ("1",)),
        ((1, 2), (12,)),
        (("a", "b"), ("ab",)),
        (("a\x1fsb",), ("a", "b")),
        ((), ("",)),
        (("",), ("", "")),
    ],
)
def test_tuples_that_look_alike_have_different_keys(a, b):
    assert stream_key(*a) != stream_key(*b)


def test_a_key_is_128_bits_and_does_not_change_with_the_version():
    """Results are reproducible only as long as keys are: whoever changes this changes every number of every
    run.
    """
    key = stream_key(7, 0, "hot", 3, 0, "bank")
    assert key == 0x834379B443DF76A89ADC6D5EABE11848
    assert key == stream_key(*(np.int64(7), np.int32(0), "hot", 3, 0, "bank")), (
        "numpy's integers are integers"
    )


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 2**128 - 1),
    st.lists(st.integers(0, 2**63), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_a_number_depends_on_its_counter_alone(key, counters, random):
    numbers = dict(zip(counters, uniforms(key, np.array(counters, np.uint64)), strict=True))
    again = counters.copy()
    random.shuffle(again)
    for counter in again:
        assert uniforms(key, np.array([counter]))[0] == numbers[counter]
    assert first_uniform(key) == uniforms(key, np.zeros(1))[0]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 2**128 - 1), max_size=5), st.lists(st.integers(0, 2**63), max_size=5))
def test_several_streams_at_once_are_each_stream_by_itself(keys, counters):
    counters = np.array(counters, np.uint64)
    bits = bits_of(keys, counters)
    assert bits.shape == (len(keys), len(counters)) and bits.dtype == np.uint64
    for key, row in zip(keys, bits, strict=True):
        assert np.array_equal(row, bits_at(key, counters))


def test_no_counter_of_a_stream_has_the_bits_of_another():
    """For one key the bits are a bijection of the counter: 300,000 of them are as many different numbers."""
    bits = bits_at(stream_key("bijection"), np.arange(300_000))
    assert len(np.unique(bits)) == len(bits)


def test_the_interval_is_open():
    for extreme, expected in ((0, 2.0**-53), (2**64 - 1, 1 - 2.0**-53)):
        number = uniform_of(np.uint64(extreme))
        assert number == expected and math.isfinite(math.log(number)) and math.log(number) < 0


@pytest.mark.parametrize("name", ["counters of one key", "one counter of many keys"])
def test_uniforms_are_uniform_and_uncorrelated(name):
    """KS distance, and correlations of neighbours and with the counter: within 3 standard errors of what
    independence gives.
    """
    n = 20_000
    if name.startswith("counters"):
        u = uniforms(stream_key("u"), np.arange(n))
    else:
        u = np.array([first_uniform(stream_key("u", i)) for i in range(n)])
    # Kolmogorov's distribution of sqrt(n) D: mean 0.8687, standard deviation 0.2603.
    assert stats.kstest(u, "uniform").statistic * math.sqrt(n) < 0.8687 + 3 * 0.2603
    for lag in (1, 2, 16):
        assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 3 / math.sqrt(n)
    assert abs(np.corrcoef(u, np.arange(n))[0, 1]) < 3 / math.sqrt(n)


def test_every_bit_is_a_fair_coin_and_flips_with_any_bit_of_key_or_counter():
    """Share of ones and avalanche, bit by bit: all of 64 within 4.5 standard errors (3 for the mean over
    bits).
    """
    n = 20_000
    counters = np.arange(n)
    key = stream_key("avalanche")
    base = bits_at(key, counters)
    changes = [base, base ^ bits_at(key ^ 1, counters), base ^ bits_at(key ^ (1 << 127), counters)]
    changes += [base ^ bits_at(key, counters ^ 1), base ^ bits_at(key, counters ^ (1 << 40))]
    for bits in changes:
        ones = np.unpackbits(bits.view(np.uint8)).reshape(n, 64).mean(axis=0)
        assert np.abs(ones - 0.5).max() < 4.5 * 0.5 / math.sqrt(n)
        assert abs(ones.mean() - 0.5) < 3 * 0.5 / math.sqrt(64 * n)


def test_a_generator_begins_its_stream_anew():
    key = stream_key("generator", 1)
    assert np.array_equal(generator(key).random(5), generator(key).random(5))
    assert not np.array_equal(generator(key).random(5), generator(stream_key("generator", 2)).random(5))
