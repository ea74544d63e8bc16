"""Fig. 5: how far confidences move on a slightly faulty LeNet, of normal examples and of adversarial ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from lifesim.detection.screening import softmax
from lifesim.paper.pictures import Chosen, both, faulty_copies, golden_of
from lifesim.paper.readings import Condition
from lifesim.paper.settings import Settings, accuracies, logits_of, model_of
from lifesim.paper.verdicts import Estimate

Row = dict[str, Any]
NETWORK = "lenet"
COLUMNS = ("network", "permanent_rate", "examples", "choice", "measure")
_RATES = (0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003, 0.004, 0.005)
_LOST = 0.018
_NETWORKS_PER_RATE = 24
_PICTURES = 2000
_QUANTILES = tuple(q / 20 for q in range(21))


def deviations(settings: Settings, chosen: Chosen) -> list[Row]:
    """Return the accuracy without and with faults, and for both kinds of examples by how much the confidence of the golden class moves.

    "Slightly faulty" is the rate of stuck cells that costs LeNet nearest to 1.8 points on average, what it costs the paper's.
    """
    network = settings.network(NETWORK)
    model = model_of(network)
    most = min(_PICTURES, settings.size.pictures)
    (clean,) = accuracies(model, [model.codes], network, most)
    per_rate = max(2, min(_NETWORKS_PER_RATE, settings.size.models // 10))
    lost = {}
    for rate in _RATES:
        (copies,) = faulty_copies(
            settings, NETWORK, model, Condition("SLC", permanent=rate), "fig5 rate", per_rate
        )
        lost[rate] = clean - accuracies(model, copies, network, most)
    rate = min(_RATES, key=lambda r: abs(round(float(lost[r].mean()) - _LOST, 6)))
    about = {"network": NETWORK, "permanent_rate": rate}
    found = [
        {**about, "examples": "", "choice": "", "measure": measure, **asdict(ours)}
        for measure, ours in (
            ("accuracy without faults", Estimate.share(round(clean * most), most)),
            ("accuracy with faults", Estimate.mean(clean - lost[rate])),
            ("accuracy lost by the faults", Estimate.mean(lost[rate])),
        )
    ]
    normal, adversarial = both(model, network, chosen.aet[:1])
    random_normal, random_adversarial = both(model, network, chosen.random)
    for choice, of_choice in (
        ("chosen", (normal, adversarial)),
        ("random", (random_normal, random_adversarial)),
    ):
        for examples, pictures in zip(("origin", "aet"), of_choice, strict=True):
            found += _of_pictures(
                settings, model, rate, pictures, {**about, "examples": examples, "choice": choice}
            )
    return found


def _of_pictures(settings: Settings, model, rate: float, pictures: np.ndarray, about: Row) -> list[Row]:
    golden, moved, seen = golden_of(model, pictures), [], []
    confident = golden.thousandths / 1000.0
    condition, reading = Condition("SLC", permanent=rate), settings.reading_of()
    size = settings.size
    models = size.models if len(pictures) == 1 else min(size.models, size.random_models)
    for copies in faulty_copies(settings, NETWORK, model, condition, "fig5", models):
        confidences = softmax(logits_of(model, copies, pictures))
        of_golden = np.take_along_axis(confidences, golden.classes.astype(np.int64)[None, :, None], axis=2)
        moved.append(np.abs(np.nan_to_num(of_golden[..., 0]) - confident))
        seen.append(reading.deviates("sdc3", golden, confidences))
    # One picture: networks are what chance is in; random pictures: the pictures are.
    over = 0 if len(pictures) > 1 else 1
    moves = np.concatenate(moved)
    rows = [
        {**about, "measure": "golden confidence", **asdict(Estimate.mean(confident))},
        {**about, "measure": "deviation, mean", **asdict(Estimate.mean(moves.mean(axis=over)))},
        {
            **about,
            "measure": "deviates by SDC-3 %",
            **asdict(Estimate.mean(np.concatenate(seen).mean(axis=over))),
        },
    ]
    if len(pictures) == 1:
        rows[0] |= asdict(Estimate.exact(float(confident[0])))
        rows[2] |= asdict(Estimate.share(np.concatenate(seen).sum(), len(moves)))
    for quantile, value in zip(_QUANTILES, np.quantile(moves, _QUANTILES), strict=True):
        rows.append(
            {
                **about,
                "measure": f"deviation, quantile {quantile:.2f}",
                **asdict(Estimate.exact(float(value))),
            }
        )
    return rows
