"""A shared line: fair shares, exact times, bytes conserved, no order of insertion."""

from fractions import Fraction

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.fleet.backhaul import Backhaul, fair_share
from lifesim.timeunits import NS_PER_S

S = NS_PER_S


def finishes(capacity_bps, transfers):
    """Return the instant at which each transfer (at_ns, bytes, time alone in ns) is through."""
    env = simpy.Environment()
    line = Backhaul(env, capacity_bps)
    ends = [None] * len(transfers)

    def carry(i, at_ns, n_bytes, alone_ns):
        yield env.timeout(at_ns)
        yield line.join(n_bytes, alone_ns).done
        ends[i] = env.now

    for i, transfer in enumerate(transfers):
        env.process(carry(i, *transfer))
    env.run()
    assert line.under_way == 0
    return ends


def test_by_hand():
    # 1000 B/s. The first is alone for 1 s, shares with the second for 2 s, then with nobody.
    assert finishes(8000, [(0, 2000, 1), (S, 3000, 1)]) == pytest.approx([3 * S, 5 * S], rel=1e-9)


def test_a_slow_link_leaves_its_share_to_the_others():
    # 1000 B/s; the first link alone makes 100 B/s, so the second gets 900 and ends after 10 s.
    assert finishes(8000, [(0, 2000, 20 * S), (0, 9000, S)]) == pytest.approx([20 * S, 10 * S], rel=1e-9)


def test_alone_it_takes_exactly_its_own_time():
    for n_bytes, alone_ns in ((1, 123_456_789_123), (10**6, 7), (999, 86_400 * 365 * S + 1)):
        assert finishes(8 * n_bytes * S / alone_ns * 1.0001, [(5, n_bytes, alone_ns)]) == [5 + alone_ns]


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 5000))
def test_fair_shares_fill_the_line_and_nobody_could_have_more(caps, capacity):
    share = fair_share(capacity, caps)
    given_out = sum(min(cap, share) for cap in caps)
    assert given_out <= capacity
    assert given_out == sum(caps) or given_out + len(caps) > capacity


TRANSFERS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 50), st.sampled_from([1, 7, 50, 400])),
    min_size=1,
    max_size=7,
)


def fluid(capacity, transfers):
    """The same in fractions: bytes flow at max-min fair rates (capacity in bytes/s, times in s)."""
    left = {i: Fraction(n) for i, (_, n, _) in enumerate(transfers)}
    caps = {i: Fraction(n, alone) for i, (_, n, alone) in enumerate(transfers)}
    now, ends = Fraction(0), {}
    while left:
        active = sorted((i for i in left if transfers[i][0] <= now), key=caps.get)
        rates, free = {}, Fraction(capacity)
        for rank, i in enumerate(active):
            rates[i] = min(caps[i], free / (len(active) - rank))
            free -= rates[i]
        nexts = [now + left[i] / rates[i] for i in active]
        nexts += [Fraction(transfers[i][0]) for i in left if transfers[i][0] > now]
        step = min(nexts) - now
        now += step
        for i in active:
            left[i] -= rates[i] * step
            if left[i] == 0:
                ends[i] = now
                del left[i]
    return [ends[i] for i in range(len(transfers))]


@settings(deadline=None, max_examples=200)
@given(TRANSFERS, st.sampled_from([1, 3, 20]))
def test_it_is_the_fluid_of_max_min_fair_rates(transfers, capacity):
    ends = finishes(8 * capacity, [(at * S, n, alone * S) for at, n, alone in transfers])
    for end_ns, exact_s in zip(ends, fluid(capacity, transfers), strict=True):
        assert abs(end_ns - exact_s * S) <= 1e-9 * exact_s * S + len(transfers)


@settings(deadline=None, max_examples=100)
@given(TRANSFERS, st.data())
def test_the_order_of_insertion_changes_nothing(transfers, data):
    transfers = [(at * S, n, alone * S) for at, n, alone in transfers]
    order = data.draw(st.permutations(range(len(transfers))))
    shuffled = finishes(40, [transfers[i] for i in order])
    assert [shuffled[order.index(i)] for i in range(len(transfers))] == finishes(40, transfers)


@settings(deadline=None, max_examples=100)
@given(TRANSFERS)
def test_bytes_are_conserved(transfers):
    """While all links are wider than the line, it carries its capacity (here a byte a second) as long as anything is under way."""
    ends = finishes(8, [(at * S, n, 1000) for at, n, _ in transfers])
    until_s = 0
    for at, n, _ in sorted(transfers):
        until_s = max(until_s, at) + n
    assert max(ends) == pytest.approx(until_s * S, rel=1e-9)
