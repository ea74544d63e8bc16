"""The cloud's queue: order, conservation, accounts."""

import math
from itertools import permutations

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from lifesim.fleet.clock import TEST, to_ns, wait
from lifesim.fleet.cloud import Cloud, queue_load
from lifesim.fleet.service import fixed_service, lognormal_service, work_service
from lifesim.streams import stream_key


def cloud(env, workers=1, service_ns=10, on_start=lambda job: None):
    return Cloud(env, workers, service_ns if callable(service_ns) else lambda job: service_ns, on_start)


def submit_at(env, c, at_ns, device, priority=TEST):
    wait(env, at_ns, priority).callbacks.append(lambda _: c.submit(device))


@pytest.mark.parametrize("devices", list(permutations([3, 1, 2, 0])))
@pytest.mark.parametrize("workers", [1, 2])
def test_requests_of_one_instant_are_served_in_the_order_of_devices(devices, workers):
    env = simpy.Environment()
    started = []
    c = cloud(env, workers, on_start=lambda job: started.append(job.device))
    for device in devices:
        submit_at(env, c, 5, device)
    env.run()
    assert started == [0, 1, 2, 3]


def test_a_request_is_collected_even_if_a_worker_is_freed_in_the_same_instant():
    """Device 7 has waited; 2 and 1 come at the very instant at which the worker is freed, before and after the event that frees it."""
    env = simpy.Environment()
    started = []
    c = cloud(env, on_start=lambda job: started.append((job.device, env.now)))
    submit_at(env, c, 10, 2)  # scheduled before the end of service, so runs before it among equals
    submit_at(env, c, 0, 9)
    submit_at(env, c, 10, 1)
    submit_at(env, c, 4, 7)
    env.run()
    assert started == [(9, 0), (7, 10), (1, 20), (2, 30)]


def test_first_come_first_served_whatever_the_device():
    env = simpy.Environment()
    started = []
    c = cloud(env, on_start=lambda job: started.append(job.device))
    for at, device in [(0, 5), (1, 9), (2, 0), (3, 4)]:
        submit_at(env, c, at, device)
    env.run()
    assert started == [5, 9, 0, 4]


def test_jobs_of_one_device_keep_their_order():
    env = simpy.Environment()
    c = cloud(env)
    jobs = [c.submit(4) for _ in range(3)]
    env.run()
    assert [(j.ordinal, j.waiting_ns) for j in jobs] == [(0, 0), (1, 10), (2, 20)]


def test_the_device_comes_before_how_often_it_has_called():
    env = simpy.Environment()
    started = []
    c = cloud(env, on_start=lambda job: started.append((job.device, job.ordinal)))
    submit_at(env, c, 0, 0)
    submit_at(env, c, 50, 1)
    submit_at(env, c, 50, 0)
    env.run()
    assert started == [(0, 0), (0, 1), (1, 0)]


def test_the_newest_map_may_be_attached_when_the_job_starts():
    """The service time is asked for after the hook, so that it can depend on what the hook attached."""
    env = simpy.Environment()

    def attach(job):
        job.payload = 100 + env.now

    c = cloud(env, service_ns=lambda job: job.payload, on_start=attach)
    jobs = [c.submit(0, payload=1), c.submit(1, payload=1)]
    env.run()
    assert [j.service_ns for j in jobs] == [100, 200]


def test_done_happens_when_the_worker_has_finished_and_carries_the_job():
    env = simpy.Environment()
    c = cloud(env, service_ns=10)
    finished = []

    def device(number):
        job = yield c.submit(number).done
        finished.append((job.device, env.now))

    for number in range(3):
        env.process(device(number))
    env.run()
    assert finished == [(0, 10), (1, 20), (2, 30)]


@settings(deadline=None)
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5))),
    workers=st.integers(1, 4),
    horizon_ns=st.integers(1, 120),
    data=st.data(),
)
def test_no_job_and_no_time_is_lost(arrivals, workers, horizon_ns, data):
    order = data.draw(st.permutations(arrivals))

    def run(arrivals):
        env = simpy.Environment()
        started = []
        c = cloud(
            env, workers, service_ns=lambda job: 5 + 3 * job.device + job.ordinal, on_start=started.append
        )
        for at, device in arrivals:
            submit_at(env, c, at, device)
        env.run(until=horizon_ns)
        return c, started

    c, started = run(arrivals)
    assert c.totals.submitted == sum(at < horizon_ns for at, _ in arrivals)
    assert c.totals.started == c.totals.finished + c.busy_workers == len(started)
    assert c.totals.waiting_ns == sum(j.waiting_ns for j in started)
    assert c.busy_ns == sum(min(j.service_ns, horizon_ns - j.started_ns) for j in started)
    assert c.totals.submitted == c.totals.started or c.busy_workers == workers, (
        "a worker idles while a job waits"
    )
    # Who is served when does not depend on the order in which SimPy was told of it.
    _, again = run(order)
    assert [(j.device, j.ordinal, j.started_ns) for j in again] == [
        (j.device, j.ordinal, j.started_ns) for j in started
    ]


# Service times


class Numbered:
    def __init__(self, device, ordinal=0, payload=None):
        self.device, self.ordinal, self.payload = device, ordinal, payload


def test_fixed_and_work():
    assert fixed_service(30.0)(Numbered(0)) == 30_000_000_000
    assert work_service(lambda job: job.payload, 0.02)(Numbered(0, payload=150)) == 3_000_000_000


def test_a_drawn_time_belongs_to_the_devices_nth_job():
    service = lognormal_service(30.0, 0.5, lambda job: stream_key(7, job.device))
    times = {(d, n): service(Numbered(d, n)) for d in range(3) for n in range(3)}
    assert len(set(times.values())) == 9
    again = lognormal_service(30.0, 0.5, lambda job: stream_key(7, job.device))
    assert all(again(Numbered(d, n)) == times[d, n] for d, n in reversed(times))
    assert lognormal_service(30.0, 0.5, lambda job: stream_key(8, job.device))(Numbered(0)) != times[0, 0]


def test_drawn_times_are_lognormal():
    service = lognormal_service(30.0, 0.5, lambda job: stream_key(7, job.device))
    logs = np.log([service(Numbered(d)) / 1e9 for d in range(4000)])
    assert abs(logs.mean() - math.log(30)) < 3 * 0.5 / math.sqrt(4000)
    assert abs(logs.std() - 0.5) < 3 * 0.5 / math.sqrt(8000)


# Load


def test_queue_load_by_hand():
    # 100 devices that call every 10 hours for 6 minutes each: 100 * 0.1 / (2 * 10.1).
    assert queue_load(100, 36_000, 360, 2) == pytest.approx(100 * 0.1 / (2 * 10.1))


def test_queue_load_of_one_device_is_below_one_however_often_it_calls():
    assert queue_load(1, 0.0, 360, 1) == 1.0
    assert queue_load(1, 360, 360, 1) == 0.5


def test_queue_load_is_the_busy_share_of_an_uncrowded_cloud():
    env = simpy.Environment()
    c = cloud(env, workers=3, service_ns=to_ns(100))

    def device(number):
        yield env.timeout(to_ns(7 * number))
        while True:
            yield env.timeout(to_ns(900))
            yield c.submit(number).done

    for number in range(3):
        env.process(device(number))
    env.run(until=to_ns(1_000_000))
    assert c.busy_ns / (3 * env.now) == pytest.approx(queue_load(3, 900, 100, 3), rel=2e-3)
