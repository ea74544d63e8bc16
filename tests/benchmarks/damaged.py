"""Networks, the pictures that they are tested with, and devices whose cells are stuck at random."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.crossbar.overlay import Overlay, Written
from lifesim.detection.examples import fgsm_examples, select_test_pictures
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.store import trained_model
from lifesim.scenario.network import Network
from lifesim.streams import generator, stream_key

STUCK_AT_1 = 5 / 6
"""Of the stuck cells, SA1:SA0 5:1 as in the shipped technologies."""
PICTURES = 16

NETWORKS = {
    "LeNet": Network(preset="lenet"),
    "MLP": Network(preset="mlp"),
    # Its own data set would have to be fetched, and takes minutes to train on.
    "ConvNet-quick": Network(
        preset="convnet_quick", dataset="tests.benchmarks.coloured:digits", epochs=1, input_scale=1 / 256
    ),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What differs from the model in one device: per layer flat indices of weights (int64, ascending) and their int16 codes."""

    places: tuple[np.ndarray, ...]
    codes: tuple[np.ndarray, ...]


@functools.cache
def network(name: str) -> tuple[Network, Model]:
    """Return a trained network of :data:`NETWORKS`, from the user's cache where it has been trained before."""
    return NETWORKS[name], trained_model(NETWORKS[name])


@functools.cache
def test_pictures(name: str) -> np.ndarray:
    """Return the adversarial pictures, uint8 [16, channels, height, width], with which a device tests itself."""
    settings, model = network(name)
    pictures, labels = select_test_pictures(load_dataset(settings.data), PICTURES, stream_key("benchmark"))
    return fgsm_examples(Evaluator.of(model), model.codes, pictures, labels, settings.fgsm_epsilon)


def stuck_cells(model: Model, share: float, device: int, encoding: Encoding = SLC) -> FaultMap:
    """Return a device's map: ``share`` of all cells stuck, at random."""
    rng = generator(stream_key("benchmark", "stuck cells", device))
    sizes = [c.size * encoding.cells_per_weight for c in model.codes]
    bounds = np.cumsum([0, *sizes])
    flat = np.sort(rng.choice(bounds[-1], round(share * bounds[-1]), replace=False))
    cells = [flat[(flat >= a) & (flat < b)] - a for a, b in zip(bounds, bounds[1:], strict=False)]
    levels = [
        np.where(rng.random(len(c)) < STUCK_AT_1, encoding.top_level, 0).astype(np.uint8) for c in cells
    ]
    return FaultMap.of(cells, levels, encoding)


def change_of(model: Model, fault_map: FaultMap) -> Change:
    """Return the weights that a map changes; cells stuck at what they should hold change nothing."""
    return _difference(model.codes, apply_map(model.codes, fault_map))


def dense(model: Model, change: Change) -> list[np.ndarray]:
    """Return all codes of a device, int16 [fan_in, fan_out] per layer."""
    copies = [c.copy() for c in model.codes]
    for copy, places, codes in zip(copies, change.places, change.codes, strict=True):
        copy.reshape(-1)[places] = codes
    return copies


def stuck_week_by_week(model: Model, weeks: int, share: float, device: int = 0) -> list[Overlay]:
    """Return what stands over one device's cells, week after week, while more of them get stuck, evenly, up to ``share`` of all."""
    final = stuck_cells(model, share, device)
    rng = generator(stream_key("benchmark", "weeks", device))
    since = [rng.integers(0, weeks, len(cells)) for cells in final.cells]
    orders = [np.argsort(s, kind="stable") for s in since]
    cells = [c[o] for c, o in zip(final.cells, orders, strict=True)]
    levels = [v[o] for v, o in zip(final.values, orders, strict=True)]
    counts = [
        np.searchsorted(s[o], np.arange(weeks), side="right") for s, o in zip(since, orders, strict=True)
    ]
    return [
        tuple((Written(c[: n[week]], v[: n[week]]),) for c, v, n in zip(cells, levels, counts, strict=True))
        for week in range(weeks)
    ]


def changes_between(model: Model, states: Sequence[Overlay]) -> list[Change]:
    """Return by what each of a device's states differs from the one before, the first from the model."""
    held = [
        [SLC.write(codes, part.cells, part.levels) for codes, (part,) in zip(model.codes, state, strict=True)]
        for state in states
    ]
    return [_difference(before, after) for before, after in zip([model.codes, *held], held, strict=False)]


def _difference(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> Change:
    places = tuple(np.flatnonzero(b.reshape(-1) != a.reshape(-1)) for b, a in zip(before, after, strict=True))
    return Change(places, tuple(a.reshape(-1)[p] for a, p in zip(after, places, strict=True)))
