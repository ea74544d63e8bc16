"""Fig. 11: accuracy before and after retraining around stuck cells, against a network without faults that is retrained as long."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.network.model import Model
from lifesim.paper.readings import Cells, Copy
from lifesim.paper.settings import Settings, accuracies, dataset_of, model_of
from lifesim.paper.verdicts import Estimate, claims
from lifesim.recovery.agreed import agree
from lifesim.recovery.nearest import nearest_codes
from lifesim.recovery.projection import retrain_projected
from lifesim.recovery.retraining import RetrainingSettings, retrain
from lifesim.scenario.cloud import Retraining
from lifesim.scenario.network import DataSource, Network
from lifesim.streams import stream_key

Row = dict[str, Any]
COLUMNS = ("network", "cells", "format", "qformat", "permanent_rate", "measure")
_THROUGH_BATCH = 32
_THROUGH = "straight through"
_CLAIMED = "accuracy lost, masked and retrained, worst device"
TIGHTEST, BEYOND = "tightest", "Q3.12"
"""The reading's format, which the paper's figure is compared in, and one with a sign bit worth 8, which needs more than the paper's masking."""


def cases(rates: Sequence[float]) -> list[tuple[str, float]]:
    """Return which formats are tried at which rates of stuck cells: the paper's at all, the other at the highest."""
    return [*((TIGHTEST, rate) for rate in rates), (BEYOND, max(rates))]


def masking(settings: Settings) -> RetrainingSettings:
    """Return how the paper's retraining is run: all weights, a scenario's usual rate."""
    usual = Retraining()
    rate, _ = usual.rate_and_fraction("mask")
    return RetrainingSettings(settings.size.steps, usual.batch_size, rate, 1.0)


def through(settings: Settings) -> RetrainingSettings:
    """Return how masking retraining is run whose steps add up unmasked."""
    rate, _ = Retraining().rate_and_fraction("straight_through")
    return RetrainingSettings(settings.size.through_steps, _THROUGH_BATCH, rate, 1.0, straight_through=True)


def recover(settings: Settings, name: str, cells: Cells, format: str, rate: float) -> list[Row]:
    """Return the rows of one network, kind of cells, format and rate of stuck cells.

    Beside the paper's masking: lifesim's own nearest codes, without training; and where masking leaves a device further below than the paper says,
    what it takes: steps that add up unmasked in the paper's format, training around nearest codes beyond it.
    """
    network = _network(settings, name, format)
    model, data = model_of(network), dataset_of(network)
    reading, size = settings.reading_of(), settings.size
    key = stream_key("paper", settings.seed, "fig11", name, cells, repr(rate))
    maps = [reading.stuck(model, cells, rate, stream_key(key, i)) for i in range(size.devices)]

    def retrained(how: RetrainingSettings) -> np.ndarray:
        """Return the accuracy of each device after a retraining."""
        around = [retrain(model, fault_map, data, how) for fault_map in maps]
        held = [apply_map(n.codes, m) for n, m in zip(around, maps, strict=True)]
        return accuracies(model, held, network, size.pictures)

    def compared(how: RetrainingSettings) -> float:
        """Return the accuracy of a network without faults that is retrained as long."""
        return _without_faults(settings, name, cells, format, how)

    as_long = compared(masking(settings))
    references = {
        "accuracy without faults": _without_faults(settings, name, cells, format, None),
        "accuracy without faults, retrained as long": as_long,
    }
    before = [apply_map(model.codes, m) for m in maps]
    nearest = [nearest_codes(model.codes, m) for m in maps]
    masked = retrained(masking(settings))
    accuracy = {
        "masked": (accuracies(model, before, network, size.pictures), as_long),
        "masked and retrained": (masked, as_long),
        "nearest codes": (accuracies(model, nearest, network, size.pictures), as_long),
    }
    if format == BEYOND:
        around = _projected(model, network.data, maps, size.steps)
        accuracy["nearest codes and retrained"] = (
            accuracies(model, around, network, size.pictures),
            as_long,
        )
    elif as_long - masked.min() > most_lost():
        reference = compared(through(settings))
        references[f"accuracy without faults, retrained as long {_THROUGH}"] = reference
        accuracy[f"masked and retrained {_THROUGH}"] = retrained(through(settings)), reference
    about = {
        "network": name,
        "cells": cells,
        "format": format,
        "qformat": model.formats_text(),
        "permanent_rate": rate,
    }
    found = [
        {**about, "measure": measure, **asdict(Estimate.exact(share))}
        for measure, share in references.items()
    ]
    for what, (of_devices, reference) in accuracy.items():
        lost = reference - of_devices
        measures = {
            f"accuracy, {what}, mean": Estimate.mean(of_devices),
            f"accuracy, {what}, worst device": worst(of_devices, np.min),
            f"accuracy lost, {what}, mean": Estimate.mean(lost),
            f"accuracy lost, {what}, worst device": worst(lost, np.max),
        }
        found += [{**about, "measure": measure, **asdict(ours)} for measure, ours in measures.items()]
    return found


def _network(settings: Settings, name: str, format: str) -> Network:
    return settings.network(name, None if format == TIGHTEST else format)


def most_lost() -> float:
    """Return by how much accuracy the paper lets a retrained network fall."""
    (claim,) = (c for c in claims() if c.item == "fig11" and c.about["measure"] == _CLAIMED)
    return claim.value


@functools.lru_cache(maxsize=32)
def _without_faults(
    settings: Settings, name: str, cells: Cells, format: str, how: RetrainingSettings | None
) -> float:
    """Return the accuracy of a network without faults that is retrained, or left as it is: the same at all rates of stuck cells."""
    network = _network(settings, name, format)
    model, codes = model_of(network), model_of(network).codes
    if how:
        none = FaultMap.empty(len(codes), settings.reading_of().encoding(cells))
        codes = retrain(model, none, dataset_of(network), how).codes
    return float(accuracies(model, [codes], network, settings.size.pictures)[0])


def _projected(model: Model, data: DataSource, maps: Sequence[FaultMap], steps: int) -> list[Copy]:
    """Return what devices hold that write nearest codes, after a retraining that reckons with it."""
    usual, encoding = Retraining(), maps[0].encoding
    settings = RetrainingSettings(steps, usual.batch_size, *usual.rate_and_fraction("nearest_code"))
    agreed = agree(model, data, settings.trainable_fraction, encoding)
    updates = retrain_projected([(model, m) for m in maps], model, data, settings, agreed)
    return [nearest_codes(u.applied(model, agreed).codes, m) for u, m in zip(updates, maps, strict=True)]


def worst(values: np.ndarray, of: Any) -> Estimate:
    """Return the worst of some devices: a fact about them, with no interval."""
    return dataclasses.replace(Estimate.exact(float(of(values))), n=len(values))
