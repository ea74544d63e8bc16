"""Fig. 11: accuracy before and after retraining around stuck cells, against a network without faults that is retrained as long."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.network.model import Model
from lifesim.paper.readings import Cells, Copy
from lifesim.paper.settings import Settings, accuracies, dataset_of, model_of
from lifesim.paper.verdicts import Estimate
from lifesim.recovery.agreed import agree
from lifesim.recovery.nearest import nearest_codes
from lifesim.recovery.projection import retrain_projected
from lifesim.recovery.retraining import RetrainingSettings, retrain
from lifesim.scenario.cloud import Retraining
from lifesim.scenario.network import DataSource
from lifesim.streams import stream_key

Row = dict[str, Any]
COLUMNS = ("network", "cells", "format", "qformat", "permanent_rate", "measure")
_THROUGH_BATCH = 32
_THROUGH = "straight through"
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

    Beside the paper's masking: the same with steps that add up unmasked; lifesim's own nearest codes, without training; and with, where masking is
    not enough.
    """
    network = settings.network(name, None if format == TIGHTEST else format)
    model, data = model_of(network), dataset_of(network)
    reading, size = settings.reading_of(), settings.size
    key = stream_key("paper", settings.seed, "fig11", name, cells, repr(rate))
    maps = [reading.stuck(model, cells, rate, stream_key(key, i)) for i in range(size.devices)]
    none = FaultMap.empty(len(model.codes), maps[0].encoding)

    def retrained(how: RetrainingSettings) -> tuple[list[Copy], float]:
        """Return what devices hold after a retraining, and the accuracy of a network without faults that is retrained as long."""
        around = [retrain(model, fault_map, data, how) for fault_map in maps]
        held = [apply_map(n.codes, m) for n, m in zip(around, maps, strict=True)]
        untouched = retrain(model, none, data, how).codes
        return held, float(accuracies(model, [untouched], network, size.pictures)[0])

    clean = float(accuracies(model, [model.codes], network, size.pictures)[0])
    masked, as_long = retrained(masking(settings))
    references = {"accuracy without faults": clean, "accuracy without faults, retrained as long": as_long}
    held = {
        "masked": ([apply_map(model.codes, m) for m in maps], as_long),
        "masked and retrained": (masked, as_long),
    }
    if format == TIGHTEST:
        over, reference = retrained(through(settings))
        references[f"accuracy without faults, retrained as long {_THROUGH}"] = reference
        held[f"masked and retrained {_THROUGH}"] = over, reference
    held["nearest codes"] = [nearest_codes(model.codes, m) for m in maps], as_long
    if format == BEYOND:
        held["nearest codes and retrained"] = _projected(model, network.data, maps, size.steps), as_long
    about = {
        "network": name,
        "cells": cells,
        "format": format,
        "qformat": model.formats_text(),
        "permanent_rate": rate,
    }
    found = [
        {**about, "measure": measure, **asdict(Estimate.exact(accuracy))}
        for measure, accuracy in references.items()
    ]
    for what, (copies, reference) in held.items():
        accuracy = accuracies(model, copies, network, size.pictures)
        lost = reference - accuracy
        measures = {
            f"accuracy, {what}, mean": Estimate.mean(accuracy),
            f"accuracy, {what}, worst device": worst(accuracy, np.min),
            f"accuracy lost, {what}, mean": Estimate.mean(lost),
            f"accuracy lost, {what}, worst device": worst(lost, np.max),
        }
        found += [{**about, "measure": measure, **asdict(ours)} for measure, ours in measures.items()]
    return found


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
