"""One device's link: exact times, one transfer after the other, bytes conserved."""

from fractions import Fraction

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.fleet.link import Direction, Link

UP, DOWN = Direction


def link(env=None, uplink_bps=8_000, downlink_bps=16_000, latency_s=0.5):
    return Link(env or simpy.Environment(), uplink_bps, downlink_bps, latency_s)


def test_a_transfer_takes_the_latency_and_the_bits_over_the_rate():
    assert link().transfer_ns(1000, UP) == 1_500_000_000
    assert link().transfer_ns(1000, DOWN) == 1_000_000_000
    assert link().transfer_ns(0, UP) == 500_000_000


def test_a_part_of_a_nanosecond_counts_as_one():
    assert link(uplink_bps=3e9, latency_s=0).transfer_ns(1, UP) == 3  # 8 bits at 3 bits per ns


@given(st.integers(0, 10**9), st.floats(1, 1e9))
def test_rounding_up_never_adds_a_nanosecond_too_many(n_bytes, rate_bps):
    exact = Fraction(8 * n_bytes * 10**9) / Fraction(rate_bps)
    assert 0 <= link(uplink_bps=rate_bps, latency_s=0).transfer_ns(n_bytes, UP) - exact < 1


def test_an_event_happens_when_the_last_byte_arrives():
    env = simpy.Environment()
    one = link(env)
    env.run(until=one.send(1000, UP))
    assert env.now == one.transfer_ns(1000, UP)


def test_transfers_of_one_direction_queue_and_directions_do_not_mix():
    env = simpy.Environment()
    one = link(env)
    arrivals = []
    for direction, n_bytes in [(UP, 1000), (UP, 500), (DOWN, 1000)]:
        one.send(n_bytes, direction).callbacks.append(lambda _, d=direction: arrivals.append((d, env.now)))
    env.run()
    # The second leaves after the first has left at 1 s, not after it has arrived at 1.5 s.
    assert arrivals == [(DOWN, 1_000_000_000), (UP, 1_500_000_000), (UP, 2_000_000_000)]


def test_an_idle_link_owes_nothing_to_the_past():
    env = simpy.Environment()
    one = link(env)
    env.run(until=one.send(1000, UP))
    env.run(until=10_000_000_000)
    env.run(until=one.send(1000, UP))
    assert env.now == 11_500_000_000


def test_bytes_are_counted_before_whoever_waits_for_them_goes_on():
    env = simpy.Environment()
    one = link(env)
    seen = []

    def device():
        yield one.send(1000, DOWN)
        seen.append(one.traffic[DOWN].received)

    env.process(device())
    env.run()
    assert seen == [1000]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from(Direction), st.integers(0, 5_000))),
    st.integers(1, 5_000),
)
def test_sent_is_received_plus_lost_at_any_horizon(sends, horizon_ms):
    env = simpy.Environment()
    one = link(env)
    on_time = dict.fromkeys(Direction, 0)

    def device(at_ms, direction, n_bytes):
        yield env.timeout(at_ms * 1_000_000)
        yield one.send(n_bytes, direction)
        on_time[direction] += n_bytes

    for send in sends:
        env.process(device(*send))
    env.run(until=horizon_ms * 1_000_000)
    one.close()
    for direction in Direction:
        traffic = one.traffic[direction]
        assert traffic.sent == sum(n for at, d, n in sends if d is direction and at < horizon_ms)
        assert traffic.received == on_time[direction]
        assert traffic.sent == traffic.received + traffic.lost


@pytest.mark.parametrize("at_ms", [1499, 1500])
def test_what_arrives_at_the_horizon_itself_is_too_late(at_ms):
    env = simpy.Environment()
    one = link(env)
    one.send(1000, UP)
    env.run(until=at_ms * 1_000_000)
    one.close()
    assert (one.traffic[UP].received, one.traffic[UP].lost) == (0, 1000)
