"""March tests: the notation, the tests of the literature, and which levels of a cell they exercise.

A March test is a list of elements; each visits every cell in ascending, descending or any order and does all of its operations
on one cell before it goes to the next (A. J. van de Goor, "Using March Tests to Test SRAMs", IEEE Design & Test 10, 1993). RRAMedy diagnoses
with March C-. A test destroys what the cells held and wears them by its writes. :mod:`lifesim.crossbar.diagnosis` runs it.

The tests are written in the literature's 0 and 1. In two-bit cells a 0 is the lowest level and a 1 the highest, so that only two of the four levels
are exercised; :func:`all_levels` goes over the other pair, too, at twice the cost.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

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
    """Write ``level``, or read and expect ``level``."""

    is_write: bool
    level: int

    def __str__(self) -> str:
        return f"{'w' if self.is_write else 'r'}{self.level}"


_OPERATIONS = {str(op): op for op in (Operation(w, level) for w in (True, False) for level in range(4))}


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

    def __str__(self) -> str:
        return "{" + "; ".join(map(str, self.elements)) + "}"


def parse_march(name: str, notation: str) -> MarchTest:
    """Return the March test written as e.g. ``{any(w0); up(r0,w1); down(r1)}`` or with the arrows ⇕ ⇑ ⇓ (↕ ↑ ↓).

    Levels are 0 to 3. The braces may be left out, spaces stand anywhere between symbols. Raises UserError with the position (from 1) of the mistake.
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
        return self._choose(_OPERATIONS, "r0 to r3 or w0 to w3")

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
MARCH_X = parse_march("March X", "{any(w0); up(r0,w1); down(r1,w0); any(r0)}")
MATS_PLUS = parse_march("MATS+", "{any(w0); up(r0,w1); down(r1,w0)}")

MARCH_TESTS = {"march_c_minus": MARCH_C_MINUS, "march_x": MARCH_X, "mats_plus": MATS_PLUS}
"""The tests by the names that a scenario uses. What each finds for certain, of faults that come alone (unlinked): MATS+ stuck-at and address
decoder faults; March X also transition faults and inversion coupling; March C- also idempotent and state coupling."""


def on_levels(test: MarchTest, low: int, high: int) -> MarchTest:
    """Return a test of 0 and 1 as one of the levels ``low`` and ``high``. Raises ValueError if it has other levels than 0 and 1."""
    level = {0: low, 1: high}
    operations = [op for element in test.elements for op in element.operations]
    if not level.keys() >= {op.level for op in operations}:
        raise ValueError(f"{test} is not a test of 0 and 1")
    elements = (
        MarchElement(e.order, tuple(Operation(op.is_write, level[op.level]) for op in e.operations))
        for e in test.elements
    )
    return MarchTest(test.name, tuple(elements))


def extreme_levels(test: MarchTest, top_level: int) -> MarchTest:
    """Return a test of 0 and 1 as it is run on cells with levels 0 to ``top_level``: on the lowest and the highest."""
    return on_levels(test, 0, top_level)


def all_levels(test: MarchTest, top_level: int) -> MarchTest:
    """Return a test of 0 and 1 repeated for each pair of complementary levels: (0, 3), (1, 2) in two-bit cells, (0, 1) in one-bit cells.

    Its operations per cell are those of ``test`` times the number of pairs.
    """
    pairs = [on_levels(test, low, top_level - low) for low in range((top_level + 1) // 2)]
    name = test.name if len(pairs) == 1 else f"{test.name}, all levels"
    return MarchTest(name, tuple(element for pair in pairs for element in pair.elements))
