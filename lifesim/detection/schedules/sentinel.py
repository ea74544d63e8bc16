"""A cheap and coarse look, all the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lifesim.crossbar.cost import Cost
from lifesim.crossbar.monitor import Monitor
from lifesim.detection.schedules.protocol import (
    Examinee,
    Finding,
    NothingForeseen,
    Outcome,
    Regular,
    VisitCosts,
)


@dataclass(frozen=True, slots=True)
class Sentinel(NothingForeseen, Regular):
    """Sums of cells, watched at a short interval: one that is off calls for the diagnosis (:mod:`lifesim.crossbar.monitor` has the sources).

    A check is one read of each crossbar with all rows driven. It sees cells whatever they matter, and not those that cancel.
    """

    interval_ns: int
    monitor: Monitor

    def visit_cost(self, costs: VisitCosts) -> Cost:
        return costs.check

    def longest_visit_ns(self, costs: VisitCosts) -> int:
        return costs.check.latency_ns

    def pulses_per_cell(self, of_test: float) -> float:
        return 1.0

    def baseline_cost(self, costs: VisitCosts) -> Cost:
        return costs.check.times(costs.baseline_reads)

    def first_finding(
        self, device: Examinee, ends_ns: Sequence[int], least_score: int = 0, first: int | None = None
    ) -> Finding | None:
        trip = device.first_trip(ends_ns, self.monitor)
        return trip and Finding(trip.position, Outcome.ALARM, reads=1, without_noise=trip.without_noise)

    def set_baseline(self, device: Examinee, time_ns: int) -> None:
        device.read_sums(time_ns, self.monitor)
