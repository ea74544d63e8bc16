"""Schedules that do the same thing at a fixed interval, and the one that never does anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lifesim.crossbar.cost import Cost
from lifesim.detection.schedules.protocol import (
    Examinee,
    Finding,
    NothingForeseen,
    NothingRead,
    Outcome,
    PicturesRead,
    Regular,
    VisitCosts,
)


@dataclass(frozen=True, slots=True)
class Never(NothingRead):
    """No test, no refresh: what ageing does when nobody looks."""

    interval_ns: None = None

    def usual_interval_ns(self, horizon_ns: int, faults_by: Callable[[int], float]) -> int | None:
        return None

    def visit_times(self, share: float, visit_ns: int) -> None:
        return None

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return 0

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        return None


@dataclass(frozen=True, slots=True)
class Periodic(PicturesRead, Regular):
    """Adversarial example testing at a fixed interval (RRAMedy, "pause and test")."""

    interval_ns: int


@dataclass(frozen=True, slots=True)
class Readback(NothingForeseen, Regular):
    """Non-destructive read of the whole array, compared with the backup: the honest rival of AET (digital, so without read noise).

    Alarms when at least ``alarm_cells`` cells are wrong that were right at the baseline; their number is the score.
    """

    interval_ns: int
    alarm_cells: int

    def visit_cost(self, costs: VisitCosts) -> Cost:
        return costs.readback

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return costs.readback.latency_ns

    def pulses_per_cell(self, of_test: float) -> float:
        return 1.0

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        return costs.readback

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        for position, wrong in enumerate(device.new_wrong_cells(ends_ns)):
            if wrong >= max(self.alarm_cells, least_score):
                return Finding(position, Outcome.ALARM, reads=1, score=wrong)
        return None

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        device.read_back(time_ns)


@dataclass(frozen=True, slots=True)
class MarchScrub(NothingRead, Regular):
    """The diagnosis at every visit, noticed or not. A March test finds every stuck cell; with the restore it cures drift and costs six writes
    per cell. A read-only one finds the stuck cells that do harm, and writes only what differs.
    """

    interval_ns: int
    read_only: bool = False

    def pulses_per_cell(self, of_test: float) -> float:
        return float(self.read_only)  # a March test leaves nothing that it could have disturbed

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return costs.diagnosis.latency_ns + costs.programming.latency_ns

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        return Finding(0, Outcome.DIAGNOSE)


@dataclass(frozen=True, slots=True)
class BlindRefresh(NothingRead, Regular):
    """A rewrite from the backup at every visit, without any test: cures drift for one write per cell, finds nothing."""

    interval_ns: int

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return costs.programming.latency_ns

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        return Finding(0, Outcome.REFRESH)
