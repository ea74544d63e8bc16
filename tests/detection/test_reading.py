"""Read noise by visit, picture and read; votes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.criteria import Golden
from lifesim.detection.reading import ReadNoise, TestRule
from lifesim.normals import unit_normals
from lifesim.streams import stream_key

NOISE = ReadNoise(sigma=0.01, correlation=0.5)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**60),
    st.permutations(range(5)),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_each_picture_and_read_has_its_own_noise_whatever_else_is_drawn(
    key, time_ns, reads, pictures, elements
):
    whole = NOISE.draw(key, time_ns, range(5), 4, 9)
    some = NOISE.draw(key, time_ns, reads[:3], pictures, elements)
    assert some.shape == (3, pictures, elements) and some.dtype == np.float32
    assert np.array_equal(some, whole[list(reads[:3]), :pictures, :elements])


def test_the_first_read_is_a_stream_by_itself():
    drawn = NOISE.draw(5, 77, [1, 0], 3, 11)
    assert np.array_equal(drawn[1], unit_normals(NOISE.first_key(5, 77), 3, 11))
    assert not np.array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
def test_noise_is_normal_and_reads_of_one_visit_correlate(correlation):
    """Mean, variance, and correlations between reads, pictures, visits and devices: within 4 standard errors,
    as there are 156 of them.
    """
    noise, n = ReadNoise(0.01, correlation), 40_000
    one, two = (
        noise.draw(stream_key("noise", str(correlation)), time_ns, [0, 1, 2], 2, n).astype(float)
        for time_ns in (1000, 1001)
    )
    other = noise.draw(stream_key("another device", str(correlation)), 1000, [0], 2, n)
    for z in (*one[0], *one[1]):
        assert abs(z.mean()) < 4 / np.sqrt(n) and abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    for a, b in itertools.combinations(one, 2):  # the same pictures, another read: of 2 n products
        assert abs(np.mean(a * b) - correlation) < 4 * np.sqrt((1 + correlation**2) / (2 * n))
    for z in one:
        assert abs(np.mean(z[0] * z[1])) < 4 / np.sqrt(n)
        for independent in (*two, other[0]):
            assert abs(np.mean(z * independent)) < 4 / np.sqrt(2 * n)


@pytest.mark.parametrize("vote", [1, 2, 3])
def test_votes(vote):
    """Three pictures of two classes; reads in which 0 to 3 of them have changed their class."""
    golden = Golden.of(np.array([[0.9, 0.1]] * 3))
    reads = np.array([[[0.1, 0.9]] * changed + [[0.9, 0.1]] * (3 - changed) for changed in range(4)])
    rule = TestRule("sdc1", pictures=3, vote=vote, rereads=2, baseline_reads=1)
    assert rule.alarms(golden, reads).tolist() == [changed >= vote for changed in range(4)]
    assert rule.alarms(golden, reads[3]) == (vote <= 3)


def test_the_rule_uses_its_criterion():
    golden = Golden.of(np.array([[0.9, 0.1]]))
    moved = np.array([[0.8, 0.2]])
    assert not TestRule("sdc1", 1, 1, 0, 1).alarms(golden, moved)
    assert TestRule("sdc3", 1, 1, 0, 1).alarms(golden, moved)
