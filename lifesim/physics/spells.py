"""Heat spells: times at which a place is warmer than its profile says, and the ageing with them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from lifesim.physics.periodic import PeriodicIntegral, doubles
from lifesim.physics.temperature import AgeingClock
from lifesim.streams import uniforms
from lifesim.timeunits import S_PER_H, S_PER_YEAR

_BLOCK = 8  # beginnings drawn at a time


@dataclass(frozen=True, slots=True)
class SpellRule:
    """Spells begin as a Poisson process, last ``duration_s`` each, and make the place warmer by ``rise_c``. Two that overlap are one longer spell.

    ``per_year`` is their mean number a year, all of which begin within ``season_s`` of every year, from ``season_begin_s`` (in
    [0, a year), after the start of the simulation) on; the whole year by default. The process is older than the simulation: a spell may be
    under way at the start.
    """

    per_year: float
    rise_c: float
    duration_s: float
    season_begin_s: float = 0.0
    season_s: float = float(S_PER_YEAR)

    @property
    def happens(self) -> bool:
        return self.per_year > 0.0 and self.rise_c > 0.0 and self.duration_s > 0.0

    def season_time_s(self, time_s: np.ndarray | float) -> np.ndarray:
        """Return how much season there has been by each time; 0 at the first beginning of a season."""
        years, rest_s = np.divmod(np.asarray(time_s, np.float64) - self.season_begin_s, S_PER_YEAR)
        return years * self.season_s + np.minimum(rest_s, self.season_s)

    def time_s(self, season_time_s: float) -> float:
        """Return the time at which there has been so much season."""
        years, rest_s = divmod(season_time_s, self.season_s)
        return self.season_begin_s + years * S_PER_YEAR + rest_s

    def active_share(self, time_s: np.ndarray) -> np.ndarray:
        """Return the probability of a spell at each time: of at least one beginning within one duration before."""
        expected = self.season_time_s(time_s) - self.season_time_s(np.asarray(time_s) - self.duration_s)
        return -np.expm1(-self.per_year / self.season_s * expected)


class Spells:
    """The spells of one place, drawn in the order of their beginning as far as they are asked for; ``key`` names the stream."""

    __slots__ = ("rule", "_key", "_ordinal", "_waits", "_season_time_s", "_next_s", "_begins_s", "_ends_s")

    def __init__(self, key: int, rule: SpellRule):
        self.rule = rule
        self._key = key
        self._ordinal = 0
        self._waits: list[float] = []
        self._season_time_s = float(rule.season_time_s(-rule.duration_s))
        self._begins_s: list[float] = []
        self._ends_s: list[float] = []
        self._draw()

    def until(self, time_s: float) -> tuple[list[float], list[float]]:
        """Return when the spells that begin by ``time_s`` begin and end, ascending and apart. The last may grow if it ends after ``time_s``."""
        while self._next_s <= time_s:
            begin_s, end_s = max(self._next_s, 0.0), self._next_s + self.rule.duration_s
            if self._ends_s and begin_s <= self._ends_s[-1]:
                self._ends_s[-1] = end_s
            else:
                self._begins_s.append(begin_s)
                self._ends_s.append(end_s)
            self._draw()
        return self._begins_s, self._ends_s

    def active(self, time_s: float) -> bool:
        """Return whether there is a spell at ``time_s``."""
        begins_s, ends_s = self.until(time_s)
        last = bisect_right(begins_s, time_s) - 1
        return last >= 0 and time_s < ends_s[last]

    def _draw(self) -> None:
        """Draw the beginning of the next spell: exponential times apart, counted in season alone."""
        within = self._ordinal % _BLOCK
        if not within:
            ordinals = np.arange(self._ordinal, self._ordinal + _BLOCK)
            self._waits = (-np.log(uniforms(self._key, ordinals))).tolist()
        self._season_time_s += self._waits[within] * self.rule.season_s / self.rule.per_year
        self._next_s = self.rule.time_s(self._season_time_s)
        self._ordinal += 1


class SpellClock:
    """The equivalent time of a place with spells: that of ``hot`` passes during a spell, that of ``ordinary`` otherwise."""

    __slots__ = ("highest_rate", "_spells", "_clocks", "_known_s", "_begins_s", "_legs")

    def __init__(self, ordinary: AgeingClock, hot: AgeingClock, spells: Spells):
        self._spells = spells
        self._clocks = (ordinary, hot)
        self.highest_rate = max(ordinary.highest_rate, hot.highest_rate)
        self._known_s = 0.0
        # Leg i goes from _begins_s[i] to the next: the equivalent time at its beginning, its clock, and what that showed then.
        self._begins_s = [0.0]
        self._legs: list[tuple[float, AgeingClock, float]] = [(0.0, ordinary, 0.0)]

    def at(self, time_s: float) -> float:
        """Return equivalent seconds from the start to ``time_s``.

        Exactly monotone: each leg is, and begins with what the one before comes to at its end.
        """
        if time_s > self._known_s:
            self._know(time_s)
        so_far_s, clock, shown_s = self._legs[bisect_right(self._begins_s, time_s) - 1]
        return so_far_s + (clock.at(time_s) - shown_s)

    def at_many(self, times_s: np.ndarray) -> np.ndarray:
        """Return :meth:`at` of many times (float64)."""
        return np.array([self.at(time_s) for time_s in times_s.tolist()])

    def _know(self, time_s: float) -> None:
        """Add the legs that begin by ``time_s``: that of spell k is number 2 k + 1, what follows it number 2 k + 2."""
        begins_s, ends_s = self._spells.until(time_s)
        while True:
            spell, over = divmod(len(self._legs) - 1, 2)
            if spell == len(begins_s):
                break
            edge_s = ends_s[spell] if over else begins_s[spell]
            if edge_s > time_s:
                break
            so_far_s, clock, shown_s = self._legs[-1]
            next_clock = self._clocks[0 if over else 1]
            self._legs.append((so_far_s + (clock.at(edge_s) - shown_s), next_clock, next_clock.at(edge_s)))
            self._begins_s.append(edge_s)
        self._known_s = time_s


def expected_time(ordinary: PeriodicIntegral, hot: PeriodicIntegral, rule: SpellRule) -> PeriodicIntegral:
    """Return the mean of :class:`SpellClock` over all places under ``rule``, by the hour.

    Exact if the profile repeats within a year. Else the season of the spells is spread over the whole year, as it meets another part of the
    profile in every year.
    """
    if not rule.happens:
        return ordinary
    hours_s = np.arange(S_PER_YEAR // S_PER_H + 1) * float(S_PER_H)
    active = rule.active_share(hours_s[:-1] + S_PER_H / 2)
    if S_PER_YEAR % ordinary.period_s:
        knots_s, active = ordinary.knots_s, active.mean()
    else:
        knots_s = hours_s
    usual_s, hot_s = np.diff(ordinary.at_many(knots_s)), np.diff(hot.at_many(knots_s))
    return PeriodicIntegral(doubles(knots_s), (1.0 - active) * usual_s + active * hot_s)
