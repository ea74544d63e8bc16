"""Mean waits in the cloud's queue against queueing theory: Poisson arrivals, c workers.

One long run from an empty cloud, cut into batches; the standard error is that of the batch means. Each case has as many jobs as
bring it under 1 % of the value, and the simulated mean must lie within 3 standard errors of the exact one.
"""

import math

import numpy as np
import pytest
import simpy
from scipy import stats

from lifesim.fleet.cloud import Cloud
from lifesim.streams import generator, stream_key

SERVICE_NS = 1_000_000
BATCHES = 40
WARM_UP = 2_000  # jobs


def mmc_wait(load, workers):
    """Mean wait in M/M/c in units of the mean service time: Erlang C over (c - a), a = c * load (Erlang 1917)."""
    a = workers * load
    last = a**workers / math.factorial(workers) / (1 - load)
    delayed = last / (sum(a**k / math.factorial(k) for k in range(workers)) + last)
    return delayed / (workers - a)


def mdc_wait(load, workers, states=200):
    """Mean wait in M/D/c in units of the service time (Crommelin 1932; Tijms, A First Course in Stochastic Models, 9.6.2).

    Who is in service at t has left at t + D and nobody else has, so the number present follows n -> max(n - c, 0) + Poisson(a);
    its stationary law gives the mean queue, and Little's law the wait. The number of states leaves out less than 1e-12.
    """
    a = workers * load
    arrivals = stats.poisson.pmf(np.arange(states), a)
    step = np.zeros((states, states))
    for n in range(states):
        left = max(n - workers, 0)
        step[n, left:] = arrivals[: states - left]
    equations = np.vstack([step.T - np.eye(states), np.ones(states)])
    law = np.linalg.lstsq(equations, np.append(np.zeros(states), 1.0), rcond=None)[0]
    return float(np.maximum(np.arange(states) - workers, 0) @ law) / a


def simulated_wait(load, workers, services_ns, *key):
    """Return the mean wait and its standard error in units of the mean service time; one job for each of ``services_ns``."""
    jobs = len(services_ns)
    gaps_ns = np.rint(
        generator(stream_key(*key, "arrivals")).exponential(SERVICE_NS / (workers * load), jobs)
    ).astype(np.int64)
    env = simpy.Environment()
    waits_ns = []
    services = iter(services_ns.tolist())
    cloud = Cloud(env, workers, lambda job: next(services), lambda job: waits_ns.append(job.waiting_ns))

    def fleet():
        for device, gap_ns in enumerate(gaps_ns.tolist()):
            yield env.timeout(gap_ns)
            cloud.submit(device)

    env.process(fleet())
    env.run()
    assert cloud.totals.finished == jobs
    steady = np.array(waits_ns[WARM_UP:]) / SERVICE_NS
    means = steady[: len(steady) // BATCHES * BATCHES].reshape(BATCHES, -1).mean(axis=1)
    return means.mean(), means.std(ddof=1) / math.sqrt(BATCHES)


def exponential(jobs, *key):
    return np.rint(generator(stream_key(*key, "services")).exponential(SERVICE_NS, jobs)).astype(np.int64)


def constant(jobs, *key):
    return np.full(jobs, SERVICE_NS)


def test_the_theory_agrees_with_itself():
    assert mmc_wait(0.6, 1) == pytest.approx(0.6 / 0.4)
    for load in (0.3, 0.6, 0.8):  # Pollaczek-Khinchine: half of M/M/1
        assert mdc_wait(load, 1) == pytest.approx(mmc_wait(load, 1) / 2, rel=1e-6)
    assert mmc_wait(0.5, 2) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("services", "theory", "workers", "load", "jobs"),
    [
        pytest.param(exponential, mmc_wait, 1, 0.5, 400_000, id="M/M/1"),
        pytest.param(exponential, mmc_wait, 2, 0.6, 850_000, id="M/M/2"),
        pytest.param(constant, mdc_wait, 1, 0.6, 300_000, id="M/D/1"),
        pytest.param(constant, mdc_wait, 2, 0.6, 400_000, id="M/D/2"),
        pytest.param(constant, mdc_wait, 3, 0.6, 550_000, id="M/D/3"),
    ],
)
def test_mean_wait_in_the_cloud_is_the_queues(services, theory, workers, load, jobs):
    exact = theory(load, workers)
    key = (11, services.__name__, workers)
    mean, standard_error = simulated_wait(load, workers, services(jobs, *key), *key)
    assert standard_error < 0.01 * exact
    assert abs(mean - exact) < 3 * standard_error
