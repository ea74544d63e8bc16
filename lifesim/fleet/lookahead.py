"""Windows of visits that devices have announced: all that have gathered are looked into together, as soon as one of them is needed.

What is found does not depend on what is looked into with it, nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

LookInto = Callable[[Sequence[int]], Callable[[], np.ndarray]]
"""Given times, gathers what decides (in the caller's thread), and returns what finds out (in any thread): bool, one a time."""

_IN_FLIGHT = 8  # windows a thread: enough to keep it busy, and their states take little memory


@dataclass(slots=True, eq=False)
class Announcement:
    """A window that has been announced: the ends of its visits."""

    times_ns: Sequence[int]
    _lookahead: Lookahead
    _look_into: LookInto | None
    _found: np.ndarray | None = field(default=None)

    def withdraw(self) -> None:
        """It is not needed any more."""
        self._look_into = None

    def result(self) -> list[bool]:
        """Return what was found out of each visit; looks into all that has been announced."""
        if self._found is None:
            self._lookahead.settle()
        return self._found.tolist()


class Lookahead:
    """Use it as a context manager: its threads end with it."""

    def __init__(self, threads: int = 1):
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._waiting: list[Announcement] = []

    def __enter__(self) -> Lookahead:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def announce(self, look_into: LookInto, times_ns: Sequence[int]) -> Announcement:
        announcement = Announcement(times_ns, self, look_into)
        self._waiting.append(announcement)
        return announcement

    def settle(self) -> None:
        """Look into all that has been announced and not withdrawn."""
        waiting, self._waiting = self._waiting, []
        running: list[tuple[Announcement, Future]] = []
        for announcement in waiting:
            look_into = announcement._look_into
            if look_into is None:
                continue
            find_out = look_into(announcement.times_ns)
            announcement._look_into = None
            if self._pool is None:
                announcement._found = find_out()
                continue
            running.append((announcement, self._pool.submit(find_out)))
            if len(running) > _IN_FLIGHT * self._threads:
                first, future = running.pop(0)
                first._found = future.result()
        for announcement, future in running:
            announcement._found = future.result()
