"""Windows of visits that devices have announced: all that have gathered are looked into together, as soon as one of them is needed.

What is found does not depend on what is looked into with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lifesim.detection.screening import Seen, Window, look_into

_AT_A_TIME = 64  # windows: enough to share what a call costs, and their states take little memory


@dataclass(slots=True, eq=False)
class Announcement:
    """A window that has been announced: the ends of its visits."""

    times_ns: Sequence[int]
    _lookahead: Lookahead
    _prepare: Callable[[Sequence[int]], Window] | None
    _seen: Seen | None = field(default=None)

    def withdraw(self) -> None:
        """It is not needed any more."""
        self._prepare = None

    def result(self) -> Seen:
        """Return what is seen in the window; looks into all that has been announced."""
        if self._seen is None:
            self._lookahead.settle()
        return self._seen


class Lookahead:
    """Gathers the windows of many devices."""

    def __init__(self) -> None:
        self._waiting: list[Announcement] = []

    def announce(self, prepare: Callable[[Sequence[int]], Window], times_ns: Sequence[int]) -> Announcement:
        """Add a window, which ``prepare`` makes of its times when it is looked into."""
        announcement = Announcement(times_ns, self, prepare)
        self._waiting.append(announcement)
        return announcement

    def settle(self) -> None:
        """Look into all that has been announced and not withdrawn."""
        waiting = [announcement for announcement in self._waiting if announcement._prepare is not None]
        self._waiting = []
        for first in range(0, len(waiting), _AT_A_TIME):
            some = waiting[first : first + _AT_A_TIME]
            windows = [announcement._prepare(announcement.times_ns) for announcement in some]
            for announcement, seen in zip(some, look_into(windows), strict=True):
                announcement._prepare, announcement._seen = None, seen
