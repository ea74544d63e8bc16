"""For how long a device is out of spec and nobody knows: the spells that a detection schedule exists to shorten."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from lifesim.experiment.accounting import DeviceAccount
from lifesim.fleet.records import State

ENDINGS = {
    "alarm": "an alarm was raised, or one was still unresolved",
    "in_spec": "the device was in spec again, unnoticed: a refresh or a reload by the clock, or chance, had cured it",
    "end": "the simulation ended, or the device was retired, before anybody knew",
}


class SilentSpell(NamedTuple):
    """A device is out of spec from ``start_ns`` on and nobody knows until ``end_ns``; ``ending``: one of ENDINGS."""

    start_ns: int
    end_ns: int
    ending: str


def silent_spells(account: DeviceAccount) -> list[SilentSpell]:
    """Return the silent spells of what stood in a slot, in order.

    A spell goes on through tests that pass and through refreshes that cure nothing. What is lost while an alarm is unresolved is known at once
    and is no spell; a spell that takes no time is none.
    """
    alarms = sorted(event.time_ns for event in account.events if event.kind == "alarm")
    spells: list[SilentSpell] = []
    began_ns: int | None = None
    now_ns = 0

    def heard_ns() -> int | None:
        """The first alarm since the spell began, up to now."""
        at = bisect_left(alarms, began_ns)
        return alarms[at] if at < len(alarms) and alarms[at] <= now_ns else None

    def close(ending: str) -> None:
        nonlocal began_ns
        alarm_ns = heard_ns()
        end_ns, ending = (now_ns, ending) if alarm_ns is None else (alarm_ns, "alarm")
        if end_ns > began_ns:
            spells.append(SilentSpell(began_ns, end_ns, ending))
        began_ns = None

    endings = {"in_spec": "in_spec", "out_known": "alarm", "retired": "end"}
    for start_ns, end_ns, state in _pieces(account):
        now_ns = start_ns
        if began_ns is not None and (state in endings or heard_ns() is not None):
            close(endings.get(state, "alarm"))
        if began_ns is None and state == "out_silent":
            began_ns = start_ns
        now_ns = end_ns
    if began_ns is not None:
        close("end")
    return spells


def _pieces(account: DeviceAccount) -> Iterator[tuple[int, int, str]]:
    """Cut a life into pieces of one state, serving told apart by what was observed: yield (start, end, state of schema.STATES) in order."""
    spans = [span for of_stretch in account.observed.spans for span in of_stretch]
    at = 0
    for segment in account.record.segments:
        if segment.state is not State.SERVING:
            yield segment.start_ns, segment.end_ns, segment.state.value
            continue
        while at < len(spans) and spans[at].end_ns <= segment.start_ns:
            at += 1
        for span in spans[at:]:
            if span.start_ns >= segment.end_ns:
                break
            start_ns, end_ns = max(span.start_ns, segment.start_ns), min(span.end_ns, segment.end_ns)
            if start_ns < end_ns:
                out = "out_known" if segment.known else "out_silent"
                yield start_ns, end_ns, "in_spec" if span.in_spec else out
