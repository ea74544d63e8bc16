"""What can be wrong with cells and their address decoder: the fault models of memory testing.

Names and definitions are those of A. J. van de Goor, "Using March Tests to Test SRAMs", IEEE Design & Test 10 (1993), carried over to cells
with several levels: a transition is up where the level rises. The classes implement :class:`lifesim.crossbar.cellarray.Fault`
and :class:`~lifesim.crossbar.cellarray.Decoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifesim.streams import first_uniform, stream_key

if TYPE_CHECKING:
    from lifesim.crossbar.cellarray import CellArray


class _OfOneCell:
    """A fault that bends the operations on the cell ``cell`` only, and shows in what the cell holds."""

    __slots__ = ()
    cell: int

    @property
    def cells(self) -> tuple[int, ...]:
        return (self.cell,)

    def read(self, array: CellArray, cell: int, level: int) -> int:
        return level


@dataclass(frozen=True, slots=True)
class StuckAt(_OfOneCell):
    """SAF: the cell shows ``level`` whatever is written."""

    cell: int
    level: int

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        array.contents[cell] = self.level

    def read(self, array: CellArray, cell: int, level: int) -> int:
        return self.level


@dataclass(frozen=True, slots=True)
class TransitionFault(_OfOneCell):
    """TF: the cell cannot be switched to ``target`` (LRS: no SET, "up"; HRS: no RESET, "down") but holds ``target`` if it is there."""

    cell: int
    target: int

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        if array.contents[cell] == self.target:
            array.contents[cell] = before


@dataclass(frozen=True, slots=True)
class MissingLevel(_OfOneCell):
    """A multi-level cell that cannot hold ``level`` and settles at ``instead``; it works at all others."""

    cell: int
    level: int
    instead: int

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        if array.contents[cell] == self.level:
            array.contents[cell] = self.instead


@dataclass(frozen=True, slots=True)
class LostWrites(_OfOneCell):
    """Temporary write failure: writes number ``ordinals`` (from 0) of the cell do not take.

    It goes on holding what it held, or is left at the level ``left``.
    """

    cell: int
    ordinals: frozenset[int]
    left: int | None = None

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        if array.writes[cell] - 1 in self.ordinals:
            array.contents[cell] = before if self.left is None else self.left


@dataclass(frozen=True, slots=True)
class RandomlyLostWrites:
    """Temporary write failure: each write of each of ``cells`` does not take with ``probability``, drawn by (key, cell, ordinal of the write).

    The cell goes on holding what it held, or is left at the level ``left``.
    """

    cells: tuple[int, ...]
    key: int
    probability: float
    left: int | None = None

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        if first_uniform(stream_key(self.key, cell, int(array.writes[cell]))) < self.probability:
            array.contents[cell] = before if self.left is None else self.left

    def read(self, array: CellArray, cell: int, level: int) -> int:
        return level


class _OnTransition:
    """A coupling fault that acts when a write makes the level of ``aggressor`` rise (``rising``), or else fall."""

    __slots__ = ()
    aggressor: int
    rising: bool

    @property
    def cells(self) -> tuple[int, ...]:
        return (self.aggressor,)

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        now = int(array.contents[cell])
        if now != before and (now > before) == self.rising:
            self._upset(array)

    def read(self, array: CellArray, cell: int, level: int) -> int:
        return level

    def _upset(self, array: CellArray) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class InversionCoupling(_OnTransition):
    """CFin: a transition of ``aggressor`` inverts ``victim`` (level l becomes top - l)."""

    aggressor: int
    victim: int
    rising: bool

    def _upset(self, array: CellArray) -> None:
        array.contents[self.victim] = array.top_level - array.contents[self.victim]


@dataclass(frozen=True, slots=True)
class IdempotentCoupling(_OnTransition):
    """CFid: a transition of ``aggressor`` puts ``victim`` at ``level``."""

    aggressor: int
    victim: int
    rising: bool
    level: int

    def _upset(self, array: CellArray) -> None:
        array.contents[self.victim] = self.level


@dataclass(frozen=True, slots=True)
class StateCoupling:
    """CFst: while ``aggressor`` holds ``state``, ``victim`` shows ``level``; afterwards again what was last written."""

    aggressor: int
    victim: int
    state: int
    level: int

    @property
    def cells(self) -> tuple[int, ...]:
        return (self.victim,)

    def after_write(self, array: CellArray, cell: int, before: int) -> None:
        pass

    def read(self, array: CellArray, cell: int, level: int) -> int:
        return self.level if array.contents[self.aggressor] == self.state else level


@dataclass(frozen=True, slots=True)
class AddressFault:
    """AF: ``address`` accesses ``cells`` instead of its own; another address may access ``extra``, too, given as (address, cell).

    With as many addresses as cells, no address goes wrong without a cell going wrong: van de Goor's four combinations are made by
    :meth:`nothing`, :meth:`taken_over`, :meth:`redirected` and :meth:`spread`. A read that accesses several cells shows the highest level (``high``:
    their currents add and LRS outweighs HRS) or the lowest; one that accesses none shows ``idle``.
    """

    address: int
    cells: tuple[int, ...]
    extra: tuple[int, int] | None = None
    high: bool = True
    idle: int = 0

    @classmethod
    def nothing(cls, address: int, idle: int = 0) -> AddressFault:
        """Type A: the address accesses no cell, and its cell is never accessed."""
        return cls(address, (), idle=idle)

    @classmethod
    def taken_over(cls, address: int, by: int, high: bool = True, idle: int = 0) -> AddressFault:
        """Type B: the address accesses no cell; address ``by`` accesses two, its own and this one's."""
        return cls(address, (), (by, address), high, idle)

    @classmethod
    def redirected(cls, address: int, to: int) -> AddressFault:
        """Type C: the address accesses cell ``to``, which thus has two addresses; its own cell is never accessed."""
        return cls(address, (to,))

    @classmethod
    def spread(cls, address: int, to: int, high: bool = True) -> AddressFault:
        """Type D: the address accesses two cells, its own and ``to``, which thus has two addresses."""
        return cls(address, (address, to), high=high)

    def accessed(self, address: int) -> tuple[int, ...]:
        cells = self.cells if address == self.address else (address,)
        return (*cells, self.extra[1]) if self.extra and address == self.extra[0] else cells

    def shown(self, levels: Sequence[int]) -> int:
        if not levels:
            return self.idle
        return max(levels) if self.high else min(levels)
