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
    ],
)
def test_mean_wait_in_the_cloud_is_the_queues(services, theory, workers, load, jobs):
    exact = theory(load, workers)
    key = (11, services.__name__, workers)
    mean, standard_error = simulated_wait(load, workers, services(jobs, *key), *key)
    assert standard_error < 0.01 * exact
    assert abs(mean - exact) < 3 * standard_error


# Machine repair: the devices of a fleet, c workers, jobs that expire


def machine_repair(machines, workers, failures, patience):
    """Stationary law of the number broken in M/M/c//N, with service rate 1, whose jobs leave the queue after ``patience``.

    A. Movaghar, On queueing with customer impatience until the beginning of service (Queueing Systems 29, 1998): with n - c waiting,
    p_n is proportional to the product of the arrival rates times the integral of H(x)^(n-c) / (n-c)! exp(-c x) dx over x > 0, where
    H(x) = min(x, patience) is the integral of P(patience > u) up to x.
    """
    weights = [1.0]
    for n in range(1, workers):
        weights.append(weights[-1] * (machines - n + 1) * failures / n)
    arrivals = weights[-1]
    for waiting in range(machines - workers + 1):
        n = workers + waiting
        arrivals *= (machines - n + 1) * failures
        weights.append(arrivals * _integral(waiting, workers, patience))
    law = np.array(weights)
    return law / law.sum()


def _integral(k, workers, patience):
    """Integral of min(x, patience)^k / k! exp(-workers x) over x > 0."""
    until = stats.gamma.cdf(patience, k + 1, scale=1 / workers) / workers ** (k + 1)
    beyond = patience**k / math.factorial(k) * math.exp(-workers * patience) / workers
    return until + beyond


def test_machine_repair_with_endless_patience_is_the_birth_death_chain():
    machines, workers, failures = 7, 2, 0.4
    law = machine_repair(machines, workers, failures, 1e6)
    chain = [1.0]
    for n in range(1, machines + 1):
        chain.append(chain[-1] * (machines - n + 1) * failures / min(n, workers))
    assert law == pytest.approx(np.array(chain) / sum(chain), rel=1e-9)
    # No patience at all: Engset's loss system.
    engset = [math.comb(machines, n) * failures**n for n in range(workers + 1)]
    assert machine_repair(machines, workers, failures, 1e-9)[: workers + 1] == pytest.approx(
        np.array(engset) / sum(engset), rel=1e-6
    )


def test_machine_repair_with_exponential_patience_agrees_with_its_chain():
    """The formula, with H(x) = (1 - exp(-theta x)) / theta, against the chain whose waiting jobs each leave at rate theta."""
    machines, workers, failures, theta = 5, 2, 0.7, 0.3
    chain = [1.0]
    for n in range(1, machines + 1):
        leaving = min(n, workers) + max(n - workers, 0) * theta
        chain.append(chain[-1] * (machines - n + 1) * failures / leaving)
    x = np.linspace(0, 60, 600_001)
    for n in range(workers + 1, machines + 1):
        k = n - workers
        h = (1 - np.exp(-theta * x)) / theta
        integral = np.trapezoid(h**k / math.factorial(k) * np.exp(-workers * x), x)
        arrivals = math.prod((machines - j) * failures for j in range(workers - 1, n))
        assert chain[n] / chain[workers - 1] == pytest.approx(arrivals * integral, rel=1e-6)


@pytest.mark.parametrize(
    ("machines", "workers", "failures", "patience", "services"),
    [(6, 1, 0.5, 0.8, 2_500), (10, 3, 0.6, 0.4, 900)],
)
def test_devices_whose_jobs_expire_are_a_machine_repair_model(
    machines, workers, failures, patience, services
):
    """Times in units of the mean service time; each batch lasts ``services`` of them."""
    env = simpy.Environment()
    rng = generator(stream_key(17, machines))
    cloud = Cloud(
        env,
        workers,
        lambda job: round(rng.exponential(SERVICE_NS)),
        lambda job: None,
        expires_after_ns=round(patience * SERVICE_NS),
    )
    outcomes = []

    def device(number):
        while True:
            yield env.timeout(round(rng.exponential(SERVICE_NS / failures)))
            job = yield cloud.submit(number).done
            outcomes.append(job.expired)

    for number in range(machines):
        env.process(device(number))
    busy = []
    for batch in range(BATCHES + 1):  # the first warms up
        before_ns = cloud.busy_ns
        env.run(until=(batch + 1) * services * SERVICE_NS)
        busy.append((cloud.busy_ns - before_ns) / (workers * SERVICE_NS * services))
        if not batch:
            outcomes.clear()
    law = machine_repair(machines, workers, failures, patience)
    serving = np.minimum(np.arange(machines + 1), workers)
    calls = (machines - np.arange(machines + 1)) * failures
    exact_busy, exact_expired = law @ serving / workers, 1 - law @ serving / (law @ calls)
    expired = np.array(outcomes[: len(outcomes) // BATCHES * BATCHES]).reshape(BATCHES, -1).mean(axis=1)
    for sample, exact in ((np.array(busy[1:]), exact_busy), (expired, exact_expired)):
        standard_error = sample.std(ddof=1) / math.sqrt(BATCHES)
        assert standard_error < 0.01 * exact
        assert abs(sample.mean() - exact) < 3 * standard_error
