"""Bytes by cause: every byte that a device's link carried has one."""

from __future__ import annotations

from lifesim.experiment.schema import COUNTS
from lifesim.experiment.traffic import bytes_by_cause
from lifesim.fleet.records import Event


def test_a_conversation_with_damaged_messages() -> None:
    """A map that needs two attempts, a redeployment that needs three, with headers of 10 bytes."""
    told = [
        ("map_sent", 100, ""),
        ("map_damaged", 100, "110"),
        ("notice_sent", 8, "send the map again"),
        ("notice_received", 8, "18"),
        ("map_sent", 100, ""),
        ("map_received", 100, "230"),  # a frame was lost on the way
        ("job", 0, ""),
        ("redeployment_sent", 900, "300"),
        ("redeployment_damaged", 900, "910"),
        ("request_sent", 8, "send the redeployment again"),
        ("request_received", 8, "18"),
        ("redeployment_sent", 900, "300"),
        ("redeployment_damaged", 900, "910"),
        ("request_sent", 8, "send the redeployment again"),
        ("request_received", 8, "18"),
        ("redeployment_sent", 900, "300"),
        ("redeployment_lost", 900, ""),
    ]
    spent = bytes_by_cause(Event(i, *event) for i, event in enumerate(told))
    assert spent == {
        "maps": 100,
        "deltas": 300,
        "test_sets": 600,
        "control": 24,
        "resends": 100 + 2 * 900,
        "overhead": 10 + 10 + 130 + 10 + 10 + 10 + 10,
    }


def test_the_causes_are_all_that_was_sent(lived) -> None:
    for ledger in lived.accounts:
        counts = dict(zip(COUNTS, ledger.counts.sum(axis=0).tolist(), strict=True))
        spent = bytes_by_cause(ledger.events)
        sent = counts["uplink_sent_bytes"] + counts["downlink_sent_bytes"]
        through = sum(e.amount for e in ledger.events if e.kind.endswith(("_received", "_damaged")))
        on_air = counts["uplink_air_bytes"] + counts["downlink_air_bytes"]
        assert sum(spent.values()) == sent + on_air - through
        assert all(n >= 0 for n in spent.values())
