"""Read noise by visit, picture and read; votes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.criteria import Golden
from lifesim.detection.nullreads import Averaging
from lifesim.detection.reading import CalibratedRule, ReadNoise, TestRule
from lifesim.detection.screening import softmax
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


def logits(seed, n=300):
    return (
        np.random.default_rng(seed)
        .normal([[3.0, 0.0, -1.0], [0.0, 2.0, 1.0]], 0.1, (n, 2, 3))
        .astype(np.float32)
    )


@pytest.mark.parametrize("name", ["max_dp", "chi_square", "mahalanobis"])
def test_a_calibrated_rule_is_the_same_at_both_ends(name):
    averaging = Averaging(4, 8, 0.5)
    rule = CalibratedRule.calibrate(name, logits(1), averaging, 0.01, 7, drift=0.1 * logits(2, 1)[0])
    there = CalibratedRule.decode(rule.encode(), averaging)
    assert there.encode() == rule.encode() and (there.reads, there.baseline_reads) == (4, 8)
    golden, read = rule.baseline(logits(3, 8)), logits(4, 50) * np.float32(1.05)
    assert np.array_equal(there.score(golden, read), rule.score(golden, read))
    assert np.array_equal(there.alarms(golden, read), rule.alarms(golden, read))
    with pytest.raises(ValueError, match="no rule"):
        CalibratedRule.decode(b"\0", averaging)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["max_dp", "chi_square", "mahalanobis"]),
    st.sampled_from([1e-4, 1e-2]),
)
def test_where_no_read_may_alarm_none_nearby_does(seed, name, slack):
    rng = np.random.default_rng(seed)
    rule = CalibratedRule.calibrate(name, logits(1), Averaging(), 0.05, 7)
    golden = rule.baseline(logits(2, 1))
    read = logits(seed, 200) * np.float32(rng.choice([1.0, 1.03, 1.1]))
    may = rule.may_alarm(golden, read, slack)
    near = read + rng.choice([-2 * slack, 2 * slack], read.shape).astype(np.float32) * np.float32(0.999)
    assert not np.any(rule.alarms(golden, near) & ~may) and not np.any(rule.alarms(golden, read) & ~may)
    assert rule.may_alarm(golden, np.full((1, 2, 3), np.nan), slack).all()


def test_readouts_are_interchangeable():
    """Whoever uses one asks for answers as it wants them, a baseline, and an alarm."""
    read = logits(3, 8)
    for rule in (
        TestRule("sdc3", 2, 1, 2, 8),
        CalibratedRule.calibrate("mahalanobis", logits(1), Averaging(1, 8), 0.01, 7),
    ):
        answers = softmax(read) if rule.softmax else read
        golden = rule.baseline(answers)
        wrong = answers[:, :, ::-1]
        assert rule.reads == 1 and rule.baseline_reads == 8 and rule.rereads >= 0
        assert (
            rule.alarms(golden, wrong).all()
            and rule.score(golden, wrong).min() > rule.score(golden, answers).max()
        )
        assert rule.may_alarm(golden, wrong, 1e-4).all()
