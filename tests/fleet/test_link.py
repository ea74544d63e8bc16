"""One device's link: exact times, one transfer after the other, bytes conserved; frames, silence, outages, messages cut short."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.fleet.backhaul import Backhaul
from lifesim.fleet.framing import Framing
from lifesim.fleet.link import Direction, Link
from lifesim.fleet.outages import Outages
from lifesim.timeunits import NS_PER_S

UP, DOWN = Direction


def link(env=None, uplink_bps=8_000, downlink_bps=16_000, latency_s=0.5, **options):
    return Link(env or simpy.Environment(), uplink_bps, downlink_bps, latency_s, **options)


def time_of(n_bytes, direction=UP, **options):
    """Return when ``n_bytes`` that are sent at 0 arrive, in ns."""
    env = simpy.Environment()
    env.run(until=link(env, **options).send(n_bytes, direction))
    return env.now


def test_a_transfer_takes_the_latency_and_the_bits_over_the_rate():
    assert time_of(1000, UP) == 1_500_000_000
    assert time_of(1000, DOWN) == 1_000_000_000
    assert time_of(0, UP) == 500_000_000


def test_a_part_of_a_nanosecond_counts_as_one():
    assert time_of(1, uplink_bps=3e9, latency_s=0) == 3  # 8 bits at 3 bits per ns


@settings(deadline=None)
@given(st.integers(0, 10**9), st.floats(1, 1e9))
def test_rounding_up_never_adds_a_nanosecond_too_many(n_bytes, rate_bps):
    exact = Fraction(8 * n_bytes * 10**9) / Fraction(rate_bps)
    assert 0 <= time_of(n_bytes, uplink_bps=rate_bps, latency_s=0) - exact < 1


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
    st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from(Direction), st.integers(1, 5_000))),
    st.integers(1, 5_000),
    st.sampled_from([0.0, 0.4]),
    st.booleans(),
)
def test_sent_is_received_plus_lost_at_any_horizon(sends, horizon_ms, truncation, shared):
    env = simpy.Environment()
    backhaul = {d: Backhaul(env, 10_000) for d in Direction} if shared else None
    one = link(env, truncation=truncation, backhaul=backhaul, outages=Outages(1, 2e7, 0.3))
    on_time, on_air = dict.fromkeys(Direction, 0), dict.fromkeys(Direction, 0)

    def device(at_ms, direction, n_bytes):
        yield env.timeout(at_ms * 1_000_000)
        delivery = yield one.send(n_bytes, direction)
        on_time[direction] += n_bytes if delivery.n_bytes == n_bytes else 0
        on_air[direction] += delivery.on_air

    for send in sends:
        env.process(device(*send))
    env.run(until=horizon_ms * 1_000_000)
    one.close()
    for direction in Direction:
        traffic = one.traffic[direction]
        assert traffic.sent == sum(n for at, d, n in sends if d is direction and at < horizon_ms)
        assert traffic.received == on_time[direction] and traffic.on_air == on_air[direction]
        assert traffic.sent == traffic.received + traffic.lost


@pytest.mark.parametrize("at_ms", [1499, 1500])
def test_what_arrives_at_the_horizon_itself_is_too_late(at_ms):
    env = simpy.Environment()
    one = link(env)
    one.send(1000, UP)
    env.run(until=at_ms * 1_000_000)
    one.close()
    assert (one.traffic[UP].received, one.traffic[UP].lost) == (0, 1000)


# Frames


@given(st.integers(1, 100_000), st.integers(1, 3_000), st.integers(0, 50))
def test_frames_without_loss_carry_the_message_and_their_overhead(n_bytes, payload, overhead):
    on_air = Framing(payload, overhead).on_air(n_bytes, key=1)
    assert on_air.frames == -(-n_bytes // payload)
    assert on_air.n_bytes == n_bytes + on_air.frames * overhead
    assert on_air.last_bytes == n_bytes - (on_air.frames - 1) * payload + overhead


def test_lost_frames_are_sent_again_as_often_as_geometric_attempts_say():
    """Attempts: n / (1 - p) on average with variance n p / (1 - p)^2, and the bytes in proportion: frames 3 full, 1 of 10 bytes."""
    loss, messages = 0.4, 12_000
    framing = Framing(100, 20, loss)
    sent = [framing.on_air(310, key) for key in range(messages)]
    attempts = np.array([s.frames for s in sent])
    assert attempts.min() == 4
    error = np.sqrt(4 * loss / (1 - loss) ** 2 / messages)
    assert error < 0.01 * 4 / (1 - loss)
    assert abs(attempts.mean() - 4 / (1 - loss)) < 3 * error
    assert attempts.var() == pytest.approx(4 * loss / (1 - loss) ** 2, rel=0.08)
    n_bytes = np.array([s.n_bytes for s in sent])
    mean, variance = (
        (3 * 120 + 30) / (1 - loss),
        (3 * 120**2 + 30**2) * loss / (1 - loss) ** 2,
    )
    assert abs(n_bytes.mean() - mean) < 3 * np.sqrt(variance / messages)


def test_retransmissions_take_time_on_the_link():
    framing = Framing(100, 20, 0.4)
    env = simpy.Environment()
    one = link(env, latency_s=0, framing=framing, key=5)
    delivery = env.run(until=one.send(310, UP))
    assert delivery.n_bytes == 310 and delivery.on_air >= 390
    assert env.now == delivery.on_air * 1_000_000  # 1 ms a byte
    assert one.traffic[UP].on_air == delivery.on_air and one.traffic[UP].sent == 310


def test_what_is_lost_belongs_to_the_devices_nth_message_of_a_direction():
    def on_air(key, *sends):
        env = simpy.Environment()
        one = link(env, framing=Framing(10, 0, 0.5), key=key)
        return [env.run(until=one.send(1000, d)).on_air for d in sends]

    up_1, up_2, down_1 = on_air(7, UP, UP, DOWN)
    assert on_air(7, UP, DOWN, UP) == [up_1, down_1, up_2]
    assert len({up_1, up_2, down_1, *on_air(8, UP)}) == 4


# Duty cycle


def test_after_sending_for_t_the_device_is_silent_for_t_over_duty_minus_t():
    env = simpy.Environment()
    one = link(env, latency_s=0, framing=Framing(100, 0), duty_cycle={UP: 0.01})
    first, second = one.send(250, UP), one.send(100, UP)
    arrivals = [(env.run(until=e), env.now)[1] for e in (first, second)]
    # Frames of 0.1, 0.1 and 0.05 s; 9.9 s of silence after each of the first two, 4.95 s after the third.
    assert arrivals == [20_050_000_000, 25_100_000_000]


@pytest.mark.parametrize("duty", [1.0, 0.1, 0.01])
def test_a_busy_direction_sends_for_its_share_of_time(duty):
    env = simpy.Environment()
    one = link(env, latency_s=0, framing=Framing(50, 10), duty_cycle={DOWN: duty})
    for _ in range(100):
        last = one.send(50, DOWN)
    env.run(until=last)
    assert one.traffic[DOWN].on_air * 500_000 / env.now == pytest.approx(duty, rel=0.011)


# Outages


class Planned(Outages):
    """Outages at stated times, in seconds."""

    def __init__(self, *spans):
        super().__init__()
        self._spans = [(round(a * NS_PER_S), round(b * NS_PER_S)) for a, b in spans]

    def next(self, time_ns):
        return next((span for span in self._spans if span[1] > time_ns), None)


SHARED = pytest.mark.parametrize("shared", [False, True])


def wide(env, shared):
    return {d: Backhaul(env, 1e9) for d in Direction} if shared else None


@SHARED
@pytest.mark.parametrize(
    ("spans", "arrival_s"),
    [
        ([], 1.5),
        ([(5, 6)], 1.5),
        ([(0.4, 10)], 11.1),
        ([(0, 10)], 11.5),
        ([(0.4, 2), (2.3, 7), (7.5, 8)], 7.8),
        ([(1.0, 100)], 1.5),  # the last byte has left: the latency passes
        ([(1.2, 100)], 1.5),
    ],
)
def test_a_transfer_pauses_while_the_link_is_down(shared, spans, arrival_s):
    env = simpy.Environment()
    one = link(env, outages=Planned(*spans), backhaul=wide(env, shared))
    env.run(until=one.send(1000, UP))
    assert env.now == round(arrival_s * NS_PER_S)


@SHARED
def test_the_next_transfer_waits_for_the_one_that_pauses(shared):
    env = simpy.Environment()
    one = link(env, outages=Planned((0.5, 20)), backhaul=wide(env, shared))
    arrivals = []
    for _ in range(2):
        one.send(1000, UP).callbacks.append(lambda _: arrivals.append(env.now / NS_PER_S))
    env.run()
    assert arrivals == [21.0, 22.0]


# Messages cut short


def test_messages_are_cut_short_as_often_as_told_and_anywhere():
    env = simpy.Environment()
    one = link(env, truncation=0.3, key=3)
    sizes = np.array([env.run(until=one.send(1000, UP)).n_bytes for _ in range(2000)])
    cut = sizes[sizes < 1000]
    assert abs(len(cut) - 600) < 3 * np.sqrt(2000 * 0.3 * 0.7)
    assert cut.min() >= 0 and abs(cut.mean() - 499.5) < 3 * 1000 / np.sqrt(12 * len(cut))
    assert one.traffic[UP].messages == 2000 and one.traffic[UP].on_air == 2_000_000


# A shared way


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=4), st.integers(2, 10**6))
def test_a_backhaul_wider_than_the_link_changes_nothing(sizes, key):
    times = []
    for shared in (False, True):
        env = simpy.Environment()
        one = link(
            env, framing=Framing(100, 7, 0.3), duty_cycle={UP: 0.3}, outages=Outages(key, 3e6, 2.0), key=key,
            backhaul=wide(env, shared),
        )  # fmt: skip
        events = [one.send(n, UP) for n in sizes]
        times.append([(env.run(until=e), env.now)[1] for e in events])
    assert times[0] == times[1] and all(a < b for a, b in pairwise(times[0]))
