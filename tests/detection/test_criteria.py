"""When a picture's confidences count as deviating, in thousandths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.criteria import Golden, deviates, may_deviate

GOLDEN = Golden.of(np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]))


def test_golden_scores_by_hand():
    assert GOLDEN.classes.tolist() == [1, 0] and GOLDEN.thousandths.tolist() == [700, 500]
    assert GOLDEN.classes.dtype == np.int16 and GOLDEN.thousandths.dtype == np.int32


@pytest.mark.parametrize(
    ("confidences", "sdc1", "sdc3"),
    [
        ([0.1, 0.7, 0.2], False, False),
        ([0.12, 0.67, 0.21], False, False),  # moved by exactly 0.03: not more than 3 %
        ([0.121, 0.669, 0.21], False, True),
        ([0.09, 0.73, 0.18], False, False),
        ([0.09, 0.731, 0.179], False, True),
        ([0.1, 0.6696, 0.2304], False, False),  # 0.670 in thousandths
        ([0.7, 0.1, 0.2], True, True),  # as confident, of another class
        ([0.35, 0.34, 0.31], True, True),
    ],
)
def test_one_picture_by_hand(confidences, sdc1, sdc3):
    golden = Golden(GOLDEN.classes[:1], GOLDEN.thousandths[:1])
    assert deviates("sdc1", golden, np.array([confidences])).tolist() == [sdc1]
    assert deviates("sdc3", golden, np.array([confidences])).tolist() == [sdc3]


def test_it_is_the_golden_classs_confidence_that_counts_and_not_the_maximum():
    """The top has moved by 0.029 and changed its class with it; the golden class is 0.03 lower: sdc3 by the
    class alone.
    """
    golden = Golden.of(np.array([[0.40, 0.39, 0.21]]))
    assert deviates("sdc3", golden, np.array([[0.385, 0.395, 0.22]])).tolist() == [True]
    assert deviates("sdc3", golden, np.array([[0.395, 0.385, 0.22]])).tolist() == [False]


def rows(classes):
    return st.lists(st.floats(0, 1), min_size=classes, max_size=classes).map(
        lambda row: np.array(row) / max(sum(row), 1e-9)
    )


@settings(deadline=None, max_examples=80)
@given(
    st.lists(rows(4), min_size=3, max_size=3),
    st.lists(st.lists(rows(4), min_size=3, max_size=3), min_size=1, max_size=4),
)
def test_many_reads_at_once_are_each_on_its_own(golden_rows, reads):
    golden = Golden.of(np.array(golden_rows))
    reads = np.array(reads)
    sdc1, sdc3 = (deviates(criterion, golden, reads) for criterion in ("sdc1", "sdc3"))
    assert sdc1.shape == sdc3.shape == reads.shape[:2] and sdc1.dtype == sdc3.dtype == bool
    assert np.all(sdc3 | ~sdc1), "a changed class deviates by both"
    for read in range(len(reads)):
        for picture in range(3):
            rounded = [round(float(c) * 1000) for c in reads[read, picture]]
            reference = [round(float(c) * 1000) for c in golden_rows[picture]]
            top = max(range(4), key=lambda c: (reference[c], -c))
            now = max(range(4), key=lambda c: (rounded[c], -c))
            assert sdc1[read, picture] == (now != top)
            assert sdc3[read, picture] == (now != top or abs(rounded[top] - reference[top]) > 30)
    assert not deviates("sdc3", golden, np.array(golden_rows)).any(), "nothing deviates from itself"


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 1000), min_size=3, max_size=3),
    st.lists(st.floats(-4e-4, 4e-4), min_size=3, max_size=3),
)
def test_the_last_bits_never_steer(thousandths, errors):
    """What differs by less than half a thousandth from whole thousandths decides alike, also where two
    classes are level.
    """
    exact = np.array([thousandths]) / 1000
    for golden in (Golden.of(exact), Golden.of(exact[:, ::-1])):
        for criterion in ("sdc1", "sdc3"):
            assert deviates(criterion, golden, exact) == deviates(
                criterion, golden, exact + np.array([errors])
            )
    assert Golden.of(exact).thousandths == Golden.of(exact + np.array([errors])).thousandths


@pytest.mark.parametrize("criterion", ["sdc1", "sdc3"])
def test_confidences_that_are_no_numbers_alarm(criterion):
    """A network whose weights have run away answers nan everywhere."""
    assert deviates(criterion, GOLDEN, np.full((2, 3), np.nan)).all()


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**32), st.sampled_from(["sdc1", "sdc3"]), st.sampled_from([1e-4, 6e-4, 3e-3]))
def test_what_may_deviate_is_what_a_near_neighbour_deviates_in(seed, criterion, slack):
    """No neighbour deviates where none may; and where one may, some neighbour does (the corners of the box, in thousandths)."""
    rng = np.random.default_rng(seed)
    exact = rng.dirichlet(np.full(3, 0.5), 40)
    golden = Golden.of(exact)
    near = exact + rng.choice([0.0, 1e-3, 0.0295, 0.0305, 0.1], (40, 1)) * rng.normal(size=(40, 3))
    may = may_deviate(criterion, golden, near, slack)
    signs = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    some = np.zeros(40, bool)
    for sign in signs:
        some |= deviates(criterion, golden, near + sign * slack)
    np.testing.assert_array_equal(may, some)


def test_what_is_not_finite_may_deviate():
    golden = Golden.of(np.array([[0.1, 0.9]]))
    for values in ([np.nan, 0.9], [np.inf, 0.0]):
        assert may_deviate("sdc3", golden, np.array([values]), 1e-4).all()
    assert may_deviate("sdc3", golden, np.array([[0.1, 0.9]]), np.inf).all()
