"""When a device's visits are: numbered, exact to the nanosecond, never re-anchored.

Most schedules visit every point of a regular :class:`Grid`. Others leave some of a grid's points out (:class:`Chosen`), or have times of
their own in closed form (:class:`UnevenTimes`). Whoever asks does not have to know which: all of them answer by numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

NEVER_NS = 2**62
"""The time of a visit that nobody has planned: later than any horizon."""


class VisitTimes(Protocol):
    """The visits of one device, by number; each lasts ``visit_ns`` if it finds nothing, and none begins before that of the number before has ended."""

    @property
    def visit_ns(self) -> int: ...

    def start_ns(self, visit: int) -> int: ...

    def end_ns(self, visit: int) -> int: ...

    def ends_ns(self, first: int, end: int) -> Sequence[int]:
        """Return when visits ``first`` to ``end - 1`` end."""

    def first_at_or_after(self, time_ns: int) -> int:
        """Return the number of the first visit that begins at ``time_ns`` or later."""

    def ended_by(self, time_ns: int) -> int:
        """Return the number of the first visit that has not ended at ``time_ns``."""

    def busy_ns(self, time_ns: int) -> int:
        """Return how much of the time before ``time_ns`` uneventful visits would have taken, had every visit been one."""


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


class UnevenTimes:
    """What follows of any visits from ``start_ns`` and ``first_at_or_after``, which a subclass has."""

    __slots__ = ()

    visit_ns: int

    def start_ns(self, visit: int) -> int:
        raise NotImplementedError

    def first_at_or_after(self, time_ns: int) -> int:
        raise NotImplementedError

    def end_ns(self, visit: int) -> int:
        return self.start_ns(visit) + self.visit_ns

    def ends_ns(self, first: int, end: int) -> Sequence[int]:
        return [self.end_ns(visit) for visit in range(first, end)]

    def ended_by(self, time_ns: int) -> int:
        return self.first_at_or_after(time_ns - self.visit_ns + 1)

    def busy_ns(self, time_ns: int) -> int:
        none, begun = self.first_at_or_after(0), self.first_at_or_after(time_ns)
        if begun <= none:
            return 0
        return (begun - none) * self.visit_ns - max(0, self.end_ns(begun - 1) - time_ns)


class Chosen(UnevenTimes):
    """Visits at some points of a grid, chosen one after the other as time goes by.

    Those that a device has made keep their numbers; of those to come, as many are known as have been :meth:`planned <plan>`, and they can be
    taken back. A visit that is not planned begins at ``NEVER_NS``.
    """

    __slots__ = ("grid", "_starts_ns")

    def __init__(self, grid: Grid):
        self.grid = grid
        self._starts_ns: list[int] = []

    @property
    def visit_ns(self) -> int:
        return self.grid.visit_ns

    @property
    def planned(self) -> int:
        """The number of the first visit that is not planned."""
        return len(self._starts_ns)

    def since(self, time_ns: int) -> list[int]:
        """Return when the visits from ``time_ns`` on begin."""
        return self._starts_ns[bisect_left(self._starts_ns, time_ns) :]

    def plan(self, point: int) -> None:
        """Let the next visit be at this point of the grid."""
        start_ns = self.grid.start_ns(point)
        if self._starts_ns and start_ns <= self._starts_ns[-1]:
            raise ValueError(f"a visit at {start_ns} ns is not after the one at {self._starts_ns[-1]} ns")
        self._starts_ns.append(start_ns)

    def take_back(self, visit: int) -> None:
        """Forget the plan for this visit and all after it."""
        del self._starts_ns[visit:]

    def start_ns(self, visit: int) -> int:
        return self._starts_ns[visit] if visit < len(self._starts_ns) else NEVER_NS

    def first_at_or_after(self, time_ns: int) -> int:
        return bisect_left(self._starts_ns, time_ns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chosen) and self.grid == other.grid and self._starts_ns == other._starts_ns

    __hash__ = None  # type: ignore[assignment]
