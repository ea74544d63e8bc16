"""Time on the link in closed form, against the simulated link."""

import math

import numpy as np
import pytest
import simpy

from lifesim.fleet.airtime import mean_downlink_s, redeployment_bytes
from lifesim.fleet.clock import to_s
from lifesim.fleet.connections import make_link
from lifesim.fleet.link import Direction
from lifesim.scenario.link import Backhaul, Link


def link(**changes):
    return Link.model_validate({"uplink_bps": 8000, "downlink_bps": 8000, "latency_s": 1, **changes})


def test_by_hand():
    assert mean_downlink_s(link(), None, 3000) == 4.0
    assert mean_downlink_s(link(frame_bytes=100, frame_overhead_bytes=20), None, 3000) == pytest.approx(4.6)
    assert mean_downlink_s(link(downlink_duty_cycle=0.1), None, 3000) == pytest.approx(31)
    line = Backhaul.model_validate({"uplink_bps": 1, "downlink_bps": 4000})
    assert mean_downlink_s(link(), line, 3000) == 7.0
    assert redeployment_bytes(1000 * 0.05, "mask", 4, 64) == 50 * 3 + 4 * 64
    assert redeployment_bytes(51, "nearest_code", 4, 64) == 26 + 4 * 64


def test_it_is_the_mean_of_the_simulated_link():
    n_bytes = 500_000
    table = link(
        frame_bytes=100, frame_overhead_bytes=20, frame_loss=0.3, downlink_duty_cycle=0.5, outages_per_year=1e5, outage_mean_s=80,
        latency_s=0,
    )  # fmt: skip
    times_s = []
    for key in range(600):
        env = simpy.Environment()
        one = make_link(env, table, key, None)
        env.run(until=one.send(n_bytes, Direction.DOWN))
        times_s.append(to_s(env.now))
    error = np.std(times_s, ddof=1) / math.sqrt(len(times_s))
    expected = mean_downlink_s(table, None, n_bytes)
    assert error < 0.01 * expected
    # The silence after the last frame is in the formula and delays only the next message.
    assert abs(np.mean(times_s) - expected) < 3 * error + 0.12 * (1 + 1e5 * 80 / 31_536_000)
