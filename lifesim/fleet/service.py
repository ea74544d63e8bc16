"""How long a worker of the cloud takes for a job: fixed, drawn, or counted as work. Never the wall clock."""

from __future__ import annotations

import math
from collections.abc import Callable

from lifesim.fleet.clock import to_ns
from lifesim.fleet.cloud import Job
from lifesim.streams import generator, stream_key

ServiceTime = Callable[[Job], int]


def fixed_service(service_s: float) -> ServiceTime:
    """Every job takes ``service_s`` seconds."""
    service_ns = to_ns(service_s)
    return lambda job: service_ns


def lognormal_service(median_s: float, sigma: float, key_of: Callable[[Job], int]) -> ServiceTime:
    """A job takes median_s * exp(sigma * z), z drawn from the stream (``key_of`` the job's device, ordinal).

    So a device's n-th job takes as long whenever it is sent, and whatever the others send.
    """

    def service_ns(job: Job) -> int:
        z = generator(stream_key(key_of(job), job.ordinal)).standard_normal()
        return to_ns(median_s * math.exp(sigma * z))

    return service_ns


def work_service(steps: int, step_s: float) -> ServiceTime:
    """A job takes ``step_s`` seconds for each of its training steps: every job as long."""
    return fixed_service(steps * step_s)
