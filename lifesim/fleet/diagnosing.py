"""What a diagnosis finds in a device's silicon and what it does to it: what running it cell by cell on simulated arrays gives, as tests show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lifesim.crossbar.diagnosis import Diagnosis, false_report_probability
from lifesim.crossbar.faults import FaultMap, differing_cells
from lifesim.crossbar.programming import Programmed
from lifesim.fleet.silicon import Silicon
from lifesim.network.model import Model


class Diagnosed(NamedTuple):
    """The cells ``found`` to be stuck; how many cells were tried ``again`` on the way; what the diagnosis left in the banks."""

    found: FaultMap
    again: int
    programmed: tuple[Programmed, ...]


def diagnose(
    diagnosis: Diagnosis, silicon: Silicon, model: Model, programmed: tuple[Programmed, ...], time_ns: int
) -> Diagnosed:
    """Diagnose a device at ``time_ns`` whose banks hold what ``programmed`` left, with ``model`` as its backup.

    Cells that the diagnosis itself wears out show up at the next one, except that a read-only one sees those that its own rewrites wear out.
    """
    if diagnosis.read_only:
        return _read_only(diagnosis.retries, silicon, model, programmed, time_ns)
    return _march(diagnosis, silicon, programmed, time_ns)


def _march(
    diagnosis: Diagnosis, silicon: Silicon, programmed: tuple[Programmed, ...], time_ns: int
) -> Diagnosed:
    """A March test finds every stuck cell; and cells that a write did not reach, as often as one gives up on a cell."""
    found, again = [], 0
    for bank, left in zip(silicon.banks, programmed, strict=True):
        stuck, levels = bank.stuck_at(left, time_ns)
        chance = false_report_probability(diagnosis.test, bank.write.failure_probability)
        tests = (bank.hit(chance, "march", left.operations, retry) for retry in range(diagnosis.retries + 1))
        failing = np.setdiff1d(next(tests), stuck)
        for hit in tests:
            again += len(stuck) + len(failing)
            failing = np.intersect1d(failing, hit)
        found.append(
            (np.concatenate([stuck, failing]), np.concatenate([levels, np.zeros(len(failing), np.uint8)]))
        )
    worn = tuple(left.worn(diagnosis.test.writes_per_cell) for left in programmed)
    return Diagnosed(silicon.map_of(found), again, worn)


def _read_only(
    retries: int, silicon: Silicon, model: Model, programmed: tuple[Programmed, ...], time_ns: int
) -> Diagnosed:
    """Read, rewrite what differs, read again: what the cells hold decides."""
    encoding = silicon.encoding
    again = 0
    for attempt in range(retries + 2):
        held = silicon.held_at(model, programmed, time_ns).read_codes()
        wrong = differing_cells(model.codes, held, encoding)
        if attempt <= retries:
            cells = [silicon.cells_of_bank(wrong, bank) for bank in range(len(silicon.banks))]
            again += sum(map(len, cells))
            programmed = tuple(p.patched(c, time_ns) for p, c in zip(programmed, cells, strict=True))
    levels = [encoding.levels_of(h, w) for h, w in zip(held, wrong, strict=True)]
    return Diagnosed(FaultMap.of(wrong, levels, encoding), again, programmed)
