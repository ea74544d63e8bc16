"""Windows of visits that devices have announced: all that have gathered are looked into together.

In this process that happens as soon as one of them is needed; other processes begin as soon as there are enough, as most are needed much later. What is
found does not depend on what is looked into with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from lifesim.detection.screening import Seen, Window, look_into

_AT_A_TIME = 64  # windows: enough to share what a call costs, and their states take little memory


@dataclass(slots=True, eq=False)
class Announcement:
    """A window that has been announced: the ends of its visits."""

    times_ns: Sequence[int]
    _lookahead: Lookahead
    _prepare: Callable[[Sequence[int]], Window] | None
    _place: tuple[Future[list[Seen]], int] | None = field(
        default=None
    )  # among those that are looked into together

    def withdraw(self) -> None:
        """It is not needed any more."""
        self._prepare = None

    def result(self) -> Seen:
        """Return what is seen in the window; looks into all that has been announced."""
        if self._place is None:
            self._lookahead.settle()
        future, number = self._place
        return future.result()[number]


class Lookahead:
    """Gathers the windows of many devices. ``executor``: looks into them; None for this process. ``early``: it begins as soon as there are enough."""

    def __init__(self, executor: Executor | None = None, early: bool = True) -> None:
        self._executor = executor
        self._early = early and executor is not None
        self._waiting: list[Announcement] = []

    def announce(self, prepare: Callable[[Sequence[int]], Window], times_ns: Sequence[int]) -> Announcement:
        """Add a window, which ``prepare`` makes of its times when it is looked into: then, or at the next announcement."""
        if self._early and len(self._waiting) >= _AT_A_TIME:
            self.settle()
        announcement = Announcement(times_ns, self, prepare)
        self._waiting.append(announcement)
        return announcement

    def settle(self) -> None:
        """Look into all that has been announced and not withdrawn, or have it begun."""
        waiting = [announcement for announcement in self._waiting if announcement._prepare is not None]
        self._waiting = []
        for first in range(0, len(waiting), _AT_A_TIME):
            some = waiting[first : first + _AT_A_TIME]
            windows = [announcement._prepare(announcement.times_ns) for announcement in some]
            if self._executor is None:
                future: Future[list[Seen]] = Future()
                future.set_result(look_into(windows))
            else:
                future = self._executor.submit(look_into, windows)
            for number, announcement in enumerate(some):
                announcement._prepare, announcement._place = None, (future, number)
