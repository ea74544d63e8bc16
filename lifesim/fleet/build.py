"""From a scenario to what the simulation runs on: trained networks, costs, schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.detection.nullreads import Averaging
from lifesim.detection.reading import ReadNoise, Readout, TestRule
from lifesim.detection.schedules import PicturesRead, Schedule, VisitCosts
from lifesim.detection.testset import Calibration, TestDesign, TestSet, for_device, make_test_set
from lifesim.detection.visits import VisitTimes
from lifesim.fleet.calibration import least_score_to_act, least_score_to_climb
from lifesim.fleet.clock import to_ns
from lifesim.fleet.environment import temperature_range_c
from lifesim.fleet.hardware import (
    Hardware,
    OperationTable,
    inferences_asked,
    make_schedule,
    operation_table,
    visit_costs,
    visit_share,
)
from lifesim.fleet.keys import Draw
from lifesim.fleet.policy import Policy
from lifesim.fleet.redeployment import Agreement, Retraining
from lifesim.fleet.service import ServiceTime, fixed_service, lognormal_service, work_service
from lifesim.fleet.silicon import fitted
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import correct_in_part
from lifesim.network.model import Model
from lifesim.network.store import trained_model
from lifesim.physics.usage import Usage
from lifesim.recovery.agreed import agree
from lifesim.recovery.correlations import correlations_of
from lifesim.recovery.fitting import Fitting
from lifesim.recovery.importance import Importance, importance_of
from lifesim.recovery.retraining import RetrainingSettings
from lifesim.scenario.models import Group, Scenario
from lifesim.scenario.network import DataSource
from lifesim.timeunits import NS_PER_S, S_PER_YEAR


@dataclass(frozen=True, slots=True)
class Plan:
    """What all devices of a group share."""

    name: str
    group: Group
    model: Model
    hardware: Hardware
    design: TestDesign
    test_set: TestSet
    tests_know_devices: bool  # each device has a test set made for its own stuck cells
    operations: OperationTable
    schedule: Schedule
    spec_correct: int  # pictures of the spec set that the clean network gets right
    spec_pictures: int
    required_correct: int  # of them, to be in spec
    required_validation: int  # of the cloud's validation pictures, to be in spec
    policy: Policy
    fitting: Fitting | None = None  # how devices write what their cells can hold, if they do
    importance: Importance | None = None  # of the weights, where units may be placed anew
    agreement: Agreement | None = None  # with the cloud, on what retraining may move

    @property
    def costs(self) -> VisitCosts:
        return visit_costs(self.group, self.operations)

    @property
    def rule(self) -> Readout:
        """How the group's tests are judged; a calibrated rule is that of the devices as they are deployed."""
        return self.test_set.rule or _uncalibrated_rule(self.group)

    @property
    def noise(self) -> ReadNoise:
        return self.design.noise

    @property
    def layer_cells(self) -> tuple[int, ...]:
        return self.hardware.layer_cells

    @property
    def usage(self) -> Usage | None:
        return inferences_asked(self.group)

    def test_set_for(self, known: FaultMap, torch_device: str) -> TestSet:
        """Return the test set of a device that leaves the factory with these stuck cells."""
        if not known.count:
            return self.test_set
        written = fitted(self.model, known, fitting=self.fitting) if self.fitting else self.model
        held = apply_map(written.codes, known)
        return for_device(self.test_set, self.model, held, self.design, torch_device)

    def task(self, scenario: Scenario, torch_device: str) -> Callable[[Model, FaultMap], Retraining]:
        """Return the function that makes the cloud's task from a device's model and map."""
        retraining = scenario.cloud.retraining
        rate, fraction = retraining.rate_and_fraction(self.group.policy.retraining)
        straight_through = self.group.policy.retraining == "straight_through"
        settings = RetrainingSettings(
            retraining.steps, retraining.batch_size, rate, fraction, straight_through
        )

        def make(model: Model, fault_map: FaultMap) -> Retraining:
            return Retraining(
                model, fault_map, self.group.network.data, settings, self.design, self.required_validation,
                torch_device, self.fitting, self.importance, self.agreement,
                self.test_set.pictures if self.group.policy.test_pictures == "kept" else None,
                self.test_set if self.design.of_device else None,
            )  # fmt: skip

        return make


def make_plan(name: str, group: Group, scenario: Scenario, torch_device: str) -> Plan:
    """Train (or load) the group's network, make its test set, and work out what every operation costs."""
    model = trained_model(group.network)
    network = group.network
    hardware = Hardware.of(group)
    operations = operation_table(group, hardware)
    schedule = make_schedule(group, scenario)
    design = make_design(group, hardware, schedule, scenario)
    test_set = make_test_set(model, model.codes, network.data, design, torch_device)
    rule = test_set.rule or _uncalibrated_rule(group)
    correct, pictures = _clean(model, network.data, "spec", torch_device)
    validation, n_validation = _clean(model, network.data, "validation", torch_device)
    agreement = _agreement(group, model, hardware, scenario, torch_device)
    fitting = _fitting(group, model, agreement, torch_device)
    return Plan(
        name=name,
        group=group,
        model=model,
        hardware=hardware,
        design=design,
        test_set=test_set,
        tests_know_devices=design.of_device and isinstance(schedule, PicturesRead),
        operations=operations,
        schedule=schedule,
        spec_correct=correct,
        spec_pictures=pictures,
        required_correct=_required(correct, pictures, scenario.spec.tolerance),
        required_validation=_required(validation, n_validation, scenario.spec.tolerance),
        policy=_make_policy(
            group,
            least_score_to_act(group, model, hardware.encoding, test_set, rule, scenario.seed, torch_device),
            least_score_to_climb(
                group, model, hardware, test_set, rule, scenario.seed, torch_device, fitting
            ),
        ),
        fitting=fitting,
        importance=importance_of(model, network.data, torch_device)
        if "permutation" in group.policy.ladder
        else None,
        agreement=agreement,
    )


