"""March tests: the notation, and an interpreter that runs it on a simulated array of cells.

A March test is a list of elements; each visits every cell in ascending, descending or any order and does all of its operations
on one cell before it goes to the next (van de Goor, "Using March Tests to Test SRAMs", IEEE D&T 1993). RRAMedy diagnoses with
March C-. A test destroys what the cells held and wears them by its writes.

A fault mechanism is one small class with the three members of :class:`Fault`; the interpreter knows none of them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from lifesim.crossbar.faults import FaultMap
from lifesim.errors import UserError

T = TypeVar("T")


class Order(enum.Enum):
    """In which order an element visits the cells; the symbol is the one of the literature."""

    ANY = "⇕"
    UP = "⇑"
    DOWN = "⇓"


_ORDERS = {
    "any": Order.ANY, "up": Order.UP, "down": Order.DOWN,
    "⇕": Order.ANY, "⇑": Order.UP, "⇓": Order.DOWN,
    "↕": Order.ANY, "↑": Order.UP, "↓": Order.DOWN,
}  # fmt: skip


class Operation(NamedTuple):
    """Write ``value``, or read and expect ``value``."""

    is_write: bool
    value: int

    def __str__(self) -> str:
        return f"{'w' if self.is_write else 'r'}{self.value}"


_OPERATIONS = {str(op): op for op in (Operation(w, v) for w in (True, False) for v in (0, 1))}


@dataclass(frozen=True, slots=True)
class MarchElement:
    """Operations that are done on each cell in turn."""

    order: Order
    operations: tuple[Operation, ...]

    def __str__(self) -> str:
        return f"{self.order.value}({','.join(map(str, self.operations))})"


@dataclass(frozen=True, slots=True)
class MarchTest:
    """A named March test; ``str()`` gives its notation."""

    name: str
    elements: tuple[MarchElement, ...]

    @property
    def writes_per_cell(self) -> int:
        return sum(op.is_write for element in self.elements for op in element.operations)

    @property
    def reads_per_cell(self) -> int:
        return sum(not op.is_write for element in self.elements for op in element.operations)

    @property
    def operations_per_cell(self) -> int:
        return self.reads_per_cell + self.writes_per_cell

    def __str__(self) -> str:
        return "{" + "; ".join(map(str, self.elements)) + "}"


def parse_march(name: str, notation: str) -> MarchTest:
    """Return the March test written as e.g. ``{any(w0); up(r0,w1); down(r1)}`` or with the arrows ⇕ ⇑ ⇓ (↕ ↑ ↓).

    The braces may be left out, spaces stand anywhere between symbols. Raises UserError with the position (from 1) of the mistake.
    """
    return MarchTest(name, _Parser(name, notation).test())


class _Parser:
    """Recursive descent over the symbols of one line: words (``any``, ``r0``) and single characters."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        # (symbol, position from 1), ending with an empty symbol.
        self._symbols = [(m[1].lower(), m.start(1) + 1) for m in re.finditer(r"\s*([A-Za-z0-9]+|\S|$)", text)]

    def test(self) -> tuple[MarchElement, ...]:
        braced = self._accept("{")
        elements = [self._element()]
        while self._accept(";"):
            elements.append(self._element())
        if braced:
            self._expect("}")
        if self._symbols[0][0]:
            raise self._error("the end" if braced else "';' or the end")
        return tuple(elements)

    def _element(self) -> MarchElement:
        order = self._choose(_ORDERS, "'any', 'up', 'down' or an arrow")
        self._expect("(")
        operations = [self._operation()]
        while self._accept(","):
            operations.append(self._operation())
        self._expect(")")
        return MarchElement(order, tuple(operations))

    def _operation(self) -> Operation:
        return self._choose(_OPERATIONS, "r0, r1, w0 or w1")

    def _choose(self, table: Mapping[str, T], wanted: str) -> T:
        if self._symbols[0][0] not in table:
            raise self._error(wanted)
        return table[self._symbols.pop(0)[0]]

    def _accept(self, symbol: str) -> bool:
        if self._symbols[0][0] != symbol:
            return False
        self._symbols.pop(0)
        return True

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._error(repr(symbol))

    def _error(self, wanted: str) -> UserError:
        symbol, position = self._symbols[0]
        found = repr(symbol) if symbol else "the end"
        return UserError(
            f"March test {self._name!r}: expected {wanted} at position {position}, found {found}"
        )


MARCH_C_MINUS = parse_march("March C-", "{any(w0); up(r0,w1); up(r1,w0); down(r0,w1); down(r1,w0); any(r0)}")


