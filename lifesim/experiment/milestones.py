"""The firsts of a device's life, and how long it took from one to the next: what survival curves and failure rates are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.experiment.accounting import DeviceAccount


@dataclass(frozen=True, slots=True)
class Milestones:
    """When it first happened to the first device in a slot (ns), None where it did not; what replaces it does not count.

    ``first_detection``: the first true alarm once out of spec, or the loss itself if an alarm was still unresolved then.
    ``first_repair``: in spec again after that detection; ``first_back_in_spec`` does not ask for one. ``end_of_life``: retirement.
    """

    commissioned: int
    first_out_of_spec: int | None
    first_detection: int | None
    first_back_in_spec: int | None
    first_repair: int | None
    end_of_life: int | None


def milestones(account: DeviceAccount) -> Milestones:
    """Return the firsts of one device. A span that took no time does not count."""
    spans = [
        span
        for stretch, spans in zip(account.record.stretches, account.observed.spans, strict=True)
        for span in spans
        if span.end_ns > span.start_ns and not stretch.generation
    ]
    lost = next((span.start_ns for span in spans if not span.in_spec), None)
    retired = (i for i, event in enumerate(account.events) if event.kind == "retirement")
    end = next(retired, len(account.events))
    end_of_life = account.events[end].time_ns if end < len(account.events) else None
    commissioned = account.record.commissioned_ns
    if lost is None:
        return Milestones(commissioned, None, None, None, None, end_of_life)

    def in_spec_after(time_ns: int) -> int | None:
        return next((span.start_ns for span in spans if span.in_spec and span.start_ns > time_ns), None)

    already_known = any(s.known for s in account.record.segments if s.start_ns <= lost < s.end_ns)
    alarms = (e.time_ns for e in account.events[:end] if e.kind == "alarm" and e.detail == "true")
    detected = lost if already_known else next((t for t in alarms if t >= lost), None)
    repaired = None if detected is None else in_spec_after(detected)
    return Milestones(commissioned, lost, detected, in_spec_after(lost), repaired, end_of_life)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long something was waited for (ns), and whether it happened before the observation ended."""

    duration_ns: int
    happened: bool


def waits(firsts: Sequence[Milestones], horizon_ns: int) -> dict[str, list[Wait]]:
    """Return what survival curves are estimated from, by the measures of schema.MEASURES, a wait for each device at risk.

    A device that is in spec again before anything was noticed, because a reload or a refresh by the clock happened to cure it, is no longer
    waited for: its detection is censored then. All waits are censored by retirement and by the horizon.
    """
    return {
        "in_spec": [_wait(m.first_out_of_spec, m.end_of_life, horizon_ns, m.commissioned) for m in firsts],
        "undetected": [
            _wait(
                m.first_detection,
                _earliest(m.first_back_in_spec, m.end_of_life),
                horizon_ns,
                m.first_out_of_spec,
            )
            for m in firsts
            if m.first_out_of_spec is not None
        ],
        "unrepaired": [
            _wait(m.first_repair, m.end_of_life, horizon_ns, m.first_detection)
            for m in firsts
            if m.first_detection is not None
        ],
        "in_service": [_wait(m.end_of_life, None, horizon_ns, m.commissioned) for m in firsts],
    }


def arrays(waited: Sequence[Wait]) -> tuple[np.ndarray, np.ndarray]:
    """Return the waits as (int64 durations in ns, bool happened)."""
    return (
        np.array([wait.duration_ns for wait in waited], np.int64),
        np.array([wait.happened for wait in waited], bool),
    )


def _wait(event_ns: int | None, ended_ns: int | None, horizon_ns: int, since_ns: int) -> Wait:
    end_ns = horizon_ns if ended_ns is None else ended_ns
    happened = event_ns is not None and event_ns <= end_ns
    return Wait((event_ns if happened else end_ns) - since_ns, happened)


def _earliest(*times_ns: int | None) -> int | None:
    return min((time_ns for time_ns in times_ns if time_ns is not None), default=None)
