"""From records and truth to numbers: every nanosecond and every event of a device, in the report period in which it fell.

Integers throughout; nothing is divided or multiplied by a unit cost before it is written.
"""

from __future__ import annotations

import itertools
import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.experiment.answers import inferences, pieces
from lifesim.experiment.observation import Judged, Observed, Sample, SpecSpan
from lifesim.experiment.schema import COUNTS, STATES
from lifesim.fleet.build import Plan
from lifesim.fleet.cells import BankPlan
from lifesim.fleet.records import DeviceRecord, Event, Grid, Segment, State

_STATE = {name: i for i, name in enumerate(STATES)}
_COUNT = {name: i for i, name in enumerate(COUNTS)}

# event -> the count that it adds 1 to, and the count that it adds its amount to
_ONE = {
    "unconfirmed_alarm": "tests",
    "verification": "tests",
    "judgement": "judgements",
    "drift_suspected": "tests",
    "diagnosis": "diagnoses",
    "refresh": "refreshes",
    "placement": "placements",
    "job": "jobs",
    "retraining_end": "retrainings",
    "validation_failed": "validations_failed",
    "reprogramming": "reprogrammings",
    "retirement": "retirements",
    "replacement": "replacements",
    "alarm_tolerated": "alarms_tolerated",
    "power_cut": "rewrites_cut",
    "job_expired": "jobs_expired",
    "map_damaged": "messages_damaged",
    "redeployment_damaged": "messages_damaged",
}
_AMOUNT = {
    "tried_again": "cells_tried_again",
    "map_sent": "uplink_sent_bytes",
    "map_received": "uplink_received_bytes",
    "map_damaged": "uplink_lost_bytes",
    "map_lost": "uplink_lost_bytes",
    "request_sent": "uplink_sent_bytes",
    "request_received": "uplink_received_bytes",
    "request_lost": "uplink_lost_bytes",
    "redeployment_sent": "downlink_sent_bytes",
    "redeployment_received": "downlink_received_bytes",
    "redeployment_damaged": "downlink_lost_bytes",
    "redeployment_lost": "downlink_lost_bytes",
    "notice_sent": "downlink_sent_bytes",
    "notice_received": "downlink_received_bytes",
    "notice_lost": "downlink_lost_bytes",
}
# event of a message that came through, with the bytes on the air as detail -> its way
_ON_AIR = {
    "map_received": "uplink",
    "map_damaged": "uplink",
    "request_received": "uplink",
    "redeployment_received": "downlink",
    "redeployment_damaged": "downlink",
    "notice_received": "downlink",
}


@dataclass(slots=True)
class DeviceAccount:
    """One device's ledger, by report period.

    ``time_ns`` int64 [periods, states of schema.STATES]; ``counts`` int64 [periods, counts of schema.COUNTS]; ``reads`` int64 [periods]
    single reads of a visit, ``baselines`` int64 [periods]; ``reloads`` int64 [periods, banks], each once for every layer that passes through
    the bank; ``extra_wrong`` float64 [periods] inferences expected to be wrong beyond what the network without faults gets wrong; ``events``
    with alarms told apart.
    """

    record: DeviceRecord
    observed: Observed
    time_ns: np.ndarray
    counts: np.ndarray
    reads: np.ndarray
    baselines: np.ndarray
    reloads: np.ndarray
    extra_wrong: np.ndarray
    events: list[Event]

    def count(self, name: str) -> np.ndarray:
        """Return one of the counts of schema.COUNTS by period [periods]."""
        return self.counts[:, _COUNT[name]]


def commissioned(time_ns: np.ndarray) -> np.ndarray:
    """Return the columns of times by state [..., states] in which a device had been put into service."""
    return np.delete(time_ns, _STATE["uncommissioned"], axis=-1)


