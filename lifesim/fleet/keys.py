"""The streams of one device: what names them, and what leaves them as they are."""

from __future__ import annotations

from lifesim.streams import stream_key

REPLICATION = 0


def device_key(seed: int, group: str, slot: int, *purpose: str, generation: int = 0) -> int:
    """Return the key of a stream of one device: the same whatever the schedule, the policy, or other groups.

    ``generation`` counts the devices in the slot: a replacement is the next one. What belongs to the place has that of the first.
    """
    return stream_key(seed, REPLICATION, group, slot, generation, *purpose)


def group_key(seed: int, group: str, *purpose: str) -> int:
    """Return the key of a stream that the devices of a group share."""
    return stream_key(seed, REPLICATION, group, "all", *purpose)
