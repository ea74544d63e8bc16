"""What write-verify says at reloads anyway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lifesim.detection.schedules.protocol import (
    Examinee,
    Finding,
    NothingRead,
    Outcome,
    Regular,
    VisitCosts,
)


@dataclass(frozen=True, slots=True)
class ReloadVerify(NothingRead, Regular):
    """A look, every interval, at what write-verify gave up on at the last reload of each bank: an alarm with a map, for nothing.

    Reloads pulse each cell until it reads what it should (write-verify), so that they name the stuck cells whose level is not the wanted one: those that
    do harm now. No read, no March test, no rewrite. Layers that are never reloaded are not seen, nor are lost states, which the reload cures.
    Alarms when at least ``alarm_cells`` cells are named that the device does not know of; their number is the score.
    """

    interval_ns: int
    alarm_cells: int

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return 0

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        for position, end_ns in enumerate(ends_ns):
            named = device.cells_named(end_ns)
            if named >= max(self.alarm_cells, least_score):
                return Finding(position, Outcome.NAMED, score=named)
        return None
