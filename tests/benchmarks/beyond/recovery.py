"""What devices recover by themselves, and up to how many stuck cells each rung of the ladder is enough.

Rungs: *masked*, what RRAMedy programs before it retrains; *nearest codes*; *compensated*, these with other weights that make up for what they leave;
*placed*, nearest codes with hidden units where they are harmed least, and compensated; the cloud's retraining of devices of each kind. Stuck cells are at random places, LRS to HRS 5:1, and all of them are known.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lifesim.crossbar.encoding import SLC, Encoding
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.network.model import Model
from lifesim.network.store import trained_model
from lifesim.recovery.agreed import agree
from lifesim.recovery.compensation import compensated
from lifesim.recovery.correlations import correlations_of
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.importance import Importance, importance_of
from lifesim.recovery.nearest import nearest_codes
from lifesim.recovery.placement import best_placement
from lifesim.recovery.projection import retrain_projected
from lifesim.streams import generator, stream_key
from tests.benchmarks.beyond.retraining import (
    CASES,
    MLC,
    MOST_MEAN,
    MOST_WORST,
    Case,
    Row,
    accuracies,
    at_most,
    maps_of,
    mean_row,
    network_of,
    settings_of,
)

Codes = tuple[np.ndarray, ...]
Rung = Callable[[FaultMap], Codes]
"""What a device with these stuck cells holds in the end, in the network's own order."""

DEVICES = 10
MOST_S = 0.1  # nearest codes, a device, compensated or not
_FIRST_RATE = 1e-3
_RESAMPLES = 2000


def rows(quick: bool = False) -> Iterator[Row]:
    """Return the rows of all networks, formats, cells and rates; times are processor time of one thread."""
    if quick:
        case = Case("mlp", "mnist5k", (0.015,), 0.5, 340)
        yield from cell_rows(case, "global", "SLC", SLC, 3)
        yield from limit_rows(case, 3)
        return
    for case in CASES:
        for fmt in ("global", "Q3.12"):
            for name, encoding in (("SLC", SLC), ("MLC", MLC)):
                yield from cell_rows(case, fmt, name, encoding, DEVICES)
    for case in CASES:
        yield from limit_rows(case, DEVICES)


def placed_map(model: Model, fault_map: FaultMap, importance: Importance) -> FaultMap:
    """Return the stuck cells as the network meets them on a device that places its units: in the network's own order."""
    layer_cells = [codes.size * fault_map.encoding.cells_per_weight for codes in model.codes]
    return best_placement(model, fault_map, importance).logical_map(fault_map, layer_cells)


def cell_rows(case: Case, fmt: str, cells: str, encoding: Encoding, devices: int) -> Iterator[Row]:
    """One network in one format on one kind of cell, at the rates of RRAMedy's Fig. 11. Bars hold for the tightest format."""
    network = network_of(case, fmt)
    model = trained_model(network)
    importance, correlations = importance_of(model, network.data), correlations_of(model, network.data)
    rungs: dict[str, Rung] = {
        "masked": lambda m: apply_map(model.codes, m),
        "nearest codes": lambda m: nearest_codes(model.codes, m),
        "compensated": lambda m: compensated(model.codes, m, correlations),
        "placed": lambda m: nearest_codes(model.codes, placed_map(model, m, importance)),
        "placed and compensated": lambda m: compensated(
            model.codes, placed_map(model, m, importance), correlations
        ),
    }
    for rung in rungs.values():  # compiles
        rung(maps_of(case, model, encoding, 0.001, 1)[0])
    for rate in case.rates:
        maps = maps_of(case, model, encoding, rate, devices)
        seconds, held = {}, {}
        for what, rung in rungs.items():
            began = time.process_time()
            held[what] = [rung(m) for m in maps]
            seconds[what] = (time.process_time() - began) / devices
        clean, *found = accuracies(model, network.data, *held.values())
        name = f"{case.preset}, {cells}, {model.formats_text()}, {rate:.1%} of cells"
        for what, accuracy in zip(held, found, strict=True):
            barred = what in ("nearest codes", "compensated") and fmt == "global"
            mean = mean_row(f"accuracy lost, {what}, mean", clean - accuracy)
            worst = float(np.max(clean - accuracy))
            yield {"case": name, **mean, **(at_most(mean["value"], MOST_MEAN) if barred else {})}
            yield {
                "case": name, "measure": f"accuracy lost, {what}, worst device", "value": worst, "n": devices,
                **(at_most(worst, MOST_WORST) if barred else {}),
            }  # fmt: skip
        for what in ("nearest codes", "compensated"):
            yield {
                "case": name, "measure": f"{what}, s a device", "value": seconds[what], "n": devices,
                **at_most(seconds[what], MOST_S),
            }  # fmt: skip
        yield {"case": name, "measure": "placing, s a device", "value": seconds["placed"], "n": devices}