def _agreement(
    group: Group, model: Model, hardware: Hardware, scenario: Scenario, torch_device: str
) -> Agreement | None:
    kind = group.policy.retraining
    if kind != "nearest_code":
        return None
    _, fraction = scenario.cloud.retraining.rate_and_fraction(kind)
    return Agreement(model, agree(model, group.network.data, fraction, hardware.encoding, torch_device))


def _fitting(group: Group, model: Model, agreement: Agreement | None, torch_device: str) -> Fitting | None:
    if "nearest_code" not in group.policy.ladder:
        return None
    data, compensates = group.network.data, group.policy.compensation
    correlations = correlations_of(model, data, torch_device) if compensates else None
    return Fitting(correlations, agreement.weights.first if agreement else 0)


def make_design(group: Group, hardware: Hardware, schedule: Schedule, scenario: Scenario) -> TestDesign:
    """Return how the test sets of the group are made."""
    aet, technology = group.aet, group.technology
    noise = ReadNoise(technology.read_noise, technology.read_noise_correlation, technology.read_noise_kind)
    calibration = None
    if aet.criterion not in ("sdc1", "sdc3"):
        tests = None
        if aet.sequential == "cusum" and schedule.interval_ns is not None:
            tests = max(1, round(S_PER_YEAR * NS_PER_S / schedule.interval_ns))
        gain = 0.0
        if aet.temperature_aware:
            coldest_c, hottest_c = temperature_range_c(group.site, scenario.start)
            per_k = technology.temperature_coefficient_per_k * technology.reference_tracking_residue
            gain = per_k * (hottest_c - coldest_c)
        calibration = Calibration(
            aet.criterion,
            Averaging(aet.reads, aet.baseline_reads, noise.correlation),
            aet.rereads,
            aet.false_alarm_rate,
            tests,
            gain,
            aet.noise == "device",
        )
    return TestDesign(
        aet.pictures, group.network.fgsm_epsilon, aet.selection, noise, calibration, hardware.encoding,
        aet.baseline == "known",
    )  # fmt: skip


def _uncalibrated_rule(group: Group) -> TestRule:
    aet = group.aet
    return TestRule(aet.criterion, aet.pictures, aet.vote, aet.rereads, aet.baseline_reads)


def make_service_time(scenario: Scenario) -> ServiceTime:
    """Return how long the cloud's jobs take, whose payload is the device's desk."""
    service = scenario.cloud.service
    match service.kind:
        case "fixed":
            return fixed_service(service.time_s)
        case "lognormal":
            return lognormal_service(service.median_s, service.sigma_ln, lambda job: job.payload.service_key)
        case "work":
            return work_service(scenario.cloud.retraining.steps, service.step_time_s)


def _make_policy(group: Group, act_from: int, climb_from: int | None) -> Policy:
    policy, call_from, quiet_s = group.policy, 1, 0.0
    match policy.call.kind:
        case "every_n":
            call_from = policy.call.faults
        case "debounced":
            quiet_s = policy.call.quiet_s
    return Policy(
        offline_while_waiting=policy.while_waiting == "offline",
        retire_after=policy.retire_after,
        replace_after_ns=_ns_unless_none(policy.replace_after_s),
        call_from=call_from,
        quiet_ns=to_ns(quiet_s),
        retry_after_ns=_ns_unless_none(policy.retry_after_s),
        act_from_score=act_from,
        climb_from_score=climb_from,
        places="permutation" in policy.ladder,
        changes_only=policy.redeploy == "changed",
        refresh=group.diagnosis.refresh,
    )


def _ns_unless_none(seconds: float | None) -> int | None:
    return None if seconds is None else to_ns(seconds)


def make_grid(plan: Plan, draw: Draw, slot: int) -> VisitTimes | None:
    """Return when a device's visits are."""
    visit_ns = plan.schedule.visit_cost(plan.costs).latency_ns
    return plan.schedule.visit_times(visit_share(draw, plan.name, slot), visit_ns)


def _clean(model: Model, source: DataSource, part: str, torch_device: str) -> tuple[int, int]:
    """Return how many pictures of the part the network without faults gets right, and how many there are."""
    (correct,) = correct_in_part(model, [model.codes], source, part, torch_device)
    return int(correct), len(load_dataset(source).split[part])


def _required(correct: int, pictures: int, tolerance: float) -> int:
    # In spec: accuracy >= clean accuracy - tolerance. Rounded first, so that 1 % of 1,000 pictures is 10 of them and not 10.000000001.
    return int(np.ceil(round(correct - tolerance * pictures, 6)))
