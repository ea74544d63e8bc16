"""Transfers on a shared line against M/G/1 processor sharing: the mean time depends on the mean size alone.

E[time] = E[size] / (capacity (1 - rho)), whatever the distribution of sizes (Kleinrock, Time-shared systems, J. ACM 14, 1967).
"""

import math

import numpy as np
import pytest
import simpy

from lifesim.fleet.backhaul import Backhaul
from lifesim.streams import generator, stream_key

LOAD = 0.4
MEAN_BYTES = 100_000  # 1 ms at the line's rate
CAPACITY_BPS = 8e8
MEAN_NS = 1_000_000
BATCHES = 30
WARM_UP = 500


def constant(rng, count):
    return np.full(count, MEAN_BYTES)


def exponential(rng, count):
    return rng.exponential(MEAN_BYTES, count)


def two_sizes(rng, count):
    """One in ten is 5.5 times as long as the mean, the others half of it: squared coefficient of variation 2.25."""
    return np.where(rng.random(count) < 0.1, 5.5, 0.5) * MEAN_BYTES


@pytest.mark.parametrize(
    ("sizes", "count"), [(constant, 30_000), (exponential, 100_000), (two_sizes, 100_000)]
)
def test_mean_time_is_that_of_processor_sharing_whatever_the_sizes(sizes, count):
    rng = generator(stream_key(23, sizes.__name__))
    n_bytes = np.maximum(1, np.rint(sizes(rng, count))).astype(int)
    gaps_ns = np.rint(rng.exponential(MEAN_NS / LOAD, count)).astype(int)
    env = simpy.Environment()
    line = Backhaul(env, CAPACITY_BPS)
    times_ns = np.zeros(count)

    def arrive(number, size):
        begin_ns = env.now

        def done(_):
            times_ns[number] = env.now - begin_ns

        line.join(size, 1000).done.callbacks.append(done)  # on a link that is far wider than the line

    def fleet():
        for number, (gap_ns, size) in enumerate(zip(gaps_ns.tolist(), n_bytes.tolist(), strict=True)):
            yield env.timeout(gap_ns)
            arrive(number, size)

    env.process(fleet())
    env.run()
    assert line.under_way == 0
    steady = times_ns[WARM_UP:] / MEAN_NS
    means = steady[: len(steady) // BATCHES * BATCHES].reshape(BATCHES, -1).mean(axis=1)
    exact, standard_error = 1 / (1 - LOAD), means.std(ddof=1) / math.sqrt(BATCHES)
    assert standard_error < 0.01 * exact
    assert abs(means.mean() - exact) < 3 * standard_error
