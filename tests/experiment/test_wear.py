"""Wear by bank, cell by cell."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lifesim.crossbar.bank import Bank, Wear
from lifesim.crossbar.programming import Programmed, SparseCounts
from lifesim.experiment.wear import bank_wear
from lifesim.fleet.records import DeviceRecord, Stretch
from lifesim.fleet.silicon import Silicon, Snapshot
from lifesim.physics.distributions import Weibull
from lifesim.streams import stream_key

CELLS = 50_000


def device(bank: Bank, programmed: Programmed) -> SimpleNamespace:
    snapshot = Snapshot(Silicon.of_layers([bank]), None, (programmed,))
    record = DeviceRecord("made up", 0, None, stretches=[Stretch(0, 10, snapshot)])
    return SimpleNamespace(record=record)


def test_cells_written_alone_are_worn_more() -> None:
    """Half of the cells have had 300 operations more: counted cell by cell, and against the cells that fail."""
    limits = Weibull(1000.0, 2.0)
    written = np.arange(0, CELLS, 2)
    alone = SparseCounts().plus(written, 300)
    programmed = Programmed(0, 0, 100, extra=alone)
    bank = Bank(stream_key("test wear"), CELLS, Wear(limits, 0.5))
    (wear,) = bank_wear(device(bank, programmed))

    operations = np.full(CELLS, 100)
    operations[written] += 300
    failed = -np.expm1(-((operations / 1000.0) ** 2.0))
    assert (wear.operations, wear.most_operations) == (operations.mean(), 400)
    assert wear.expected_stuck == pytest.approx(failed.sum(), rel=1e-9)
    error = np.sqrt((failed * (1 - failed)).sum())
    assert error < 0.02 * wear.expected_stuck
    assert abs(wear.stuck - wear.expected_stuck) < 3 * error


def test_reloads_that_switch_few_cells_wear_little() -> None:
    bank = Bank(stream_key("test wear"), CELLS, Wear(Weibull(1000.0, 2.0), 0.5, cycles_per_reload=0.25))
    (wear,) = bank_wear(device(bank, Programmed(0, 0, 500, reloads=400)))
    assert wear.operations == wear.most_operations == 500
    assert wear.expected_stuck == pytest.approx(-np.expm1(-0.04) * CELLS)  # 100 + 400 / 4 cycles


def test_a_device_that_was_never_in_use_has_no_wear() -> None:
    assert bank_wear(SimpleNamespace(record=DeviceRecord("made up", 0, None))) == []
