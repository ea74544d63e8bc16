"""The pictures that a device tests itself with: random ones, made adversarial by their gradient's sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lifesim.errors import UserError
from lifesim.network.datasets import Dataset
from lifesim.network.evaluate import Evaluator
from lifesim.streams import generator


def select_test_pictures(dataset: Dataset, count: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` random pictures (uint8) of the part ``test`` and their labels: the paper's rule.

    A key's first pictures are the same for every count. Raises UserError if the part has too few.
    """
    pictures, labels = dataset.part("test")
    if count > len(pictures):
        raise UserError(
            f"aet.pictures = {count}: {dataset.name} has {len(pictures)} pictures to test with; allowed: up to {len(pictures)}"
        )
    chosen = generator(key).permutation(len(pictures))[:count]
    return pictures[chosen], labels[chosen]


def fgsm_examples(
    evaluator: Evaluator,
    codes: Sequence[np.ndarray],
    pictures: np.ndarray,
    labels: np.ndarray,
    epsilon: float,
) -> np.ndarray:
    """Return adversarial examples uint8 [m, channels, height, width] against the network that ``codes`` make.

    x' = x + epsilon * sign(grad_x J(F(x), y)) with x as the network sees it (RRAMedy; Goodfellow et al. 2015),
    clipped, and stored as a device stores and downloads them: in 8 bits, so that the step is epsilon over the
    network's ``input_scale``, rounded to a whole number of grey levels.
    """
    signs = fgsm_signs(evaluator, codes, pictures, labels)
    step = round(epsilon / evaluator.architecture.input_scale)
    return np.clip(pictures + step * signs, 0, 255).astype(np.uint8)


def fgsm_signs(
    evaluator: Evaluator, codes: Sequence[np.ndarray], pictures: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return sign(grad_x J(F(x), y)), int64 of the pictures' shape."""
    return np.sign(evaluator.picture_gradients(codes, pictures, labels)).astype(np.int64)
