"""How many devices, each with faults of its own, are read a second: against swapping weights into one torch module, one device at a time.

One thread. What is timed begins with the faults (the swapped module: the changed weights; lifesim: the stuck cells) and ends with the confidences.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator
from lifesim.network.forward import single_threaded
from lifesim.network.model import Model
from lifesim.network.walk import TOLERANCE, Walker
from lifesim.streams import generator, stream_key
from tests.benchmarks import harness
from tests.benchmarks.damaged import (
    PICTURES,
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
_DRIFT = 1e-3  # standard deviation of a weight; any would do

Contenders = Mapping[str, Callable[[], np.ndarray]]


def measure(repeats: int = 5, quick: bool = False) -> list[harness.Row]:
    """Return rows of evaluations a second of CPU time."""
    rows = []
    for name, devices in DEVICES.items():
        devices = max(4, devices // 8) if quick else devices
        for share in DENSITIES:
            rows += _rows(name, f"{share:.3%} stuck", devices, _independent(name, share, devices), repeats)
        rows += _rows(name, "weekly, to 0.05% stuck", devices, _weekly(name, 5e-4, devices), repeats, _WEEKLY)
        rows += _rows(name, "two-bit cells, all drifted", devices, _drifted(name, devices), repeats, _DRIFTED)
        few = max(2, devices // 16)
        rows += _rows(name, "0.050% stuck", few, _judged(name, 5e-4, few), repeats, _JUDGED, 1000)
    return rows


_SLC = "one-bit cells, SA1:SA0 5:1, no read noise, no retraining, one thread, CPU time"
_INDEPENDENT = f"16 pictures; {_SLC}; states of unrelated devices"
_WEEKLY = f"16 pictures; {_SLC}; successive states of one device"
_DRIFTED = "16 pictures; two-bit cells, every weight a number of its own, no read noise, no retraining, one thread, CPU time"
_JUDGED = f"1,000 pictures; {_SLC}; states of unrelated devices"


def _rows(
    name: str,
    case: str,
    devices: int,
    contenders: Contenders,
    repeats: int,
    note: str = _INDEPENDENT,
    pictures: int = PICTURES,
) -> list[harness.Row]:
    """Time contenders, the first of which is what the others are compared with; all must agree."""
    _check_agreement(f"{name}, {case}", {what: run() for what, run in contenders.items()})
    with single_threaded():
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


def _check_agreement(case: str, answers: Mapping[str, np.ndarray]) -> None:
    reference, *others = answers.items()
    for what, answer in others:
        apart = float(np.abs(answer - reference[1]).max())
        if not apart <= TOLERANCE:
            raise RuntimeError(f"{case}: {what} and {reference[0]} are {apart:.2g} apart")


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
    overlays = [list(zip(m.cells, m.values, strict=True)) for m in maps]

    def swap() -> np.ndarray:
        return np.stack([np.concatenate(module.swapped(w, inputs)) for w in written])

    def plain() -> np.ndarray:
        return evaluator.confidences([dense(model, change) for change in changes], pictures)

    def walk() -> np.ndarray:
        return softmax(walker.logits(walker.changes(overlays, independent=True), pictures))

    return {"swap": swap, "plain": plain, "walk": walk}


def _weekly(name: str, share: float, weeks: int) -> Contenders:
    model, pictures = network(name)[1], test_pictures(name)
    maps = stuck_week_by_week(model, weeks, share)
    module = SwappedModule(model)
    written = [module.written(change) for change in changes_between(model, maps)]
    x = module.input(pictures)
    walker = Walker(model, SLC)
    overlays = [list(zip(m.cells, m.values, strict=True)) for m in maps]

    def swap() -> np.ndarray:
        module.clean()
        out = []
        for change in written:
            module.write(change)  # onto the week before: nothing has to be taken out
            out.append(module.confidences(x))
        module.clean()
        return np.stack(out)

    def walk() -> np.ndarray:
        return softmax(walker.logits(walker.changes(overlays), pictures))

    return {"swap": swap, "walk": walk}


def _drifted(name: str, devices: int) -> Contenders:
    model, pictures = network(name)[1], test_pictures(name)
    module = SwappedModule(model)
    x = module.input(pictures)
    copies = [_drifted_weights(model, device) for device in range(devices)]
    laid_out = [module.in_memory_order(copy) for copy in copies]
    evaluator = Evaluator.of(model, encoding=_MLC)

    def swap() -> np.ndarray:
        out = []
        for weights in laid_out:
            module.write_all(weights)
            out.append(module.confidences(x))
        return np.stack(out)

    return {"swap": swap, "plain": functools.partial(evaluator.confidences, copies, pictures)}


def _drifted_weights(model: Model, device: int) -> list[np.ndarray]:
    rng = generator(stream_key("benchmark", "drift", device))
    return [w + rng.normal(0.0, _DRIFT, w.shape).astype(np.float32) for w in model.weights()]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return confidences of logits [..., classes]."""
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True)
