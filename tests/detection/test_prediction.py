"""The fit from scores to losses, against a brute-force least-squares fit."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.detection.criteria import Golden, score
from lifesim.detection.prediction import NEVER, LossPredictor


def brute_force(scores, losses):
    """Isotonic regression by its minimax formula: at each score, max over lower ends of min over upper ends of the mean between."""
    distinct = np.unique(scores)

    def mean(low, high):
        return losses[(scores >= low) & (scores <= high)].mean()

    return [max(min(mean(a, b) for b in distinct if b >= s) for a in distinct if a <= s) for s in distinct]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(-5, 20)), min_size=1, max_size=14))
def test_the_fit_is_isotonic_regression(examples):
    scores, losses = (np.array(column) for column in zip(*examples, strict=True))
    fit = LossPredictor.fit(scores, losses / 10)
    assert fit.scores.tolist() == np.unique(scores).tolist()
    assert np.allclose(fit.losses, brute_force(scores, losses / 10), atol=1e-12)
    order = np.random.default_rng(len(examples)).permutation(len(examples))
    again = LossPredictor.fit(scores[order], losses[order] / 10)
    assert np.allclose(again.losses, fit.losses, atol=1e-12)


def test_between_and_beyond_the_examples_it_is_a_step_function():
    fit = LossPredictor.fit(np.array([10, 20]), np.array([0.001, 0.04]))
    assert [fit.loss(s) for s in (0, 10, 19, 20, 10**9)] == [0.001, 0.001, 0.001, 0.04, 0.04]


@pytest.mark.parametrize(
    ("above", "least"), [(0.0, 10), (0.001, 20), (0.0009, 10), (0.039, 20), (0.04, NEVER)]
)
def test_the_least_score_to_act_from(above, least):
    fit = LossPredictor.fit(np.array([10, 20]), np.array([0.0011, 0.0399]))
    assert fit.least_score(above) == least
    for s in (0, 9, 10, 15, 20, 30):
        assert (s >= least) == (fit.loss(s) > above and s >= 10)


def test_scores_are_moved_confidence_of_the_golden_classes():
    golden = Golden(np.array([1, 0], np.int16), np.array([800, 500], np.int32))
    as_golden = np.array([[0.2, 0.8], [0.5, 0.5]])
    confidences = np.stack([as_golden, [[0.7, 0.3], [0.6, 0.4]], [[np.nan, np.nan], [0.5, 0.5]]])
    assert score(golden, confidences).tolist() == [0, 500 + 100, 800]
    for shape in itertools.permutations((1, 3)):
        assert score(golden, confidences.reshape(*shape, 2, 2)).shape == shape
