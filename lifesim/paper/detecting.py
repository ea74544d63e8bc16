"""Figs. 7 to 10: how many faulty networks a test sees, with pictures as they are (Origin) and made adversarial (AET)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, get_args

import numpy as np

from lifesim.detection.criteria import Criterion
from lifesim.detection.screening import softmax
from lifesim.paper.pictures import Chosen, both, faulty_copies, golden_of
from lifesim.paper.readings import Condition
from lifesim.paper.settings import COUNTS, Settings, logits_of, model_of
from lifesim.paper.verdicts import Estimate

Row = dict[str, Any]
Kind = tuple[str, str]
"""Of pictures: origin or aet, and how they were chosen."""
ITEMS = ("fig7", "fig8", "fig9", "fig10")
COLUMNS = (
    "network", "cells", "condition", "permanent_rate", "soft_rate", "theta", "criterion", "examples", "choice", "pictures", "measure",
)  # fmt: skip


def item_of(condition: Condition) -> str:
    """Return the figure that a condition belongs to."""
    if condition.cells == "SLC":
        return "fig7"
    return {"permanent": "fig8", "soft": "fig9", "both": "fig10"}[condition.name]


def detect(
    settings: Settings, name: str, condition: Condition, chosen: Chosen, counts: Sequence[int] = COUNTS
) -> list[Row]:
    """Return the rows of one network under one condition, by ``counts`` of pictures; of adversarial ones alone if no others were ``chosen``."""
    size = settings.size
    network = settings.network(name)
    model = model_of(network)
    most = max(counts)
    same, aet = both(model, network, chosen.aet[:most])
    random_as_is, random_aet = both(model, network, chosen.random)
    best, at_random = {("aet", "chosen"): aet}, {("aet", "random"): random_aet}
    if chosen.origin:
        best["origin", "same"] = same
        best["origin", "chosen"] = both(model, network, chosen.origin[:most])[0]
        at_random = {("origin", "random"): random_as_is, **at_random}
    found: dict[str, dict[Kind, np.ndarray]] = {criterion: {} for criterion in get_args(Criterion)}
    for groups, models in (
        (best, size.models),
        (at_random, min(size.random_models, size.models)),
    ):  # fmt: skip
        for criterion, of_criterion in _deviating(settings, name, condition, groups, models).items():
            found[criterion] |= of_criterion
    about = {
        "network": name,
        "cells": condition.cells,
        "condition": condition.name,
        "permanent_rate": condition.permanent,
        "soft_rate": condition.soft,
        "theta": condition.theta,
    }
    return [
        {**about, "criterion": criterion, **row, "measure": "detected"}
        for criterion, deviating in found.items()
        for row in shares(deviating, counts)
    ]


def _deviating(
    settings: Settings, name: str, condition: Condition, groups: dict[Kind, np.ndarray], models: int
) -> dict[str, dict[Kind, np.ndarray]]:
    """Return for each criterion which pictures of each group deviate on the first ``models`` faulty networks, bool [networks, pictures]."""
    reading, model = settings.reading_of(), model_of(settings.network(name))
    pictures = np.concatenate(list(groups.values()))
    ends = np.cumsum([len(group) for group in groups.values()])[:-1]
    golden = golden_of(model, pictures)
    seen: dict[str, list[np.ndarray]] = {criterion: [] for criterion in get_args(Criterion)}
    for copies in faulty_copies(settings, name, model, condition, "tested", models):
        confidences = softmax(logits_of(model, copies, pictures))
        for criterion, found in seen.items():
            found.append(reading.deviates(criterion, golden, confidences))
    return {
        criterion: dict(zip(groups, np.split(np.concatenate(found), ends, axis=1), strict=True))
        for criterion, found in seen.items()
    }


def shares(deviating: dict[Kind, np.ndarray], counts: Sequence[int] = COUNTS) -> Iterator[Row]:
    """Yield what share is seen by ``counts`` of pictures, and by how much more by AET than by Origin, if there is one.

    ``deviating``: by kind of example and choice, which pictures deviate, bool [networks, pictures]. Of chosen pictures the first few are shown, and
    networks are what chance is in. Random ones are shown in sets, and sets are what chance is in.
    """
    for count in counts:
        found: dict[Kind, np.ndarray] = {}
        for kind, of_kind in deviating.items():
            if kind[1] == "random":
                sets = of_kind.reshape(len(of_kind), -1, count).any(axis=2)
                found[kind] = sets.mean(axis=0)
                ours = Estimate.mean(found[kind], 0.0, 1.0)
            else:
                found[kind] = of_kind[:, :count].any(axis=1)
                ours = Estimate.share(found[kind].sum(), len(of_kind))
            yield {"examples": kind[0], "choice": kind[1], "pictures": count, **asdict(ours)}
        for choice in [choice for kind, choice in deviating if kind == "origin"]:
            aet = found["aet", "random" if choice == "random" else "chosen"]
            gain = Estimate.mean(aet.astype(float) - found["origin", choice].astype(float))
            yield {"examples": "aet - origin", "choice": choice, "pictures": count, **asdict(gain)}
