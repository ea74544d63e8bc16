"""How many devices, each with faults of its own, are read a second: against swapping weights into one torch module, one device at a time.

One thread. What is timed begins with the weights that faults have changed (places and int16 codes) and ends with the confidences. "plain" is lifesim's
oracle, dense copies by the chunk; "lifesim" compiled kernels that touch only what changes, as long as those are faster, else the plain path; "from
cells" begins earlier, with the cells that are stuck.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.detection.screening import softmax
from lifesim.network.changes import Changes
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator, Noise
from lifesim.network.forward import single_threaded
from lifesim.network.model import Model
from lifesim.network.noisy import NoisyReader
from lifesim.network.walk import TOLERANCE, Walker
from lifesim.normals import unit_normals
from lifesim.streams import generator, stream_key
from tests.benchmarks import harness
from tests.benchmarks.damaged import (
    PICTURES,
    Change,
    change_of,
    changes_between,
    dense,
    network,
    stuck_cells,
    stuck_week_by_week,
    test_pictures,
)
from tests.benchmarks.machine import matmul_macs_per_s
from tests.benchmarks.swap import SwappedModule

DENSITIES = (0.0, 5e-5, 5e-4, 5e-3, 5e-2)
"""Stuck cells, as shares of all."""
DEVICES = {"LeNet": 64, "MLP": 512, "ConvNet-quick": 24}
"""Read in each round: about the same time for each network."""
PICTURES_AT_ONCE = 250
"""In which the swapped module is quickest through a thousand."""
_MLC = Encoding(bits_per_cell=2, offset=True)
_NOISE = 0.003  # of every weight, as in most of the shipped technologies
_DRIFT = 1e-3  # standard deviation of a weight; any would do

Contenders = Mapping[str, Callable[[], np.ndarray]]


def measure(repeats: int = 5, quick: bool = False) -> list[harness.Row]:
    """Return rows of devices a second of CPU time."""
    rows = []
    for name, devices in DEVICES.items():
        devices = max(4, devices // 8) if quick else devices
        few = max(2, devices // 16)
        for share in DENSITIES:
            rows += _rows(
                name, f"{share:.3%} stuck", _independent(name, share, devices), devices, repeats, _UNRELATED
            )
        # What noise makes of the confidences of the swapped module is drawn by torch, and so another sample.
        rows += _rows(
            name, "0.050% stuck, read noise 0.3 %", _noisy(name, 5e-4, devices), devices, repeats, _READ_NOISE,
            compared=("plain", "lifesim"),
        )  # fmt: skip
        rows += _rows(name, "0.050% stuck, weekly", _weekly(name, 5e-4, devices), devices, repeats, _WEEKLY)
        rows += _rows(name, "0.050% stuck", _judged(name, 5e-4, few), few, repeats, _UNRELATED, pictures=1000)
        rows += _rows(name, "all weights drifted", _drifted(name, devices), devices, repeats, _DRIFTED)
    return rows


_ALL = "no retraining, one thread, CPU time"
_SLC = f"one-bit cells, SA1:SA0 5:1, {_ALL}"
_UNRELATED = f"{_SLC}, no read noise; states of unrelated devices"
_READ_NOISE = (
    f"{_SLC}, read noise of every weight, normals drawn within the time; states of unrelated devices"
)
_WEEKLY = f"{_SLC}, no read noise; successive weeks of one device, in which cells get stuck until 0.05 % are"
_DRIFTED = f"two-bit cells, every weight a number of its own, no read noise, {_ALL}"


def _rows(
    name: str,
    case: str,
    contenders: Contenders,
    devices: int,
    repeats: int,
    note: str,
    pictures: int = PICTURES,
    compared: Sequence[str] | None = None,
) -> list[harness.Row]:
    """Time contenders, the first of which is what the others are measured against; those ``compared`` (default: all) must agree."""
    with single_threaded():
        _check_agreement(f"{name}, {case}", contenders, compared)
        times = harness.take_turns(contenders, repeats)
    macs = network(name)[1].architecture.macs * pictures * devices
    reference = next(iter(contenders))
    rows = []
    for what, taken in times.items():
        rows.append(
            harness.rate_row(
                "evaluation", f"{name}, {case}, {pictures:,} pictures", what, taken.cpu_s, devices, "devices/s",
                ratio=harness.ratio(taken.cpu_s, times[reference].cpu_s), ratio_to=reference,
                matmul_share=macs / np.median(taken.cpu_s) / matmul_macs_per_s(), note=note,
            )
        )  # fmt: skip
    return rows


def _check_agreement(case: str, contenders: Contenders, compared: Sequence[str] | None) -> None:
    """Raise RuntimeError where confidences differ by more than lifesim allows itself."""
    reference, *others = compared or contenders
    expected = contenders[reference]()
    for what in others:
        apart = float(np.abs(contenders[what]() - expected).max())
        if not apart <= TOLERANCE:
            raise RuntimeError(f"{case}: {what} and {reference} are {apart:.2g} apart")


def _independent(name: str, share: float, devices: int) -> Contenders:
    model = network(name)[1]
    maps = [stuck_cells(model, share, device) for device in range(devices)]
    return _contenders(model, maps, test_pictures(name), PICTURES)


def _judged(name: str, share: float, devices: int) -> Contenders:
    settings, model = network(name)
    maps = [stuck_cells(model, share, device) for device in range(devices)]
    return _contenders(model, maps, load_dataset(settings.data).part("spec")[0], PICTURES_AT_ONCE)


def _contenders(model: Model, maps: Sequence, pictures: np.ndarray, at_once: int) -> Contenders:
    changes = [change_of(model, fault_map) for fault_map in maps]
    module = SwappedModule(model)
    written = [module.written(change) for change in changes]
    inputs = [module.input(pictures[i : i + at_once]) for i in range(0, len(pictures), at_once)]
    evaluator, walker = Evaluator.of(model), Walker(model, SLC)
    overlays = [m.overlay() for m in maps]

    def swap() -> np.ndarray:
        return np.stack([np.concatenate(module.swapped(w, inputs)) for w in written])

    def plain() -> np.ndarray:
        return evaluator.confidences([dense(model, change) for change in changes], pictures)

    def walk(differing: Changes) -> np.ndarray:
        return softmax(walker.logits(differing, pictures))

    def lifesim() -> np.ndarray:
        return walk(as_changes(model, changes))

    def from_cells() -> np.ndarray:
        return walk(walker.changes(overlays, independent=True))

    return {"swap": swap, "plain": plain, "lifesim": lifesim, "from cells": from_cells}


def _weekly(name: str, share: float, weeks: int) -> Contenders:
    model, pictures = network(name)[1], test_pictures(name)
    states = stuck_week_by_week(model, weeks, share)
    changes = changes_between(model, states)
    module = SwappedModule(model)
    written = [module.written(change) for change in changes]
    x = module.input(pictures)
    walker = Walker(model, SLC)

    def swap() -> np.ndarray:
        module.clean()
        out = []
        for change in written:
            module.write(change)  # onto the week before: nothing has to be taken out
            out.append(module.confidences(x))
        module.clean()
        return np.stack(out)

    def lifesim() -> np.ndarray:
        return softmax(walker.logits(as_changes(model, changes, independent=False), pictures))

    def from_cells() -> np.ndarray:
        return softmax(walker.logits(walker.changes(states), pictures))

    return {"swap": swap, "lifesim": lifesim, "from cells": from_cells}


def _noisy(name: str, share: float, devices: int) -> Contenders:
    model, pictures = network(name)[1], test_pictures(name)
    maps = [stuck_cells(model, share, device) for device in range(devices)]
    changes = [change_of(model, fault_map) for fault_map in maps]
    module = SwappedModule(model)
    written, x = [module.written(change) for change in changes], module.input(pictures)
    evaluator, reader = Evaluator.of(model), NoisyReader(model, SLC, "weight")
    keys = [stream_key("benchmark", "noise", device) for device in range(devices)]

    def swap() -> np.ndarray:
        return np.stack([module.swapped_noisy(w, x, _NOISE) for w in written])

    def plain() -> np.ndarray:
        z = np.stack([unit_normals(key, len(pictures), evaluator.noise_elements) for key in keys])
        return evaluator.confidences([dense(model, c) for c in changes], pictures, Noise(_NOISE, z))

    def lifesim() -> np.ndarray:
        return softmax(reader.logits(as_changes(model, changes), pictures, _NOISE, keys))

    return {"swap": swap, "plain": plain, "lifesim": lifesim}


def _drifted(name: str, devices: int) -> Contenders:
    model, pictures = network(name)[1], test_pictures(name)
    module = SwappedModule(model)
    x = module.input(pictures)
    copies = [_drifted_weights(model, device) for device in range(devices)]
    laid_out = [module.in_memory_order(copy) for copy in copies]
    evaluator, walker = Evaluator.of(model, encoding=_MLC), Walker(model, _MLC)

    def swap() -> np.ndarray:
        out = []
        for weights in laid_out:
            module.write_all(weights)
            out.append(module.confidences(x))
        return np.stack(out)

    def lifesim() -> np.ndarray:
        return softmax(walker.logits_of_copies(copies, pictures))

    plain = functools.partial(evaluator.confidences, copies, pictures)
    return {"swap": swap, "plain": plain, "lifesim": lifesim}


def as_changes(model: Model, changes: Sequence[Change], independent: bool = True) -> Changes:
    """Return the changes of many states as lifesim's kernels take them: one after the other, weights counted through all layers."""
    first = np.cumsum([0, *(c.size for c in model.codes)])
    parts = [
        (places, codes)
        for change in changes
        for places, codes in zip(change.places, change.codes, strict=True)
    ]
    layers = len(model.codes)
    lengths = np.array([len(places) for places, _ in parts])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    bounds = np.concatenate([ends[:-1].reshape(-1, layers), ends[layers::layers, None]], axis=1)
    codes = np.concatenate([codes for _, codes in parts])
    places = np.concatenate([places for places, _ in parts]) + np.repeat(
        np.tile(first[:-1], len(changes)), lengths
    )
    scales = np.repeat(np.tile([np.float32(f.scale) for f in model.formats], len(changes)), lengths)
    return Changes(bounds, places, codes, codes * scales, independent)


def _drifted_weights(model: Model, device: int) -> list[np.ndarray]:
    rng = generator(stream_key("benchmark", "drift", device))
    return [w + rng.normal(0.0, _DRIFT, w.shape).astype(np.float32) for w in model.weights()]
