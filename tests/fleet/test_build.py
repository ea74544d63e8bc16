"""From a scenario to plans: what is required, what it costs, when visits begin, how long jobs take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import simpy

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.fleet.build import Plan, _required, make_grid, make_plan, make_service_time
from lifesim.fleet.cloud import Job
from lifesim.fleet.keys import Draw
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator
from lifesim.recovery.compensation import compensated
from lifesim.recovery.correlations import correlations_of
from lifesim.scenario.load import load_scenario
from lifesim.scenario.models import Scenario
from lifesim.streams import stream_key

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.toml"
PINNED = [
    "group.cameras.count=2",
    "group.cameras.aet={pictures=16}",
    "group.cameras.schedule={kind='periodic', interval_s='7 d'}",
    "spec.tolerance=0.01",
]


def quickstart(*overrides: str) -> Scenario:
    return load_scenario(QUICKSTART, [*PINNED, *overrides])


def plan_of(scenario: Scenario) -> Plan:
    return make_plan("cameras", scenario.group["cameras"], scenario, "cpu")


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return quickstart()


@pytest.fixture(scope="module")
def plan(scenario: Scenario) -> Plan:
    return plan_of(scenario)


@pytest.mark.parametrize(
    ("correct", "pictures", "tolerance", "required"),
    [
        (958, 1000, 0.01, 948), (958, 1000, 0.0, 958), (958, 1000, 1.0, -42),
        (958, 1000, 0.0101, 948), (958, 1000, 0.0099, 949),
        (471, 500, 0.01, 466), (471, 500, 0.011, 466), (100, 300, 0.07, 79),
    ],
)  # fmt: skip
def test_required_is_the_least_number_within_the_tolerance(
    correct: int, pictures: int, tolerance: float, required: int
) -> None:
    assert _required(correct, pictures, tolerance) == required


def test_spec_and_validation_are_judged_on_their_own_pictures(plan: Plan) -> None:
    for part, pictures_expected in (("spec", 1000), ("validation", 500)):
        pictures, labels = load_dataset("mnist5k").part(part)
        assert len(labels) == pictures_expected
        correct = int(Evaluator.of(plan.model).correct([plan.model.codes], pictures, labels)[0])
        required = {"spec": plan.required_correct, "validation": plan.required_validation}[part]
        assert required == correct - pictures_expected // 100
    assert (plan.spec_pictures, plan.spec_correct - plan.required_correct) == (1000, 10)


def test_settings_reach_where_they_act() -> None:
    plan = plan_of(
        quickstart(
            "group.cameras.aet={criterion='sdc1', pictures=7, vote=2, rereads=3, baseline_reads=5}",
            "group.cameras.policy={while_waiting='offline', retire_after=6}",
            "group.cameras.technology.read_noise=0.02",
            "group.cameras.technology.read_noise_correlation=0.25",
        )
    )
    rule = plan.rule
    assert (rule.criterion, rule.pictures, rule.vote, rule.rereads, rule.baseline_reads) == (
        "sdc1",
        7,
        2,
        3,
        5,
    )
    assert (plan.policy.offline_while_waiting, plan.policy.retire_after) == (True, 6)
    assert (plan.noise.sigma, plan.noise.correlation) == (0.02, 0.25)
    assert plan.costs.baseline_reads == 5
    assert len(plan.test_set.pictures) == 7
    one_picture = plan_of(
        quickstart("group.cameras.aet.pictures=1", "group.cameras.aet.vote=1")
    ).operations.aet_read
    assert plan.operations.aet_read.latency_ns == pytest.approx(7 * one_picture.latency_ns, abs=7)


def test_a_task_is_what_the_scenario_says_of_retraining() -> None:
    scenario = quickstart(
        "cloud.retraining={steps=7, batch_size=9, learning_rate=0.25, trainable_fraction=0.5}"
    )
    plan = plan_of(scenario)
    task = plan.task(scenario, "cpu")(plan.model, FaultMap.empty(3))
    s = task.settings
    assert (s.steps, s.batch_size, s.learning_rate, s.trainable_fraction) == (7, 9, 0.25, 0.5)
    assert (task.model, task.design.pictures, task.required_correct) == (
        plan.model,
        16,
        plan.required_validation,
    )


def test_a_device_s_phase_is_the_same_share_of_any_interval(plan: Plan) -> None:
    weekly, daily = plan, plan_of(quickstart("group.cameras.schedule.interval_s=1 d"))
    for slot in range(5):
        a, b = make_grid(weekly, Draw(1), slot), make_grid(daily, Draw(1), slot)
        assert 0 <= a.phase_ns < a.interval_ns == 7 * b.interval_ns
        assert a.phase_ns == pytest.approx(7 * b.phase_ns, abs=7)
        assert a.visit_ns == plan.operations.aet_read.latency_ns
    phases = [make_grid(weekly, Draw(1), slot).phase_ns / weekly.schedule.interval_ns for slot in range(500)]
    assert abs(np.mean(phases) - 0.5) < 3 * np.sqrt(1 / 12 / 500)  # 3 standard errors of uniform phases
    assert make_grid(weekly, Draw(2), 0) != make_grid(weekly, Draw(1), 0)
    assert make_grid(plan_of(quickstart("group.cameras.schedule={kind='never'}")), Draw(1), 0) is None


def job(device: int = 0, ordinal: int = 0) -> Job:
    desk = SimpleNamespace(service_key=stream_key("service of", device))
    return Job(device, ordinal, 0, desk, simpy.Environment().event())


def test_service_times() -> None:
    fixed = make_service_time(quickstart("cloud.service={kind='fixed', time_s='90 s'}"))
    assert fixed(job()) == 90 * 10**9
    work = make_service_time(
        quickstart("cloud.service={kind='work', step_time_s='0.5 s'}", "cloud.retraining.steps=40")
    )
    assert work(job()) == 20 * 10**9
    drawn = make_service_time(quickstart("cloud.service={kind='lognormal', median_s='30 s', sigma_ln=0.5}"))
    times_s = np.array([drawn(job(device, ordinal)) / 1e9 for device in range(50) for ordinal in range(20)])
    assert drawn(job(7, 3)) == drawn(job(7, 3)) != drawn(job(7, 4))
    assert abs(np.log(times_s / 30).mean()) < 3 * 0.5 / np.sqrt(1000)
    assert abs(np.log(times_s / 30).std() - 0.5) < 3 * 0.5 / np.sqrt(2000)


@pytest.mark.parametrize("kind", ["weight", "cell_adc"])
def test_devices_read_with_the_noise_of_their_technology(kind: str) -> None:
    scenario = quickstart(
        "group.cameras.technology.read_noise=0.001", f"group.cameras.technology.read_noise_kind={kind}"
    )
    noise = plan_of(scenario).noise
    assert (noise.sigma, noise.kind) == (0.001, kind)


BEST = ("group.cameras.policy_set='best'", "group.cameras.aet.pictures=4")


def test_what_the_best_policies_test_with_reaches_where_it_acts() -> None:
    plan = plan_of(quickstart(*BEST))
    assert plan.design.known_baseline and plan.design.calibration.of_device and plan.tests_know_devices
    assert plan.test_set.known_rule.averaging.baseline_reads == 0
    assert plan.test_set.known_rule.threshold < plan.test_set.rule.threshold
    never = plan_of(quickstart(*BEST, "group.cameras.schedule={kind='never'}"))
    assert not never.tests_know_devices


def test_a_device_leaves_the_factory_with_a_test_set_for_its_stuck_cells(plan: Plan, random_damage) -> None:
    """Under the best policies other cells make up for what the nearest codes leave, and that is what the pictures should show."""
    best = plan_of(quickstart(*BEST))
    none = FaultMap.empty(len(best.model.codes))
    assert best.test_set_for(none, "cpu") is best.test_set and not plan.tests_know_devices
    known = random_damage(best.model, 1e-3, 1)
    own = best.test_set_for(known, "cpu")
    written = compensated(best.model.codes, known, correlations_of(best.model, best.group.network.data))
    held = apply_map(written, known)
    shown = Evaluator.of(best.model).logits([held], best.test_set.pictures)[0]
    assert np.array_equal(own.golden, shown) and not np.array_equal(own.golden, best.test_set.golden)
    assert own.pictures is best.test_set.pictures, "devices of a group are looked into together"
    assert own.rule.threshold == best.test_set.rule.threshold
    assert own.rule.statistic.encode() != best.test_set.rule.statistic.encode()
