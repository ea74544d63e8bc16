"""FGSM examples: steps of whole grey levels, against the network."""

import numpy as np
import pytest

from lifesim.detection.examples import fgsm_examples, select_test_pictures
from lifesim.errors import UserError
from lifesim.network.evaluate import Evaluator
from lifesim.scenario.presets import load_preset


@pytest.fixture
def evaluator(mlp_model):
    return Evaluator.of(mlp_model)


@pytest.mark.parametrize(("epsilon", "levels"), [(0.022, 6), (0.095, 24)])
def test_every_free_pixel_steps_by_epsilon_in_grey_levels(mlp_model, mnist5k, evaluator, epsilon, levels):
    pictures, labels = select_test_pictures(mnist5k, 40, key=1)
    examples = fgsm_examples(evaluator, mlp_model.codes, pictures, labels, epsilon)
    assert examples.dtype == np.uint8
    signs = np.sign(evaluator.picture_gradients(mlp_model.codes, pictures, labels)).astype(int)
    steps = examples.astype(int) - pictures
    target = pictures + signs * levels
    free = (target >= 0) & (target <= 255)
    assert free.mean() > 0.3 and (signs != 0).mean() > 0.9
    assert np.array_equal(steps[free], levels * signs[free])
    assert set(np.unique(examples[~free])) <= {0, 255}


def test_examples_lower_the_confidence_in_the_label(mlp_model, mnist5k, evaluator):
    pictures, labels = select_test_pictures(mnist5k, 100, key=1)
    epsilon = load_preset("network", "mlp").values["fgsm_epsilon"]
    examples = fgsm_examples(evaluator, mlp_model.codes, pictures, labels, epsilon)

    def confidence(shown):
        return evaluator.confidences([mlp_model.codes], shown)[0, np.arange(100), labels]

    before, after = confidence(pictures), confidence(examples)
    assert (after <= before + 1e-6).mean() > 0.95
    assert after.mean() < before.mean() - 0.1
    rng = np.random.default_rng(1)
    noise = rng.choice([-6, 6], pictures.shape)
    random_step = confidence(np.clip(pictures + noise, 0, 255).astype(np.uint8))
    assert after.mean() < random_step.mean() - 0.1


def test_an_example_does_not_depend_on_its_neighbours(mlp_model, mnist5k, evaluator):
    pictures, labels = select_test_pictures(mnist5k, 20, key=1)
    together = fgsm_examples(evaluator, mlp_model.codes, pictures, labels, 0.022)
    assert np.array_equal(
        fgsm_examples(evaluator, mlp_model.codes, pictures[:3], labels[:3], 0.022), together[:3]
    )


def test_test_pictures_are_different_ones_of_the_test_part(mnist5k):
    pictures, labels = select_test_pictures(mnist5k, 500, key=7)
    own, own_labels = mnist5k.part("test")
    order = np.lexsort(pictures.reshape(500, -1).T), np.lexsort(own.reshape(500, -1).T)
    assert np.array_equal(pictures[order[0]], own[order[1]])
    assert np.array_equal(labels[order[0]], own_labels[order[1]])


def test_a_key_gives_the_same_pictures_and_more_of_them_if_asked(mnist5k):
    few, many = (select_test_pictures(mnist5k, count, key=7)[0] for count in (4, 16))
    assert np.array_equal(few, many[:4])
    assert not np.array_equal(many, select_test_pictures(mnist5k, 16, key=8)[0])


def test_no_more_pictures_than_there_are(mnist5k):
    with pytest.raises(UserError, match="aet.pictures = 501: mnist5k has 500 .* up to 500"):
        select_test_pictures(mnist5k, 501, key=1)
