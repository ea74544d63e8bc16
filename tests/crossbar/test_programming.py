"""Single cells written alone: wear, retention and disturb of a bank against brute force over every cell and every write."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.bank import Bank, Wear
from lifesim.crossbar.programming import Programmed, SparseCounts, among
from lifesim.crossbar.soft import ReadDisturb, Retention, WriteDisturb
from lifesim.crossbar.tiles import Tiling
from lifesim.crossbar.verify import WriteVerify
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import CosineProfile, equivalent_time
from lifesim.timeunits import S_PER_DAY

DAY_NS = S_PER_DAY * 10**9
CLOCK = equivalent_time(CosineProfile(70.0, 10.0, 8.0), 85.0, 1.1)
TILING = Tiling(9, 7, side=4)
N = TILING.cells
PULSES_PER_DAY = 40.0
PULSES_PER_WRITE = 3.0


def pulses(time_ns):
    return PULSES_PER_DAY * time_ns / DAY_NS


def make_bank(key=1, cycles=1.0, write=None):
    soft = (
        Retention(Lognormal(40.0 * S_PER_DAY, 1.0), 0.5, 0, CLOCK),
        ReadDisturb(Lognormal(4000.0, 1.0), 0.3, 1, pulses),
        WriteDisturb(Lognormal(60.0, 0.7), 0.5, 1, TILING, PULSES_PER_WRITE),
    )
    wear = Wear(Weibull(30.0, 2.0), 0.8, cycles_per_operation=cycles)
    return Bank(key, N, wear, soft, **({"write": write} if write else {}))


@st.composite
def histories(draw):
    """Programmings in order of time: (time, cells written; None for all)."""
    times = sorted(draw(st.lists(st.integers(1, 300), min_size=1, max_size=7, unique=True)))
    cells = st.none() | st.lists(st.integers(0, N - 1), max_size=30, unique=True).map(sorted)
    return [(day * DAY_NS, draw(cells)) for day in times]


class BruteForce:
    """Every cell on its own: when it was last written, in which programming, how often it was written or half-selected since."""

    def __init__(self, bank):
        self._bank = bank  # opened up for its limits
        self.cycles = np.ones(N)
        self.written_ns = np.zeros(N, np.int64)
        self.programming = [(0, 0)] * N
        self.half_selects = np.zeros(N)
        self._epoch = self._ordinal = 0
        self._write(range(N))

    def program(self, time_ns, cells):
        if cells is None:
            self._epoch, self._ordinal = self._epoch + 1, 0
        elif cells:
            self._ordinal += 1
        for cell in range(N) if cells is None else cells:
            self.cycles[cell] += 1
            self.written_ns[cell] = time_ns
            self.programming[cell] = (self._epoch, self._ordinal)
        self._write(range(N) if cells is None else cells)

    def _write(self, cells):
        tile, row, column = TILING.place(np.arange(N))
        for cell in cells:
            same = (tile == tile[cell]) & ((row == row[cell]) ^ (column == column[cell]))
            self.half_selects[same] += PULSES_PER_WRITE
            self.half_selects[cell] = 0.0

    def faults(self, time_ns):
        bank = self._bank
        limits = limits_by_cell(bank.worn(np.inf))
        stuck = set(np.flatnonzero(limits <= self.cycles * bank.wear.cycles_per_operation).tolist())
        soft = []
        for fates in bank.soft_fates(Programmed(0, self._epoch, 1)):
            own, expired = limits_by_cell(fates.own(np.inf)), set()
            for cell in range(N):
                since = self.written_ns[cell]
                exposure = {
                    "retention": CLOCK.at(time_ns / 1e9) - CLOCK.at(since / 1e9),
                    "read disturb": pulses(time_ns) - pulses(since),
                    "write disturb": self.half_selects[cell],
                }[fates.mechanism.name]
                drawn = limits_by_cell(fates.drawn(self.programming[cell][1], np.inf))[cell]
                if min(own[cell], drawn) <= exposure:
                    expired.add(cell)
            soft.append(expired)
        return stuck, soft


def limits_by_cell(fates):
    limits = np.full(N, np.inf)
    limits[fates.failed_by(np.inf)] = fates.limits_by(np.inf)
    return limits


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**64), histories(), st.sampled_from([1.0, 2.5]), st.integers(0, 60))
def test_brute_force_over_every_cell_and_write_agrees(key, history, cycles, later_days):
    bank, oracle, programmed = make_bank(key, cycles), BruteForce(make_bank(key, cycles)), Programmed(0, 0, 1)
    for time_ns, cells in history:
        if cells is None:
            programmed = programmed.rewritten(time_ns)
        else:
            programmed = programmed.patched(np.array(cells, np.int64), time_ns)
        oracle.program(time_ns, cells)
    time_ns = history[-1][0] + later_days * DAY_NS
    faults = bank.faults_at(programmed, time_ns)
    stuck, soft = oracle.faults(time_ns)
    assert set(faults.stuck.tolist()) == stuck and len(faults.stuck) == len(stuck)
    assert [set(s.cells.tolist()) for s in faults.soft] == soft


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 20)), st.integers(1, 5)), max_size=6),
    st.lists(st.integers(0, 25), max_size=10),
)
def test_sparse_counts_add_up(writes, asked):
    counts, expected = SparseCounts(), dict.fromkeys(range(26), 0)
    for cells, times in writes:
        counts = counts.plus(np.array(sorted(cells), np.int64), times)
        for cell in cells:
            expected[cell] += times
    assert counts.of(np.array(asked, np.int64)).tolist() == [expected[cell] for cell in asked]
    assert counts.bound >= max(expected.values()) and counts.total == sum(expected.values())
    cells, merged = counts.merged()
    assert dict(zip(cells.tolist(), merged.tolist(), strict=True)) == {c: n for c, n in expected.items() if n}


def test_use_while_halted_does_not_count_and_time_does():
    """Halted from day 50 to day 90: read pulses stop, retention goes on."""
    bank, programmed = make_bank(), Programmed(0, 0, 1)
    resumed = bank.resumed(programmed, 50 * DAY_NS, 90 * DAY_NS)
    busy, idle = bank.faults_at(programmed, 100 * DAY_NS), bank.faults_at(resumed, 100 * DAY_NS)
    assert idle.soft[0].cells.tolist() == busy.soft[0].cells.tolist()
    as_used = bank.faults_at(programmed, 60 * DAY_NS)
    assert idle.soft[1].cells.tolist() == as_used.soft[1].cells.tolist() != busy.soft[1].cells.tolist()


def test_a_halt_before_cells_are_rewritten_is_not_counted_twice():
    bank, cells = make_bank(), np.arange(N, dtype=np.int64)
    halted = bank.resumed(Programmed(0, 0, 1), 10 * DAY_NS, 30 * DAY_NS).patched(cells, 30 * DAY_NS)
    again = bank.resumed(halted, 40 * DAY_NS, 70 * DAY_NS)
    # Read pulses since day 30: ten days until the second halt, thirty after it.
    now = Programmed(0, 0, 1).patched(cells, 0)
    expected = make_bank().soft_fates(now)[1]
    assert (
        bank.faults_at(again, 100 * DAY_NS).soft[1].cells.tolist()
        == expected.expired(40 * DAY_NS).tolist()
        != []
    )


@pytest.mark.parametrize("most", [4, 12])
def test_cells_that_write_verify_gives_up_on_are_as_many_as_the_geometric_tail_says(most):
    """(1 - 1/m)^most of the cells, in the whole bank and in a patch, and others after the next programming."""
    write = WriteVerify(4.0, most)
    bank = Bank(3, 500_000, Wear(Weibull(1e30, 2.0), 0.5), (), write=write)
    share = (1 - 1 / 4.0) ** most
    standard_error = np.sqrt(share * (1 - share) / 500_000)
    assert standard_error < 0.01 * share
    programmed = Programmed(0, 0, 1)
    first, second = bank.unwritten(programmed), bank.unwritten(programmed.rewritten(DAY_NS))
    for failed in (first, second):
        assert abs(len(failed) / 500_000 - share) < 3 * standard_error
    assert abs(len(np.intersect1d(first, second)) / 500_000 - share**2) < 3 * share
    cells = np.arange(0, 500_000, 2, dtype=np.int64)
    patched = bank.unwritten(programmed.patched(cells, DAY_NS))
    assert set(patched[patched % 2 == 1].tolist()) == set(first[first % 2 == 1].tolist())
    assert abs((patched % 2 == 0).sum() / 250_000 - share) < 3 * standard_error * np.sqrt(2)
    assert set(patched[patched % 2 == 0].tolist()) != set(first[first % 2 == 0].tolist())


@given(st.lists(st.integers(0, 40)), st.sets(st.integers(0, 40)))
@settings(deadline=None)
def test_among_is_membership(cells, of) -> None:
    cells, of = np.array(cells, np.int64), np.array(sorted(of), np.int64)
    np.testing.assert_array_equal(among(cells, of), np.isin(cells, of))
