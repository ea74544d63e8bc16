"""The benchmarks' harness; no speed is asserted, here or anywhere."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from tests.benchmarks import harness
from tests.benchmarks.damaged import change_of, changes_between, dense, stuck_cells, stuck_week_by_week
from tests.benchmarks.swap import SwappedModule

SLOW_S, FAST_S = [3.0, 4.0, 2.0], [1.0, 2.0, 4.0]
ROWS = [
    harness.rate_row("b", "c", "slow", SLOW_S, 12, "devices/s", note="as before"),
    harness.seconds_row("b", "c", "fast", FAST_S, ratio=harness.ratio(FAST_S, SLOW_S), ratio_to="slow"),
]


def test_contenders_take_turns() -> None:
    order: list[str] = []
    times = harness.take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, repeats=3)
    assert order == ["a", "b"] * 4  # once each before it counts
    assert [len(t.wall_s) for t in times.values()] == [3, 3]


def test_values_and_ratios_are_medians_of_rounds() -> None:
    assert [ROWS[0][key] for key in ("value", "lowest", "highest", "repeats")] == [4.0, 3.0, 6.0, 3]
    assert ROWS[1]["ratio"] == 2.0  # of 3, 2 and 1/2; the medians' ratio is 1.5


def test_the_csv_has_every_digit_and_the_table_every_note_once(tmp_path: Path) -> None:
    harness.write_csv(ROWS, tmp_path / "rows.csv")
    table = pd.read_csv(tmp_path / "rows.csv")
    assert tuple(table.columns) == harness.COLUMNS
    assert table["value"].tolist() == [4.0, 2.0]
    shown = io.StringIO()
    harness.print_table(ROWS * 2, Console(file=shown, width=200))
    assert shown.getvalue().count("as before") == 1
    with pytest.raises(ValueError, match="ratios"):
        harness.frame([{"ratios": 1.0}])


@pytest.mark.parametrize("share", [0.0, 5e-4, 5e-2])
def test_the_rival_reads_what_lifesim_reads(mlp_model: Model, share: float) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28), dtype=np.uint8)
    module = SwappedModule(mlp_model)
    x = module.input(pictures)
    changes = [change_of(mlp_model, stuck_cells(mlp_model, share, device)) for device in range(3)]
    expected = Evaluator.of(mlp_model).confidences([dense(mlp_model, c) for c in changes], pictures)
    clean = module.confidences(x)
    for change, confidences in zip(changes, expected, strict=True):
        (answer,) = module.swapped(module.written(change), [x])
        np.testing.assert_allclose(answer, confidences, atol=1e-5)
    np.testing.assert_array_equal(module.confidences(x), clean)  # and takes out what it has written


def test_weeks_add_up_to_the_last_state(mlp_model: Model) -> None:
    states = stuck_week_by_week(mlp_model, weeks=6, share=1e-3)
    held = [c.copy() for c in mlp_model.codes]
    for change in changes_between(mlp_model, states):
        for codes, places, new in zip(held, change.places, change.codes, strict=True):
            codes.reshape(-1)[places] = new
    expected = dense(mlp_model, change_of(mlp_model, stuck_cells(mlp_model, 1e-3, 0)))
    for codes, wanted in zip(held, expected, strict=True):
        np.testing.assert_array_equal(codes, wanted)
    counts = [sum(len(part.cells) for (part,) in state) for state in states]
    assert all(a < b for a, b in itertools.pairwise(counts))
