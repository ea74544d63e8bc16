"""Tests that overlook failures, and tests that alarm for nothing, against their closed forms.

A failure at any time of an interval tau is found by the first test after it that sees it; each does with probability p. So the mean delay is
tau / 2 + tau (1 - p) / p. A test that alarms for nothing with probability a sends for somebody every tau / a on average.
"""

import math
from bisect import bisect_left

import numpy as np
import pytest
from exponential import ExponentialTwin, live

from lifesim.detection.schedules import Finding, Opportunistic, Outcome, Periodic
from lifesim.streams import first_uniform, stream_key

TAU_NS = 1_000_000
READ_NS = 1_000


class ImperfectTwin(ExponentialTwin):
    """Fails once, at ``failure_ns``; a test sees it with ``coverage``, and alarms before with ``false_alarms``, each test by itself."""

    sees_ahead = False

    def __init__(self, key, failure_ns, coverage, false_alarms):
        super().__init__(key, 1.0)
        self.failure_ns, self.coverage, self.false_alarms = failure_ns, coverage, false_alarms

    def first_alarm(self, times_ns, least_score=0):
        for position, time_ns in enumerate(times_ns):
            failed = time_ns >= self.failure_ns
            if first_uniform(stream_key(self.key, time_ns)) < (
                self.coverage if failed else self.false_alarms
            ):
                return Finding(position, Outcome.ALARM, 1, 0, failed)
        return None


def alarms(twin, schedule, share, tests, stepped):
    """Return when the first reads of alarms of a device begin that lives for so many intervals."""
    record = live(
        twin, schedule, schedule.visit_times(share, READ_NS), tests * TAU_NS, stepped=stepped, read_ns=READ_NS,
        diagnosis_ns=10, programming_ns=10,
    )  # fmt: skip
    return np.array([e.time_ns - READ_NS for e in record.events if e.kind == "alarm"])


@pytest.mark.parametrize("stepped", [False, True], ids=["skip-ahead", "stepped"])
@pytest.mark.parametrize("coverage", [1.0, 0.6, 0.15])
def test_the_delay_of_detection_under_coverage(coverage, stepped):
    """400 devices that fail at any time of an interval: within 3 standard errors."""
    delays = []
    for device in range(400):
        key = stream_key("inspection", device)
        failure_ns = TAU_NS * 2 + round(first_uniform(stream_key(key, "failure")) * TAU_NS)
        share = first_uniform(stream_key(key, "phase"))
        twin = ImperfectTwin(key, failure_ns, coverage, 0.0)
        found = alarms(twin, Periodic(TAU_NS), share, math.ceil(25 / coverage), stepped)
        # A test is about the state at its end.
        delays.append(found[0] + READ_NS - failure_ns)
    expected = TAU_NS / 2 + TAU_NS * (1 - coverage) / coverage
    assert abs(np.mean(delays) - expected) < 3 * np.std(delays, ddof=1) / math.sqrt(len(delays))


@pytest.mark.parametrize("stepped", [False, True], ids=["skip-ahead", "stepped"])
@pytest.mark.parametrize("false_alarms", [0.3, 0.02])
def test_the_visits_that_false_alarms_cost(false_alarms, stepped):
    """40 devices without a fault, 1,000 tests each: one diagnosis every tau / a, within 3 standard errors."""
    tests, devices = 1000, 40
    counts = [
        len(
            alarms(
                ImperfectTwin(stream_key("false", i), 2**62, 1.0, false_alarms),
                Periodic(TAU_NS),
                0.5,
                tests,
                stepped,
            )
        )
        for i in range(devices)
    ]
    expected = tests * devices * false_alarms  # the horizon over tau / a
    assert abs(sum(counts) - expected) < 3 * math.sqrt(expected * (1 - false_alarms))


def test_tests_in_idle_time_wait_for_the_night():
    """Four idle hours a day, tests every 15 minutes of them, failures by day and night: the delay is the mean over both, within 3 standard errors.

    In the night half a step; else what is left of the day until the night, and half a step.
    """
    hour_ns, night = 3600 * 10**9, (0, 1, 2, 3)
    schedule = Opportunistic(6 * hour_ns // 4, 10**6, night)
    step_ns = schedule.interval_ns
    assert step_ns == hour_ns // 4
    delays = []
    for device in range(3000):
        key = stream_key("night", device)
        failure_ns = round((24 + 24 * first_uniform(stream_key(key, "failure"))) * hour_ns)
        times = schedule.visit_times(first_uniform(stream_key(key, "phase")), 0)
        first = times.first_at_or_after(0)
        starts = [times.start_ns(k) for k in range(first, first + 80)]
        delays.append(starts[bisect_left(starts, failure_ns)] - failure_ns)
    expected = step_ns / 2 + 20 / 24 * 10 * hour_ns
    assert abs(np.mean(delays) - expected) < 3 * np.std(delays, ddof=1) / math.sqrt(len(delays))
