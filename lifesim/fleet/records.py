"""What a simulated device leaves behind: enough to account for every nanosecond and every event afterwards.

Observation is deferred. The simulation steers by scores alone and records *segments* (one state each, together the whole horizon) and
*stretches* (between two interventions, in which ageing is exogenous); accuracy is evaluated later, in bulk, from the stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from lifesim.detection.visits import Grid as Grid
from lifesim.detection.visits import VisitTimes


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
    """The life of what stands in one slot, replacements included. ``grid``: when its visits are; None for schedules without."""

    group: str
    device: int
    grid: VisitTimes | None
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
