"""Banks of cells: asked at any time, in any order, how often one likes, and compared with brute force over
every cell and reload.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.crossbar.bank import Bank, Defect, Wear
from lifesim.crossbar.overlay import Written
from lifesim.crossbar.programming import Programmed
from lifesim.crossbar.soft import ReadDisturb, Retention, WriteDisturb
from lifesim.crossbar.tiles import Tiling
from lifesim.crossbar.verify import WriteVerify
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import CosineProfile, equivalent_time
from lifesim.streams import stream_key
from lifesim.timeunits import S_PER_DAY

NS_PER_S = 10**9
DAY_NS = S_PER_DAY * NS_PER_S
HOUR_NS = 3600 * NS_PER_S
CLOCK = equivalent_time(CosineProfile(70.0, 10.0, 8.0), 85.0, 1.1)


def make_bank(
    key=1, n=60, scale=900.0, median_days=200.0, cell_share=0.5, reload_period_ns=None, sigma_ln=1.0
):
    wear = Wear(Weibull(scale, 2.0), 0.8)
    retention = Retention(Lognormal(median_days * S_PER_DAY, sigma_ln), cell_share, 0, CLOCK)
    return Bank(key, n, wear, (retention,), reload_period_ns)


BANKS = st.fixed_dictionaries(
    {
        "key": st.integers(0, 2**128 - 1),
        "n": st.integers(1, 80),
        "scale": st.sampled_from([30.0, 900.0, 1e5]),
        "median_days": st.sampled_from([0.02, 3.0, 200.0]),
        "cell_share": st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        "reload_period_ns": st.none()
        | st.integers(HOUR_NS, 40 * DAY_NS)
        | st.sampled_from([HOUR_NS, DAY_NS // 2, DAY_NS]),
    }
)


@st.composite
def lives(draw):
    """Interventions (halted, operations meanwhile, programmed again), in order: at arbitrary instants, and on
    the hour and day.
    """
    instants = st.integers(1, 700 * DAY_NS) | st.integers(1, 700 * 24).map(lambda hour: hour * HOUR_NS)
    times = sorted(draw(st.lists(instants, max_size=8, unique=True)))
    pairs = zip(times[::2], times[1::2], strict=False)
    return [(halt, draw(st.integers(0, 12)), end) for halt, end in pairs]


def states(bank, life):
    """What each intervention leaves, as (from, to, Programmed). Reloads end with the halt."""
    programmed, start_ns, left = Programmed(0, 0, 1), 0, []
    for halt_ns, operations, end_ns in life:
        left.append((start_ns, halt_ns, programmed))
        halted = bank.at(programmed, halt_ns)
        programmed, start_ns = halted.worn(operations).rewritten(end_ns), end_ns
    return [*left, (start_ns, 730 * DAY_NS, programmed)]


def ask(bank, left, time_ns):
    """The faulty cells at a time, however far from the last question; None during an intervention."""
    for start_ns, end_ns, programmed in left:
        if start_ns <= time_ns <= end_ns:
            faults = bank.faults_at(programmed, time_ns)
            return set(faults.stuck.tolist()), set(faults.expired.tolist())
    return None


def limits_by_cell(fates, n):
    limits = np.full(n, np.inf)
    limits[fates.failed_by(np.inf)] = fates.limits_by(np.inf)
    return limits


class BruteForce:
    """Every cell and every reload, one after the other, in the order of time."""

    def __init__(self, settings, life):
        self._bank = make_bank(**settings)  # opened up for its limits, and asked nothing else
        self._n = settings["n"]
        self._endurance = limits_by_cell(self._bank.worn(np.inf), self._n)
        self._own = limits_by_cell(self._bank.soft_fates(Programmed(0, 0, 1))[0].own(np.inf), self._n)
        self._period = settings["reload_period_ns"]
        self._life = [*life, (10**30, 0, 10**30)]
        self._now, self._programmed_ns, self._epoch, self._operations, self._next_reload = 0, 0, 0, 1, 1

    def at(self, time_ns):
        """(stuck, expired, operations) at a time not before the last one asked for, outside interventions."""
        while self._life[0][2] <= time_ns and self._life[0][0] < time_ns:
            halt_ns, operations, end_ns = self._life.pop(0)
            self._reload_until(halt_ns)
            self._operations += operations + 1
            self._programmed_ns, self._epoch = end_ns, self._epoch + 1
            while self._period and self._next_reload * self._period <= end_ns:
                self._next_reload += 1  # the device was halted, or just programmed
        self._reload_until(time_ns)
        age_s = CLOCK.at(time_ns / NS_PER_S) - CLOCK.at(self._programmed_ns / NS_PER_S)
        drawn = limits_by_cell(
            self._bank.soft_fates(Programmed(0, self._epoch, 1))[0].drawn(0, np.inf), self._n
        )
        stuck = {cell for cell in range(self._n) if self._endurance[cell] <= self._operations}
        expired = {cell for cell in range(self._n) if min(self._own[cell], drawn[cell]) <= age_s}
        return stuck, expired, self._operations

    def _reload_until(self, time_ns):
        while self._period and self._next_reload * self._period <= time_ns:
            self._operations += 1
            self._programmed_ns, self._epoch = self._next_reload * self._period, self._epoch + 1
            self._next_reload += 1


@settings(deadline=None, max_examples=60)
@given(
    BANKS,
    lives(),
    st.lists(
        st.integers(0, 730 * DAY_NS) | st.integers(0, 730).map(lambda d: d * DAY_NS), min_size=1, max_size=12
    ),
)
def test_brute_force_over_every_cell_and_reload_agrees(settings, life, times):
    bank = make_bank(**settings)
    left = states(bank, life)
    # Questions in the order given, each answered by a bank that has been asked the others before; brute force
    # goes in order of time.
    answers = {time_ns: ask(bank, left, time_ns) for time_ns in times}
    oracle = BruteForce(settings, life)
    for time_ns in sorted(answers):
        if answers[time_ns] is None or any(halt == time_ns for halt, _, _ in life):
            continue
        stuck, expired, operations = oracle.at(time_ns)
        assert answers[time_ns][:2] == (stuck, expired)
        (programmed,) = (p for start, end, p in left if start <= time_ns <= end)
        assert bank.at(programmed, time_ns).operations == operations


@settings(deadline=None, max_examples=12)
@given(BANKS, lives(), st.randoms(use_true_random=False))
def test_asked_daily_or_yearly_in_any_order_the_faults_of_a_day_are_the_same(settings, life, random):
    days = [day * DAY_NS for day in range(731)]
    yearly, shuffled, daily, backwards = (make_bank(**settings) for _ in range(4))
    left = states(daily, life)
    by_day = {day: ask(daily, left, day) for day in days}
    assert {day: ask(backwards, left, day) for day in reversed(days)} == by_day
    some = random.sample(days, 40)
    assert all(ask(shuffled, states(shuffled, life), day) == by_day[day] for day in some)
    for year in (2, 0, 1):
        assert ask(yearly, left, 365 * year * DAY_NS) == by_day[365 * year * DAY_NS]
    for day in some[:5]:
        assert ask(make_bank(**settings), left, day) == by_day[day], "asked once"


@settings(deadline=None, max_examples=100)
@given(
    BANKS,
    st.lists(
        st.integers(0, 730 * DAY_NS) | st.integers(0, 730).map(lambda d: d * DAY_NS), min_size=3, max_size=3
    ),
)
def test_stopping_on_the_way_changes_nothing(settings, times):
    """From the last intervention to t at once, or by way of the last reload before some time in between."""
    begin_ns, middle_ns, end_ns = sorted(times)
    bank = make_bank(**settings)
    programmed = Programmed(begin_ns, 7, 30)
    on_the_way = bank.at(programmed, middle_ns)
    assert bank.at(on_the_way, end_ns) == bank.at(programmed, end_ns)
    assert on_the_way.time_ns <= middle_ns and on_the_way.epoch - 7 == on_the_way.operations - 30 >= 0
    at_once, stopped = bank.faults_at(programmed, end_ns), make_bank(**settings).faults_at(on_the_way, end_ns)
    assert bank.faults_key(programmed, end_ns) == bank.faults_key(on_the_way, end_ns)
    assert (
        at_once.stuck.tolist() == stopped.stuck.tolist()
        and at_once.expired.tolist() == stopped.expired.tolist()
    )


@settings(deadline=None, max_examples=25)
@given(BANKS, lives())
def test_wear_never_decreases_and_drift_only_where_rewritten(settings, life):
    bank = make_bank(**settings)
    operations, stuck = 0, set()
    for start_ns, end_ns, programmed in states(bank, life):
        expired, programmed_ns = set(), start_ns
        for time_ns in np.linspace(start_ns, end_ns, 40).astype(np.int64).tolist():
            now, faults = bank.at(programmed, time_ns), bank.faults_at(programmed, time_ns)
            assert now.operations >= operations and set(faults.stuck.tolist()) >= stuck
            if now.time_ns == programmed_ns:
                assert set(faults.expired.tolist()) >= expired
            operations, stuck, expired, programmed_ns = (
                now.operations,
                set(faults.stuck.tolist()),
                set(faults.expired.tolist()),
                now.time_ns,
            )


KEYED_N = 63


def keyed_bank(seed, reload_period_ns=None, write=None, with_defects=False, half_selects=True):
    """A bank with every mechanism there is, or all but that of half-selects."""
    soft = (
        Retention(Lognormal(90.0 * S_PER_DAY, 1.0), 0.5, 0, CLOCK),
        ReadDisturb(Lognormal(20_000.0, 1.0), 0.3, 1, lambda time_ns: 40.0 * time_ns / DAY_NS),
        WriteDisturb(Lognormal(20.0, 0.7), 0.5, 1, Tiling(9, 7, side=4), 1.2),
    )
    line = Defect(200 * DAY_NS, np.arange(0, KEYED_N, 7, dtype=np.int32), np.ones(9, np.uint8))
    return Bank(
        seed, KEYED_N, Wear(Weibull(40.0, 2.0), 0.8), soft if half_selects else soft[:2], reload_period_ns,
        defects=(line,) if with_defects else (), **({"write": write} if write else {}),
    )  # fmt: skip


@st.composite
def programmings(draw):
    """What a device goes through, in order of time: (what, day, cells)."""
    days = sorted(draw(st.lists(st.integers(1, 360), max_size=6, unique=True)))
    what = st.sampled_from(["program", "patch", "patch", "march", "halt"])
    cells = st.lists(st.integers(0, KEYED_N - 1), max_size=12, unique=True).map(sorted)
    return [(draw(what), day, draw(cells)) for day in days]


def states_of(bank, life):
    """Each state with the time from which it holds."""
    programmed, states = Programmed(0, 0, 1), [(0, Programmed(0, 0, 1))]
    for what, day, cells in life:
        now_ns = day * DAY_NS
        halted = bank.at(programmed, now_ns)
        if what == "program":
            programmed = halted.rewritten(now_ns)
        elif what == "patch":
            programmed = bank.resumed(halted, now_ns, now_ns).patched(np.array(cells, np.int64), now_ns)
        elif what == "march":
            programmed = halted.worn(5).rewritten(now_ns)
        else:
            programmed = bank.resumed(halted, now_ns - DAY_NS // 2, now_ns)
        states.append((now_ns, programmed))
    return states


def listed(faults):
    parts = (faults.stuck, faults.stuck_values, faults.unwritten, *(s.cells for s in faults.soft))
    return tuple(part.tobytes() for part in parts)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**64),
    programmings(),
    st.lists(st.integers(0, 500), min_size=2, max_size=12),
    st.sampled_from([None, None, 3 * DAY_NS]),
    st.sampled_from([None, None, WriteVerify(2.0, 5)]),
    st.booleans(),
)
def test_equal_keys_are_equal_faults(seed, life, days, reload_period_ns, write, with_defects):
    """Over mechanisms, programmings, patches, reloads, writes given up and lines that break; and the other way round within one programming,
    where order statistics alone decide.
    """
    bank, fresh = (keyed_bank(seed, reload_period_ns, write, with_defects) for _ in range(2))
    states, seen = states_of(bank, life), []
    for days_later in days:
        for begin_ns, programmed in states:
            time_ns = begin_ns + days_later * DAY_NS
            key = bank.faults_key(programmed, time_ns)
            assert key == fresh.faults_key(programmed, time_ns) and hash(key) == hash(key)
            seen.append((programmed, key, listed(bank.faults_at(programmed, time_ns))))
    for one, key, faults in seen:
        for other, other_key, other_faults in seen:
            if key == other_key:
                assert faults == other_faults
            elif one is other and reload_period_ns is None and not with_defects and not one.extra.goes:
                assert faults != other_faults


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**64),
    programmings(),
    st.lists(st.integers(0, 900), max_size=40).map(sorted) | st.lists(st.integers(0, 900), max_size=9),
    st.sampled_from([None, None, 3 * DAY_NS]),
    st.booleans(),
    st.booleans(),
)
def test_the_keys_of_many_times_are_those_of_each(
    seed, life, days, reload_period_ns, with_defects, half_selects
):
    bank = keyed_bank(seed, reload_period_ns, with_defects=with_defects, half_selects=half_selects)
    begin_ns, programmed = states_of(bank, life)[-1]
    times_ns = [begin_ns + day * DAY_NS for day in days]
    assert bank.faults_keys(programmed, times_ns) == [bank.faults_key(programmed, t) for t in times_ns]


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 2**64),
    programmings(),
    st.lists(st.integers(0, 900), min_size=1, max_size=9),
    st.sampled_from([None, None, 3 * DAY_NS]),
    st.booleans(),
)
def test_an_ageing_is_what_stands_there_at_each_time(seed, life, days, reload_period_ns, with_defects):
    bank = keyed_bank(seed, reload_period_ns, with_defects=with_defects, half_selects=False)
    for begin_ns, programmed in states_of(bank, life):
        times_ns = [begin_ns + day * DAY_NS for day in days]
        ageing = bank.ageing(programmed, times_ns)
        assert ageing is not None or reload_period_ns
        for time_ns, counts in zip(times_ns, ageing[1].tolist(), strict=True) if ageing else ():
            there = [
                Written(
                    part.cells[:count],
                    part.levels if not isinstance(part.levels, np.ndarray) else part.levels[:count],
                )
                for part, count in zip(ageing[0], counts, strict=True)
            ]
            assert shown(there) == shown(bank.overlay(programmed, time_ns))


def shown(parts):
    """What cells of two levels show by parts that stand over one another."""
    levels = {}
    for part in parts:
        levels |= dict(zip(part.cells.tolist(), part.levels_from(0).tolist(), strict=True))
    return levels


def test_where_nothing_changes_two_of_many_times_are_looked_at():
    asked = set()

    class Asked:
        def at(self, time_s):
            asked.add(time_s)
            return CLOCK.at(time_s)

    bank = Bank(1, 60, Wear(Weibull(1e9, 2.0), 0.8), (Retention(Lognormal(1e12, 1.0), 0.5, 0, Asked()),))
    keys = bank.faults_keys(Programmed(0, 0, 1), range(0, 500 * DAY_NS, DAY_NS))
    assert len(keys) == 500 and len(set(keys)) == 1 and len(asked) == 2


def test_keys_tell_apart_programmings_in_which_as_many_cells_have_failed():
    bank = make_bank(n=50, cell_share=0.0, median_days=100.0)
    programmed = [Programmed(0, epoch, 1) for epoch in range(200)]
    faults = [bank.faults_at(p, 80 * DAY_NS) for p in programmed]
    keys = [bank.faults_key(p, 80 * DAY_NS) for p in programmed]
    none = {key for key, f in zip(keys, faults, strict=True) if not len(f.expired)}
    some = [key for key, f in zip(keys, faults, strict=True) if len(f.expired)]
    assert len(none) == 1 and len(set(some)) == len(some) > 20 and none.isdisjoint(some)


def test_keys_tell_apart_programmings_whose_half_selects_have_expired_other_cells():
    disturb = WriteDisturb(Lognormal(20.0, 0.7), 0.5, 1, Tiling(9, 7, side=4), 1.2)
    bank = Bank(1, KEYED_N, Wear(Weibull(1e9, 2.0), 0.8), (disturb,))
    pairs = [
        (bank.faults_key(p, DAY_NS), bank.faults_at(p, DAY_NS).expired.tolist())
        for p in (Programmed(0, epoch, 1) for epoch in range(60))
    ]
    by_key = {}
    for key, expired in pairs:
        assert by_key.setdefault(key, expired) == expired
    assert len({tuple(expired) for expired in by_key.values()}) > 10


def test_reloads_are_never_iterated():
    """3e17 of them."""
    bank = make_bank(reload_period_ns=1, scale=1e30)
    now = bank.at(Programmed(0, 0, 1), 3650 * DAY_NS)
    assert now == Programmed(3650 * DAY_NS, 3650 * DAY_NS, 3650 * DAY_NS + 1, reloads=3650 * DAY_NS)
    assert len(bank.faults_at(Programmed(0, 0, 1), 3650 * DAY_NS).expired) == 0


def test_a_reload_cures_and_is_on_an_absolute_grid():
    bank = make_bank(reload_period_ns=10 * DAY_NS, median_days=0.5, scale=1e9)
    programmed = Programmed(13 * DAY_NS, 0, 1)
    before, after = bank.faults_at(programmed, 20 * DAY_NS - 1), bank.faults_at(programmed, 20 * DAY_NS)
    assert len(before.expired) > 30 and len(after.expired) == 0
    assert bank.at(programmed, 20 * DAY_NS - 1) == programmed
    assert bank.at(programmed, 20 * DAY_NS) == Programmed(20 * DAY_NS, 1, 2, reloads=1)
    # A programming that ends at the very instant of a reload is one programming, not two.
    assert bank.at(Programmed(20 * DAY_NS, 0, 1), 20 * DAY_NS) == Programmed(20 * DAY_NS, 0, 1)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_cells_own_limits_and_those_of_a_programming_share_the_bank(share):
    """Every cell expires exactly once; of two programmings' expired cells, the cells' own come again in the
    same order, others not.
    """
    n = 400
    bank = make_bank(n=n, cell_share=share, median_days=1e-3)
    faults = [bank.faults_at(Programmed(0, epoch, 1), 3000 * DAY_NS).expired for epoch in range(3)]
    own = round(share * n)
    for expired in faults:
        assert sorted(expired.tolist()) == list(range(n))
        assert expired[:own].tolist() == faults[0][:own].tolist()
    if share < 1:
        drawn = [expired[own:].tolist() for expired in faults]
        assert drawn[0] != drawn[1] != drawn[2] and sorted(drawn[0]) == sorted(drawn[1])


def test_a_key_tells_programmings_apart_in_which_as_many_cells_have_expired():
    bank = make_bank(n=50, cell_share=0.0, median_days=100.0)
    programmings = [Programmed(0, epoch, 1) for epoch in range(200)]
    expired = {p: bank.faults_at(p, 80 * DAY_NS).expired.tolist() for p in programmings}
    keys = {p: bank.faults_key(p, 80 * DAY_NS) for p in programmings}
    alone = [p for p in programmings if len(expired[p]) == 1]
    assert len({expired[p][0] for p in alone}) > 5
    assert len({keys[p] for p in alone}) == len(alone)
    # Where nothing drawn has expired, the epoch makes no difference and must not look as if it did.
    assert len({keys[p] for p in programmings if not expired[p]}) == 1


def test_programmings_are_independent():
    """Which of the drawn cells expire in two programmings: overlap of two independent samples, within 3
    standard errors.
    """
    n, bank = 20_000, make_bank(n=20_000, cell_share=0.0, median_days=4.0)
    time_ns = 60 * DAY_NS
    one, two = (bank.faults_at(Programmed(0, epoch, 1), time_ns).expired for epoch in (4, 5))
    share = len(one) / n
    assert 0.1 < share < 0.9
    expected = len(one) * len(two) / n
    assert abs(len(np.intersect1d(one, two)) - expected) < 3 * np.sqrt(n) * share * (1 - share)


def test_the_value_at_which_a_cell_sticks_is_the_cells():
    bank = make_bank(n=9000, scale=100.0)
    early, late = bank.faults_at(Programmed(0, 0, 20), 0), bank.faults_at(Programmed(0, 0, 2000), 0)
    assert 0 < len(early.stuck) < len(late.stuck) == 9000
    assert late.stuck[: len(early.stuck)].tolist() == early.stuck.tolist()
    assert late.stuck_values[: len(early.stuck)].tolist() == early.stuck_values.tolist()
    assert early.stuck_values.dtype == np.uint8 and set(late.stuck_values.tolist()) == {0, 1}
    assert abs(late.stuck_values.mean() - 0.8) < 3 * np.sqrt(0.8 * 0.2 / 9000)
    assert bank.stuck_at(Programmed(0, 0, 20), 0)[0].tolist() == early.stuck.tolist()


def test_mechanisms_and_banks_are_independent():
    """Ranks of one cell in endurance, retention and another bank: correlations within 3 standard errors."""
    n = 5000
    banks = [
        make_bank(key=stream_key("bank", i), n=n, scale=100.0, median_days=1e-3, cell_share=1.0)
        for i in range(2)
    ]
    orders = []
    for bank in banks:
        faults = bank.faults_at(Programmed(0, 0, 10**6), 3000 * DAY_NS)
        orders += [np.argsort(faults.stuck), np.argsort(faults.expired)]
    correlations = np.corrcoef(orders)[np.triu_indices(4, 1)]
    assert np.all(np.abs(correlations) < 3 / np.sqrt(n))
