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
from lifesim.fleet.outages import Outages
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
    busy = c.totals.started - c.totals.finished
    assert c.totals.started == len(started) and 0 <= busy <= workers
    assert c.totals.waiting_ns == sum(j.waiting_ns for j in started)
    assert c.busy_ns == sum(min(j.service_ns, horizon_ns - j.started_ns) for j in started)
    assert c.totals.submitted == c.totals.started or busy == workers, "a worker idles while a job waits"
    # Who is served when does not depend on the order in which SimPy was told of it.
    _, again = run(order)
    assert [(j.device, j.ordinal, j.started_ns) for j in again] == [
        (j.device, j.ordinal, j.started_ns) for j in started
    ]


# Worst first


@pytest.mark.parametrize("order", list(permutations([(1, 5), (2, 9), (0, 5), (3, 0)])))
def test_the_worst_are_served_first_and_equals_in_the_order_of_devices(order):
    env = simpy.Environment()
    started = []
    c = Cloud(env, 1, lambda job: 10, lambda job: started.append(job.device), order="worst_first")
    for device, score in order:
        wait(env, 3, TEST).callbacks.append(lambda _, d=device, s=score: c.submit(d, score=s))
    env.run()
    assert started == [2, 0, 1, 3]


def test_a_score_may_change_while_the_job_waits():
    env = simpy.Environment()
    started = []
    c = Cloud(env, 1, lambda job: 10, lambda job: started.append((job.device, env.now)), order="worst_first")
    c.submit(0, score=100)
    b, d, e = (c.submit(device, score=score) for device, score in ((1, 5), (2, 6), (3, 7)))
    env.run(until=5)
    for score in (50, 1, 50):  # ends where it has been before
        c.rescore(b, score)
    c.rescore(e, 2)
    env.run(until=25)
    c.rescore(b, 0)  # has started
    env.run()
    assert started == [(0, 0), (1, 10), (2, 20), (3, 30)]
    assert d.waiting_ns == 20 and c.totals.started == c.totals.finished == 4


def test_first_come_first_served_whatever_the_score():
    env = simpy.Environment()
    c = cloud(env)
    jobs = [c.submit(device, score=device) for device in range(3)]
    c.rescore(jobs[1], 100)
    env.run()
    assert [job.started_ns for job in jobs] == [0, 10, 20]


# Jobs that expire


def test_a_job_that_no_worker_takes_up_in_time_leaves_the_queue():
    env = simpy.Environment()
    c = Cloud(env, 1, lambda job: 10, lambda job: None, expires_after_ns=15)
    jobs = [c.submit(device) for device in range(4)]
    ends = {}
    for job in jobs:
        job.done.callbacks.append(lambda event: ends.update({event.value.device: env.now}))
    env.run()
    assert [(job.started_ns, job.expired) for job in jobs] == [
        (0, False),
        (10, False),
        (None, True),
        (None, True),
    ]
    assert ends == {0: 10, 1: 20, 2: 15, 3: 15}
    assert (c.totals.submitted, c.totals.started, c.totals.expired, c.totals.finished) == (4, 2, 2, 2)


def test_a_worker_who_is_free_at_the_last_instant_comes_too_late():
    env = simpy.Environment()
    c = Cloud(env, 1, lambda job: 10, lambda job: None, expires_after_ns=10)
    first, second = c.submit(0), c.submit(1)
    env.run()
    assert not first.expired and second.expired and c.totals.started == 1


# Outages of the cloud


class Planned(Outages):
    def __init__(self, *spans):
        super().__init__()
        self._spans = spans

    def next(self, time_ns):
        return next((span for span in self._spans if span[1] > time_ns), None)


def test_in_an_outage_no_job_starts_and_those_in_progress_pause():
    env = simpy.Environment()
    c = Cloud(env, 2, lambda job: 10, lambda job: None, outages=Planned((5, 100), (102, 103)))
    jobs = [c.submit(0)]
    for at, device in ((20, 1), (30, 2), (103, 3)):
        wait(env, at, TEST).callbacks.append(lambda _, d=device: jobs.append(c.submit(d)))
    ends = {}

    def end(event):
        ends[event.value.device] = env.now

    jobs[0].done.callbacks.append(end)
    env.run(until=104)
    for job in jobs[1:]:
        job.done.callbacks.append(end)
    env.run()
    # 0 works 0-5, 100-102, 103-106; 1 has the free worker when the cloud is back; 2 follows 0 and 3 follows 1.
    assert [job.started_ns for job in jobs] == [0, 100, 106, 111]
    assert ends == {0: 106, 1: 111, 2: 116, 3: 121}
    assert c.busy_ns == 106 + 11 + 10 + 10


def test_jobs_expire_in_an_outage_too():
    env = simpy.Environment()
    c = Cloud(
        env, 1, lambda job: 1, lambda job: None, expires_after_ns=50, outages=Planned((0, 50), (60, 70))
    )
    first = c.submit(0)
    env.run(until=20)
    second = c.submit(1)
    env.run()
    assert first.expired and second.started_ns == 50


# Service times


class Numbered:
    def __init__(self, device, ordinal=0):
        self.device, self.ordinal = device, ordinal


def test_fixed_and_work():
    assert fixed_service(30.0)(Numbered(0)) == 30_000_000_000
    assert work_service(150, 0.02)(Numbered(0)) == 3_000_000_000


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
