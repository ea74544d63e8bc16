"""A user's own schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifesim.detection.schedules.protocol import ChoosingSchedule, Schedule
from lifesim.errors import UserError
from lifesim.network.dotted import call_found, find_dotted


def make_custom(name: str, interval_ns: int | None, options: Mapping[str, Any]) -> Schedule:
    """Return an instance of the class with this dotted name.

    It is made with ``options`` as keywords, and with ``interval_ns`` if there is one. Raises UserError if there is no such class, if it cannot be made, or if
    it lacks something that a schedule has.
    """
    found = find_dotted("schedule", name)
    if not isinstance(found, type):
        raise UserError(f"schedule {name}: must be a class, not {type(found).__name__}")
    given = dict(options) if interval_ns is None else {"interval_ns": interval_ns, **options}
    schedule = call_found("schedule", name, found, **given)
    wanted = _members(ChoosingSchedule if hasattr(schedule, "next_visit") else Schedule)
    if missing := [member for member in wanted if not hasattr(schedule, member)]:
        raise UserError(
            f"schedule {name}: has no {', '.join(missing)}; a schedule is what lifesim.detection.schedules.Schedule says"
        )
    interval = schedule.interval_ns
    if interval is not None and (not isinstance(interval, int) or interval < 1):
        raise UserError(
            f"schedule {name}: interval_ns = {interval!r}: must be a whole number of ns, or None for no visits"
        )
    return schedule


def _members(protocol: type) -> list[str]:
    """Return what a protocol and those that it extends ask for."""
    named = {
        member
        for part in protocol.__mro__
        if getattr(part, "_is_protocol", False)
        for member in (*vars(part), *part.__dict__.get("__annotations__", {}))
    }
    return sorted(member for member in named if not member.startswith("_"))
