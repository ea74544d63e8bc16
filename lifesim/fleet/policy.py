"""What a device has been told to do, in the terms of its process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one group of devices.

    offline_while_waiting
        Whether the device stops serving while the cloud has a job of it.
    retire_after, replace_after_ns
        Redeployments in a row that fail until it is retired; time until a new one is in its place, None for never.
    call_from, quiet_ns
        The cloud is called for at least so many stuck cells that it does not know of, once none has been added for ``quiet_ns``.
    retry_after_ns
        The cloud is called again so long after a job has expired; None: after the next diagnosis.
    act_from_score
        A confirmed alarm of a lower score is not acted on.
    changes_only
        Whether a redeployment writes only the cells that it changes.
    refresh
        Whether all cells are rewritten after a diagnosis; after one that destroys the weights they must be.
    climb_from_score
        Devices write the nearest codes that their cells can hold, and call the cloud only if a test's score is at least this after it; None: devices
        write the backup as it is and call the cloud for every stuck cell.
    places
        Whether before calling it they place hidden units where the faults harm them least, if that is not enough by the same score.
    """

    offline_while_waiting: bool
    retire_after: int
    replace_after_ns: int | None = None
    call_from: int = 1
    quiet_ns: int = 0
    retry_after_ns: int | None = None
    act_from_score: int = 0
    changes_only: bool = False
    refresh: bool = True
    climb_from_score: int | None = None
    places: bool = False
