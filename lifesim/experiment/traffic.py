"""What the bytes between devices and cloud were for."""

from __future__ import annotations

from collections.abc import Iterable

from lifesim.fleet.records import Event

CAUSES = ("maps", "deltas", "test_sets", "control", "resends", "overhead")


def bytes_by_cause(events: Iterable[Event]) -> dict[str, int]:
    """Return the bytes of one device's traffic, both directions, by cause; together they are what was sent.

    ``maps``, ``deltas``, ``test_sets`` (test pictures, their scores, the envelope) and ``control`` (requests and notices) count each message once;
    ``resends`` are the copies that arrived damaged; ``overhead`` is what the messages that came through took on the air beyond their
    own bytes: headers, and frames that were lost and sent again.
    """
    spent = dict.fromkeys(CAUSES, 0)
    delta = 0  # of the redeployment last sent: a device has one under way at a time
    for event in events:
        what, _, happened = event.kind.rpartition("_")
        match event.kind:
            case "map_sent":
                spent["maps"] += event.amount
            case "request_sent" | "notice_sent":
                spent["control"] += event.amount
            case "redeployment_sent":
                delta = int(event.detail)
                spent["deltas"] += delta
                spent["test_sets"] += event.amount - delta
            case "map_damaged":
                spent["maps"] -= event.amount
                spent["resends"] += event.amount
            case "redeployment_damaged":
                spent["deltas"] -= delta
                spent["test_sets"] -= event.amount - delta
                spent["resends"] += event.amount
        if what in ("map", "request", "notice", "redeployment") and happened in ("received", "damaged"):
            spent["overhead"] += int(event.detail) - event.amount
    return spent
