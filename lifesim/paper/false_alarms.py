"""The column that the paper lacks: how often the test accuses a network without faults that is read with noise."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, get_args

import numpy as np

from lifesim.crossbar.faults import FaultMap
from lifesim.detection.criteria import Criterion
from lifesim.detection.screening import softmax
from lifesim.network.noisy import noisy_reader_of
from lifesim.network.walk import walker_of
from lifesim.paper.pictures import Chosen, both, golden_of
from lifesim.paper.settings import COUNTS, Settings, model_of
from lifesim.paper.verdicts import Estimate
from lifesim.streams import stream_key

Row = dict[str, Any]
SIGMAS = (0.001, 0.003, 0.01)
KIND = "weight"
COLUMNS = ("network", "noise_kind", "noise_sigma", "criterion", "examples", "choice", "pictures", "measure")
_AT_ONCE = 100


def false_alarms(settings: Settings, name: str, sigma: float, chosen: Chosen) -> list[Row]:
    """Return the rows of a network whose every weight is read with a relative deviation N(0, sigma^2), anew for each picture.

    Devices compare with the golden confidences that came with the model, which know no noise.
    """
    network, reading = settings.network(name), settings.reading_of()
    model, encoding = model_of(network), reading.encoding("SLC")
    _, aet = both(model, network, chosen.aet)
    origin, _ = both(model, network, chosen.origin)
    pictures = np.concatenate([aet, origin])
    reader, walker = noisy_reader_of(model, encoding, KIND), walker_of(model, encoding)
    nothing = FaultMap.empty(len(model.codes), encoding).overlay()
    key = stream_key("paper", settings.seed, "false alarms", name, repr(sigma))
    golden = golden_of(model, pictures)
    alarms: dict[str, list[np.ndarray]] = {criterion: [] for criterion in get_args(Criterion)}
    for first in range(0, settings.size.models, _AT_ONCE):
        devices = range(first, min(first + _AT_ONCE, settings.size.models))
        changes = walker.changes([nothing] * len(devices), independent=True)
        keys = [stream_key(key, device) for device in devices]
        confidences = softmax(reader.logits(changes, pictures, sigma, keys))
        for criterion, found in alarms.items():
            found.append(reading.deviates(criterion, golden, confidences))
    rows = []
    for criterion, found in alarms.items():
        parts = np.split(np.concatenate(found), [len(aet)], axis=1)
        for examples, of_examples in zip(("aet", "origin"), parts, strict=True):
            for count in COUNTS:
                accused = of_examples[:, :count].any(axis=1)
                rows.append(
                    {
                        "network": name,
                        "noise_kind": KIND,
                        "noise_sigma": sigma,
                        "criterion": criterion,
                        "examples": examples,
                        "choice": "chosen",
                        "pictures": count,
                        "measure": "false alarms",
                        **asdict(Estimate.share(accused.sum(), len(accused))),
                    }
                )
    return rows