def limit_rows(case: Case, devices: int) -> Iterator[Row]:
    """At which rate of stuck cells (SLC, tightest format) each rung loses more than a point on average."""
    network = network_of(case, "global")
    model, data = trained_model(network), network.data
    settings, importance = settings_of("nearest_code"), importance_of(model, data)
    agreed = agree(model, data, settings.trainable_fraction, SLC)
    correlations = correlations_of(model, data)
    alone, compensating = Fitting(), Fitting(correlations, agreed.first)

    def retrained(fault_map: FaultMap, fitting: Fitting = alone) -> Codes:
        (update,) = retrain_projected([(model, fault_map)], model, data, settings, agreed, fitting=fitting)
        return fitting.retrained(update.applied(model, agreed).codes, fault_map)

    rungs: dict[str, Rung] = {
        "masked": lambda m: apply_map(model.codes, m),
        "nearest codes": lambda m: nearest_codes(model.codes, m),
        "compensated": lambda m: compensated(model.codes, m, correlations),
        "nearest codes, retrained": retrained,
        "compensated, retrained": lambda m: retrained(m, compensating),
        "placed": lambda m: nearest_codes(model.codes, placed_map(model, m, importance)),
        "placed, retrained": lambda m: retrained(placed_map(model, m, importance)),
        "placed and compensated": lambda m: compensated(
            model.codes, placed_map(model, m, importance), correlations
        ),
        "placed and compensated, retrained": lambda m: retrained(
            placed_map(model, m, importance), compensating
        ),
    }
    start = _FIRST_RATE
    for what, rung in rungs.items():

        def losses(rate: float, rung: Rung = rung) -> np.ndarray:
            held = [rung(m) for m in maps_of(case, model, SLC, rate, devices)]
            clean, found = accuracies(model, data, held)
            return clean - found

        rates, found = around_the_limit(losses, start)
        limit = limit_of(rates, found.mean(axis=1))
        draws = generator(stream_key("limits", case.preset, what)).integers(
            0, devices, (_RESAMPLES, len(rates), devices)
        )
        resampled = [limit_of(rates, np.take_along_axis(found, draw, axis=1).mean(axis=1)) for draw in draws]
        low, high = np.quantile(resampled, (0.025, 0.975))
        yield {
            "case": f"{case.preset}, SLC, {model.formats_text()}", "measure": f"share of stuck cells at a mean loss of 1 point, {what}",
            "value": limit, "low": float(low), "high": float(high), "n": devices,
            "note": f"between {len(rates)} rates, {rates[0]:.2g} to {rates[-1]:.2g}",
        }  # fmt: skip
        start = limit


def around_the_limit(losses: Callable[[float], np.ndarray], start: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rates (ascending) around that at which the mean loss passes a point, and the losses [rates, devices] there.

    By factors of two from ``start`` on, then two rates between the last that is below and the first that is above.
    """
    known = {start: losses(start)}
    step = 0.5 if known[start].mean() > MOST_MEAN else 2.0
    rate = start
    while (known[rate].mean() > MOST_MEAN) == (step < 1) and 1e-7 < rate * step <= 0.5:
        rate *= step
        known[rate] = losses(rate)
    low, high = sorted((rate, rate / step))
    for _ in range(2):
        middle = math.sqrt(low * high)
        known[middle] = losses(middle)
        low, high = (low, middle) if known[middle].mean() > MOST_MEAN else (middle, high)
    rates = np.array(sorted(known))
    return rates, np.stack([known[rate] for rate in rates.tolist()])


def limit_of(rates: np.ndarray, means: Sequence[float]) -> float:
    """Return the rate at which means, linear in its logarithm from one to the next, first pass a point; the first or last rate if they do not."""
    above = np.flatnonzero(np.asarray(means) > MOST_MEAN)
    if not len(above) or not above[0]:
        return float(rates[above[0] if len(above) else -1])
    i = above[0]
    share = (MOST_MEAN - means[i - 1]) / (means[i] - means[i - 1])
    return float(rates[i - 1] * (rates[i] / rates[i - 1]) ** share)