def together(ledgers: Iterable[np.ndarray]) -> np.ndarray:
    """Return the sum of devices' whole numbers (of equal shape) as Python integers: the nanoseconds of 30 devices in ten years exceed int64."""
    return sum(ledger.astype(object) for ledger in ledgers)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing."""
    return float(np.mean(values)) if values else None


def mean_accuracy_se(samples: Sequence[Sample]) -> float | None:
    """Return the standard error of the mean accuracy of different devices, whose pictures are drawn independently; None of no devices."""
    return math.hypot(*(sample.accuracy_se for sample in samples)) / len(samples) if samples else None


def lowest_accuracies(samples: Sequence[Sample]) -> list[float]:
    """Return what the lowest accuracies may be taken from: infinity stands for a device that is not among them and was not looked at in full."""
    return [math.inf if s.full_accuracy is None else s.full_accuracy for s in samples]


def account(record: DeviceRecord, observed: Observed, plan: Plan, edges_ns: list[int]) -> DeviceAccount:
    """Return the ledger of one device over the periods between ``edges_ns`` (from 0 to the horizon)."""
    periods = len(edges_ns) - 1
    ledger = DeviceAccount(
        record,
        observed,
        np.zeros((periods, len(STATES)), np.int64),
        np.zeros((periods, len(COUNTS)), np.int64),
        np.zeros(periods, np.int64),
        np.zeros(periods, np.int64),
        np.zeros((periods, len(plan.hardware.layout.banks)), np.int64),
        np.zeros(periods),
        [],
    )
    starts = [stretch.start_ns for stretch in record.stretches]
    for segment in record.segments:
        if segment.state is State.SERVING:
            stretch = bisect_right(starts, segment.start_ns) - 1
            _book_serving(ledger, segment, observed.spans[stretch], edges_ns)
            if plan.usage:
                _book_answers(ledger, segment, observed.judged[stretch], plan, edges_ns)
        else:
            for period, start_ns, end_ns in _by_period(segment.start_ns, segment.end_ns, edges_ns):
                ledger.time_ns[period, _STATE[segment.state.value]] += end_ns - start_ns
    _book_missed(ledger, edges_ns)
    _book_events(ledger, edges_ns)
    _book_rewrites(ledger, edges_ns)
    _book_wear(ledger, plan.hardware.layout.banks, edges_ns)
    return ledger


def _book_serving(
    ledger: DeviceAccount, segment: Segment, spans: list[SpecSpan], edges_ns: list[int]
) -> None:
    grid = ledger.record.grid
    for span in spans:
        start_ns, end_ns = max(span.start_ns, segment.start_ns), min(span.end_ns, segment.end_ns)
        state = _STATE["in_spec" if span.in_spec else "out_known" if segment.known else "out_silent"]
        for period, a_ns, b_ns in _by_period(start_ns, end_ns, edges_ns):
            visits, busy_ns = _uneventful(grid, segment, a_ns, b_ns) if grid else (0, 0)
            ledger.time_ns[period, state] += b_ns - a_ns - busy_ns
            ledger.time_ns[period, _STATE["testing"]] += busy_ns
            if grid and grid.visit_ns:
                ledger.counts[period, _COUNT["tests"]] += visits
                ledger.reads[period] += visits
                ledger.counts[period, _COUNT["tests_passed_out_of_spec"]] += 0 if span.in_spec else visits


def _book_answers(
    ledger: DeviceAccount, segment: Segment, judged: Judged, plan: Plan, edges_ns: list[int]
) -> None:
    grid = ledger.record.grid
    for piece_start_ns, piece_end_ns, correct in pieces(judged, segment.start_ns, segment.end_ns):
        # Report times within a stretch are judged, so no piece lies in two periods.
        ((period, start_ns, end_ns),) = _by_period(piece_start_ns, piece_end_ns, edges_ns)
        busy_ns = _uneventful(grid, segment, start_ns, end_ns)[1] if grid else 0
        answered = inferences(plan.usage, start_ns, end_ns, busy_ns)
        ledger.counts[period, _COUNT["inferences"]] += answered
        ledger.extra_wrong[period] += answered * (plan.spec_correct - correct) / plan.spec_pictures


def _uneventful(grid: Grid, segment: Segment, start_ns: int, end_ns: int) -> tuple[int, int]:
    """Return how many uneventful visits of a serving segment ended in (start, end], and how much of that time they took."""

    def ended(time_ns: int) -> int:
        return min(max(grid.ended_by(time_ns), segment.first_visit), segment.end_visit)

    first_ns = grid.start_ns(segment.first_visit)
    busy_ns = grid.busy_ns(max(end_ns, first_ns)) - grid.busy_ns(max(start_ns, first_ns))
    return ended(end_ns) - ended(start_ns), busy_ns


def _book_missed(ledger: DeviceAccount, edges_ns: list[int]) -> None:
    grid = ledger.record.grid
    for first, end in ledger.record.missed_visits:
        for visit in range(first, end):
            ledger.counts[_period(grid.start_ns(visit), edges_ns), _COUNT["tests_missed"]] += 1


def _book_events(ledger: DeviceAccount, edges_ns: list[int]) -> None:
    starts = [stretch.start_ns for stretch in ledger.record.stretches]

    def in_spec_before(time_ns: int) -> bool:
        spans = ledger.observed.spans[max(0, bisect_left(starts, time_ns) - 1)]
        return spans[max(0, bisect_left(spans, time_ns, key=_span_start) - 1)].in_spec

    for event in ledger.record.events:
        period = _period(event.time_ns, edges_ns)
        if event.kind == "alarm":
            kind = "false" if event.detail else "early" if in_spec_before(event.time_ns) else "true"
            event = event._replace(detail=kind)
            ledger.counts[period, _COUNT[f"alarms_{kind}"]] += 1
            ledger.counts[period, _COUNT["tests"]] += event.amount > 0  # some alarms take no read
        if event.kind in ("alarm", "unconfirmed_alarm", "verification", "drift_suspected"):
            ledger.reads[period] += event.amount
        if event.kind == "unconfirmed_alarm":
            ledger.counts[period, _COUNT["alarms_unconfirmed"]] += 1
        if event.kind == "baseline":
            ledger.baselines[period] += 1
        if event.kind in _ONE:
            ledger.counts[period, _COUNT[_ONE[event.kind]]] += 1
        if event.kind in _AMOUNT:
            ledger.counts[period, _COUNT[_AMOUNT[event.kind]]] += event.amount
        if event.kind in _ON_AIR:
            ledger.counts[period, _COUNT[f"{_ON_AIR[event.kind]}_messages"]] += 1
            ledger.counts[period, _COUNT[f"{_ON_AIR[event.kind]}_air_bytes"]] += int(event.detail)
        if event.kind == "redeployment_sent":
            ledger.counts[period, _COUNT["delta_sent_bytes"]] += int(event.detail)
        ledger.events.append(event)


def _book_rewrites(ledger: DeviceAccount, edges_ns: list[int]) -> None:
    for time_ns, pulses, single_cells in ledger.record.programmings:
        kind = "single_cell_pulses" if single_cells else "rewrite_pulses"
        ledger.counts[_period(time_ns, edges_ns), _COUNT[kind]] += pulses


_span_start = operator.attrgetter("start_ns")

Writes = tuple[int, np.ndarray]
"""Of all cells together, and reloads by bank."""


def _book_wear(ledger: DeviceAccount, banks: Sequence[BankPlan], edges_ns: list[int]) -> None:
    """Programming operations up to each edge, from the stretches; what reloads did not do, interventions did.

    Each device in the slot counts from its own start: its first programming is the factory's.
    """
    stretches = ledger.record.stretches
    starts = [stretch.start_ns for stretch in stretches]
    writes = [0] * len(edges_ns)
    reloads = np.zeros((len(edges_ns), ledger.reloads.shape[1]), np.int64)
    before = [(0, reloads[0])]  # at the start of each stretch
    began = [stretch.snapshot.written_at(stretch.start_ns) for stretch in stretches]
    for index, (last, stretch) in enumerate(itertools.pairwise(stretches)):
        # What a March test and a rewrite did between two stretches shows at the start of the second, if it is the same device.
        same = stretch.generation == last.generation
        until = began[index + 1] if same else last.snapshot.written_at(last.end_ns)
        before.append(_added(before[-1], began[index], until))
    for row, edge_ns in enumerate(edges_ns):
        index = bisect_right(starts, edge_ns) - 1
        if index >= 0:
            stretch = stretches[index]
            at_ns = min(edge_ns, stretch.end_ns)
            writes[row], reloads[row] = _added(
                before[index], began[index], stretch.snapshot.written_at(at_ns)
            )
    ledger.reloads[:] = np.diff(reloads, axis=0)
    # A layer that lies in several banks is reloaded into all of them at once, and counts with the last.
    whole = sum(ledger.reloads[:, i] * bank.last_of // len(bank.layers) for i, bank in enumerate(banks))
    ledger.counts[:, _COUNT["reloads"]] = whole
    ledger.counts[:, _COUNT["cell_writes"]] = np.diff(writes)


def _added(sofar: Writes, first: Writes, second: Writes) -> Writes:
    """Add what one device did between two moments."""
    return sofar[0] + second[0] - first[0], sofar[1] + second[1] - first[1]


def _period(time_ns: int, edges_ns: list[int]) -> int:
    """Return the period (edge, next edge] in which an instant falls; 0 falls into the first."""
    return max(0, bisect_left(edges_ns, time_ns) - 1)


def _by_period(start_ns: int, end_ns: int, edges_ns: list[int]) -> Iterator[tuple[int, int, int]]:
    """Cut [start, end) at the edges: yield (period, start, end) of each piece."""
    period = bisect_right(edges_ns, start_ns) - 1
    while start_ns < end_ns:
        cut_ns = min(end_ns, edges_ns[period + 1])
        yield period, start_ns, cut_ns
        start_ns, period = cut_ns, period + 1
