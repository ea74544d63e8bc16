"""What a simulated device leaves behind: enough to account for every nanosecond and every event afterwards.

Observation is deferred. The simulation steers by scores alone and records *segments* (one state each, together the whole horizon) and
*stretches* (between two interventions, in which ageing is exogenous); accuracy is evaluated later, in bulk, from the stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple


class State(Enum):
    """What a device is doing. Serving is split by observation into in spec, out of spec and known, out of spec and silent."""

    UNCOMMISSIONED = "uncommissioned"
    SERVING = "serving"
    TESTING = "testing"
    DIAGNOSING = "diagnosing"
    REFRESHING = "refreshing"
    REPROGRAMMING = "reprogramming"
    OFFLINE = "offline"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Grid:
    """The absolute grid of a device's visits: number k begins at ``phase_ns + k * interval_ns`` and lasts ``visit_ns`` if it finds nothing."""

    phase_ns: int
    interval_ns: int
    visit_ns: int

    def start_ns(self, visit: int) -> int:
        return self.phase_ns + visit * self.interval_ns

    def end_ns(self, visit: int) -> int:
        return self.start_ns(visit) + self.visit_ns

    def ends_ns(self, first: int, end: int) -> range:
        """Return when visits ``first`` to ``end - 1`` end."""
        from_ns, interval_ns = self.phase_ns + self.visit_ns, self.interval_ns
        return range(from_ns + first * interval_ns, from_ns + end * interval_ns, interval_ns)

    def first_at_or_after(self, time_ns: int) -> int:
        """Return the number of the first visit that begins at ``time_ns`` or later (at least 0)."""
        return max(0, -((self.phase_ns - time_ns) // self.interval_ns))

    def ended_by(self, time_ns: int) -> int:
        """Return how many visits, from number 0, have ended at ``time_ns``."""
        return max(0, (time_ns - self.phase_ns - self.visit_ns) // self.interval_ns + 1)

    def busy_ns(self, time_ns: int) -> int:
        """Return how much of the time before ``time_ns`` uneventful visits would have taken, had every visit been one."""
        if time_ns <= self.phase_ns:
            return 0
        visits, within_ns = divmod(time_ns - self.phase_ns, self.interval_ns)
        return visits * self.visit_ns + min(within_ns, self.visit_ns)


@dataclass(slots=True)
class Segment:
    """One state from ``start_ns`` to ``end_ns``.

    In SERVING, visits ``first_visit`` to ``end_visit - 1`` found nothing and took their time out of it; ``known`` says whether an alarm
    was still unresolved.
    """

    state: State
    start_ns: int
    end_ns: int
    known: bool = False
    first_visit: int = 0
    end_visit: int = 0


@dataclass(slots=True)
class Stretch:
    """From a programming to the next intervention: ``snapshot`` and the time determine the state of every cell.

    ``generation``: how often the device had been replaced by then.
    """

    start_ns: int
    end_ns: int
    snapshot: Any
    generation: int = 0


class Programming(NamedTuple):
    """A writing of cells that ended at ``time_ns``, done or cut off: its pulses, and whether single cells were written, not all."""

    time_ns: int
    pulses: int
    single_cells: bool


class Event(NamedTuple):
    """One line of the trace; ``amount`` and ``detail`` are explained with the kind of event in the schema of the outputs."""

    time_ns: int
    kind: str
    amount: int = 0
    detail: str = ""


@dataclass(slots=True)
class DeviceRecord:
    """The life of what stands in one slot, replacements included. ``grid`` is None for schedules without visits."""

    group: str
    device: int
    grid: Grid | None
    commissioned_ns: int = 0
    segments: list[Segment] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    programmings: Sequence[Programming] = ()
    missed_visits: Sequence[tuple[int, int]] = ()  # [first, end) of visits that fell where it was not serving

    def add_programming(self, programming: Programming) -> None:
        if not self.programmings:  # most devices are never written again
            self.programmings = []
        self.programmings.append(programming)

    def add_missed_visits(self, first: int, end: int) -> None:
        if not self.missed_visits:
            self.missed_visits = []
        self.missed_visits.append((first, end))
