"""Tables I and III: how accurate the networks are, and how much sooner one picture is shown than a March test is done."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from lifesim.crossbar.cost import OperationCosts, inference_cost, march_cost, programming_cost
from lifesim.crossbar.march import MARCH_C_MINUS
from lifesim.network.architecture import load_architecture
from lifesim.paper.settings import COUNTS, Settings, accuracies, dataset_of, judging_pictures, model_of
from lifesim.paper.verdicts import Estimate, paper

Row = dict[str, Any]
ACCURACY_COLUMNS = ("network", "dataset", "data_note", "weights", "format", "measure")
SPEED_COLUMNS = ("network", "variant", "pictures", "measure", "march_ms", "test_ms")
_BITS_PER_CELL = 2


def accuracy(settings: Settings, name: str) -> list[Row]:
    """Return Table I's row of a network."""
    network = settings.network(name)
    model = model_of(network)
    pictures = len(judging_pictures(network, settings.size.pictures)[0])
    (share,) = accuracies(model, [model.codes], network, settings.size.pictures)
    copy = paper()["copies"].get(network.dataset, {})
    known = dataset_of(network).digest.hex() == copy.get("digest")
    return [
        {
            "network": name,
            "dataset": network.dataset,
            "data_note": copy["note"] if known else "",
            "weights": model.architecture.weights,
            "format": model.formats_text(),
            "measure": "accuracy",
            **asdict(Estimate.share(round(share * pictures), pictures)),
        }
    ]


def speed_up() -> list[Row]:
    """Return Table III: a March C- test's time over that of AET, on two-bit cells, and what the paper leaves out.

    With restore: what March C- destroys is written back, with as many pulses as write-verify takes. Row-parallel: the cells of a row are written
    together, at the time of one.
    """
    usual = OperationCosts.preset("isaac_slc")
    costs = usual.of_cells(_BITS_PER_CELL, usual.verify_pulses)
    in_rows = dataclasses.replace(costs, cell_write_ns=Fraction(costs.cell_write_ns, costs.crossbar_columns))
    found = []
    for name in paper()["networks"]:
        layers = load_architecture(name).crossbar_layers
        for count in COUNTS:
            test_ns = inference_cost(costs, layers, count).latency_ns
            for variant, of, restores in (
                ("as the paper", costs, False),
                ("with restore", costs, True),
                ("row-parallel writes", in_rows, False),
                ("row-parallel writes, with restore", in_rows, True),
            ):
                march_ns = march_cost(of, layers, MARCH_C_MINUS).latency_ns
                if restores:
                    march_ns += programming_cost(of, layers).latency_ns
                if count > 1 and variant == "as the paper":
                    variant = "more pictures"
                found.append(
                    {
                        "network": name,
                        "variant": variant,
                        "pictures": count,
                        "measure": "speed-up",
                        "march_ms": march_ns / 1e6,
                        "test_ms": test_ns / 1e6,
                        **asdict(Estimate.exact(march_ns / test_ns)),
                    }
                )
    return found
