"""How long a link takes for what a retraining sends, in closed form: without queues, on average over loss, damage and outages."""

from __future__ import annotations

import math

from lifesim.scenario.cloud import RetrainingKind
from lifesim.scenario.link import Backhaul, Link
from lifesim.timeunits import S_PER_YEAR

_BYTES_PER_TRAINED_WEIGHT = {"mask": 3.0, "straight_through": 3.0, "nearest_code": 0.5}
"""Of a delta, about: position and difference, compressed; a step of four bits of a weight that was agreed on."""


def redeployment_bytes(
    trained_weights: float, retraining: RetrainingKind, pictures: int, picture_bytes: int
) -> int:
    """Return about how long a redeployment is: changed weights, and test pictures as if they could not be compressed."""
    return math.ceil(trained_weights * _BYTES_PER_TRAINED_WEIGHT[retraining]) + pictures * picture_bytes


def mean_downlink_s(link: Link, line: Backhaul | None, n_bytes: int) -> float:
    """Return the mean time for a message to arrive whole, on a line that nobody else uses.

    Frames are sent 1 / (1 - loss) times and messages 1 / (1 - truncation) times on average; silence and outages stretch the time.
    """
    frames = -(-n_bytes // link.frame_bytes)
    on_air = (n_bytes + frames * link.frame_overhead_bytes) / (1 - link.frame_loss)
    rate_bps = link.downlink_bps * link.downlink_duty_cycle * n_bytes / on_air
    if line is not None:
        rate_bps = min(rate_bps, line.downlink_bps)
    down_share = link.outages_per_year * link.outage_mean_s / S_PER_YEAR  # for the time that it is up
    return (8 * n_bytes / rate_bps * (1 + down_share) + link.latency_s) / (1 - link.truncation)
