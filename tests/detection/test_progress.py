"""How far a read is on the way to an alarm: 1000 exactly where it alarms, and in between in proportion to what has moved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.criteria import Golden, deviates, progress
from lifesim.detection.nullreads import Averaging
from lifesim.detection.reading import CalibratedRule, TestRule


def confidences_of(draw, pictures):
    raw = draw(
        st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=pictures, max_size=pictures)
    )
    counts = np.array(raw, float) + 1e-3
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=200)
@given(st.data(), st.integers(1, 5), st.sampled_from(["sdc1", "sdc3"]))
def test_it_is_1000_where_the_rule_alarms_and_below_elsewhere(data, pictures, criterion):
    golden = Golden.of(confidences_of(data.draw, pictures))
    read = confidences_of(data.draw, pictures)
    rule = TestRule(criterion, pictures, data.draw(st.integers(1, pictures)), 0, 1)
    assert (rule.progress(golden, read) >= 1000) == rule.alarms(golden, read)
    assert np.array_equal(progress(criterion, golden, read) >= 1000, deviates(criterion, golden, read))
    assert rule.progress(golden, np.stack([read, read])).tolist() == [int(rule.progress(golden, read))] * 2


@pytest.mark.parametrize(
    ("thousandths", "reached"), [(0, 0), (1, 32), (15, 483), (30, 967), (31, 1000), (62, 2000)]
)
def test_one_picture_moves_in_proportion(thousandths, reached):
    golden = Golden.of(np.array([[0.9, 0.1]], np.float32))
    read = np.array([[0.9 - thousandths / 1000, 0.1 + thousandths / 1000]], np.float32)
    assert progress("sdc3", golden, read).tolist() == [reached]


def test_the_votes_that_an_alarm_takes_are_waited_for():
    golden = Golden.of(np.array([[0.9, 0.1]] * 3, np.float32))
    read = np.array([[0.8, 0.2], [0.885, 0.115], [0.9, 0.1]], np.float32)
    reached = [int(TestRule("sdc3", 3, vote, 0, 1).progress(golden, read)) for vote in (1, 2, 3)]
    assert reached == [3225, 483, 0]


def test_a_calibrated_rule_counts_up_to_its_threshold():
    rng = np.random.default_rng(1)
    clean = rng.normal(size=(2, 4)).astype(np.float32)
    reads = (clean + 0.1 * rng.standard_normal((400, 2, 4))).astype(np.float32)
    rule = CalibratedRule.calibrate("chi_square", reads, Averaging(1, 4, 0.0), 0.05, key=3)
    shifts = np.linspace(0.0, 1.0, 30)[:, None, None].astype(np.float32)
    reached = rule.progress(clean, clean + shifts)
    assert np.array_equal(reached >= 1000, rule.alarms(clean, clean + shifts))
    assert reached[0] == 0 and (np.diff(reached) > 0).all()
    assert reached[2] == pytest.approx(2 * reached[1], rel=0.01)