class Fault(Protocol):
    """How a defect bends the operations on certain cells.

    ``contents`` is the whole array, so that a fault may reach other cells (coupling) or swap them (address decoder).
    """

    @property
    def cells(self) -> tuple[int, ...]:
        """The cells whose operations the fault bends."""

    def after_write(self, contents: np.ndarray, cell: int, before: int) -> None:
        """Alter ``contents`` after ``cell``, which held ``before``, has been written."""

    def read(self, contents: np.ndarray, cell: int, value: int) -> int:
        """Return what a read of ``cell`` shows, where without this fault it would show ``value``."""


@dataclass(frozen=True, slots=True)
class StuckAt:
    """The cell holds ``value`` whatever is written: at HRS it reads 0, at LRS it reads 1."""

    cell: int
    value: int

    @property
    def cells(self) -> tuple[int, ...]:
        return (self.cell,)

    def after_write(self, contents: np.ndarray, cell: int, before: int) -> None:
        contents[cell] = self.value

    def read(self, contents: np.ndarray, cell: int, value: int) -> int:
        return self.value


@dataclass(frozen=True, slots=True)
class TransitionFault:
    """The cell cannot be switched to ``target`` (1: no SET, "up"; 0: no RESET, "down") but holds ``target`` if it is there."""

    cell: int
    target: int

    @property
    def cells(self) -> tuple[int, ...]:
        return (self.cell,)

    def after_write(self, contents: np.ndarray, cell: int, before: int) -> None:
        if contents[cell] == self.target:
            contents[cell] = before

    def read(self, contents: np.ndarray, cell: int, value: int) -> int:
        return value


class CellArray:
    """``n_cells`` one-bit cells with faults.

    contents
        What the cells hold now, uint8 of shape [n_cells].
    writes
        Write pulses each cell has had, int64 of shape [n_cells]: its wear.
    """

    def __init__(self, contents: Sequence[int] | np.ndarray, faults: Iterable[Fault] = ()) -> None:
        self.contents = np.array(contents, dtype=np.uint8)
        self.writes = np.zeros(len(self.contents), dtype=np.int64)
        self._faults: dict[int, list[Fault]] = {}
        for fault in faults:
            for cell in fault.cells:
                if not 0 <= cell < len(self.contents):
                    raise IndexError(f"{fault} lies outside an array of {len(self.contents)} cells")
                self._faults.setdefault(cell, []).append(fault)

    @classmethod
    def with_stuck_cells(cls, contents: Sequence[int] | np.ndarray, stuck: Mapping[int, int]) -> CellArray:
        """Return an array whose only faults are stuck cells, given as {cell: value}."""
        return cls(contents, [StuckAt(cell, value) for cell, value in stuck.items()])

    def __len__(self) -> int:
        return len(self.contents)

    def write(self, cell: int, value: int) -> None:
        before = int(self.contents[cell])
        self.contents[cell] = value
        self.writes[cell] += 1
        for fault in self._faults.get(cell, ()):
            fault.after_write(self.contents, cell, before)

    def read(self, cell: int) -> int:
        value = int(self.contents[cell])
        for fault in self._faults.get(cell, ()):
            value = fault.read(self.contents, cell, value)
        return value


@dataclass(frozen=True, slots=True)
class MarchResult:
    """What a March test found: failing ``cells`` (int64, sorted), the wrong bit that each showed first (uint8), operations done."""

    cells: np.ndarray
    values: np.ndarray
    reads: int
    writes: int


def run_march(test: MarchTest, array: CellArray) -> MarchResult:
    """Run every operation of ``test`` on ``array``, which is altered; "any" order is ascending."""
    wrong: dict[int, int] = {}
    reads = writes = 0
    for element in test.elements:
        cells = range(len(array))
        for cell in reversed(cells) if element.order is Order.DOWN else cells:
            for is_write, value in element.operations:
                if is_write:
                    array.write(cell, value)
                    writes += 1
                else:
                    seen = array.read(cell)
                    reads += 1
                    if seen != value:
                        wrong.setdefault(cell, seen)
    cells_found = sorted(wrong)
    return MarchResult(
        np.array(cells_found, dtype=np.int64),
        np.array([wrong[c] for c in cells_found], dtype=np.uint8),
        reads,
        writes,
    )


def fault_map_from(results: Sequence[MarchResult]) -> FaultMap:
    """Return the fault map of a device whose layers gave these results, one per layer.

    A failing cell is mapped as stuck at the wrong bit that it showed: all that the device knows. For stuck-at and transition
    faults this is the bit that the cell will keep showing.
    """
    return FaultMap(tuple(result.cells for result in results), tuple(result.values for result in results))
