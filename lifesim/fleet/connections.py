"""From a scenario's tables to the cloud, the shared lines and the links of a simulation."""

from __future__ import annotations

from concurrent.futures import Executor

import simpy

from lifesim.fleet.backhaul import Backhaul
from lifesim.fleet.build import make_service_time
from lifesim.fleet.clock import to_ns
from lifesim.fleet.framing import Framing
from lifesim.fleet.keys import cloud_key, draw_of
from lifesim.fleet.link import Direction, Link
from lifesim.fleet.outages import Outages
from lifesim.fleet.retraining_service import RetrainingService
from lifesim.scenario import link as tables
from lifesim.scenario.models import Scenario
from lifesim.streams import stream_key

Line = dict[Direction, Backhaul]


def make_service(env: simpy.Environment, scenario: Scenario, executor: Executor) -> RetrainingService:
    """Return the cloud, which serves nobody yet."""
    cloud = scenario.cloud
    outages = Outages(
        cloud_key(draw_of(scenario), "cloud outages"), cloud.outages_per_year, cloud.outage_mean_s
    )
    return RetrainingService(
        env,
        cloud.workers,
        make_service_time(scenario),
        executor,
        order=cloud.order,
        # A time limit beyond the horizon need not be watched.
        expires_after_ns=to_ns(cloud.expires_after_s) if cloud.expires_after_s < scenario.horizon_s else None,
        outages=outages,
    )


def make_backhauls(env: simpy.Environment, scenario: Scenario) -> dict[str, Line]:
    """Return the lines that links share, by name."""
    return {
        name: {
            Direction.UP: Backhaul(env, line.uplink_bps),
            Direction.DOWN: Backhaul(env, line.downlink_bps),
        }
        for name, line in scenario.backhaul.items()
    }


def make_link(env: simpy.Environment, table: tables.Link, key: int, line: Line | None) -> Link:
    """Return one device's link; ``key`` is of the device's own streams."""
    return Link(
        env,
        table.uplink_bps,
        table.downlink_bps,
        table.latency_s,
        framing=Framing(table.frame_bytes, table.frame_overhead_bytes, table.frame_loss),
        duty_cycle={Direction.UP: table.uplink_duty_cycle, Direction.DOWN: table.downlink_duty_cycle},
        outages=Outages(stream_key(key, "outages"), table.outages_per_year, table.outage_mean_s),
        truncation=table.truncation,
        backhaul=line,
        key=key,
    )
