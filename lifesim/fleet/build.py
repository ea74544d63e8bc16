"""From a scenario to what the simulation runs on: trained networks, costs, schedules, silicon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.ageing import Bank, Retention, Wear
from lifesim.crossbar.cost import Cost, OperationCosts, inference_cost, march_cost, programming_cost, readback_cost
from lifesim.crossbar.march import MARCH_C_MINUS
from lifesim.detection.reading import ReadNoise, TestRule
from lifesim.detection.schedules import BlindRefresh, MarchScrub, Never, Periodic, Readback, Schedule, VisitCosts
from lifesim.errors import UserError
from lifesim.fleet.clock import NS_PER_S, to_ns
from lifesim.fleet.device import DeviceCosts, Policy
from lifesim.fleet.records import Grid
from lifesim.fleet.redeployment import Retraining, TestSet, make_test_set, validation_correct
from lifesim.fleet.service import ServiceTime, fixed_service, lognormal_service, work_service
from lifesim.fleet.twin import Silicon
from lifesim.network.architecture import Architecture, load_architecture
from lifesim.network.datasets import load_dataset
from lifesim.network.evaluate import Evaluator
from lifesim.network.model import Model
from lifesim.network.store import trained_model
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import EquivalentTime, S_PER_DAY, TemperatureProfile, equivalent_time
from lifesim.recovery.retraining import RetrainingSettings
from lifesim.scenario.models import Group, Scenario
from lifesim.scenario.presets import load_preset
from lifesim.streams import generator, stream_key, uniforms

OPERATION_COSTS = "isaac-slc"
REPLICATION = 0
GENERATION = 0  # of the device in a slot; a replacement would be the next


@dataclass(frozen=True, slots=True)
class OperationTable:
    """The cost of everything that a device of a group does to itself, once."""

    aet_read: Cost  # one read of all test pictures
    readback: Cost
    march: Cost
    programming: Cost  # of the whole array
    reload: tuple[Cost, ...]  # of each layer


@dataclass(frozen=True, slots=True)
class Plan:
    """What all devices of a group share."""

    name: str
    group: Group
    model: Model
    test_set: TestSet
    fgsm_epsilon: float
    operations: OperationTable
    schedule: Schedule
    spec_correct: int  # pictures of the spec set that the clean network gets right
    spec_pictures: int
    required_correct: int  # of them, to be in spec
    required_validation: int  # of the cloud's validation pictures, to be in spec

    @property
    def costs(self) -> DeviceCosts:
        operations = self.operations
        visit = VisitCosts(operations.aet_read, operations.readback, self.group.aet.baseline_reads)
        return DeviceCosts(visit, operations.march, operations.programming)

    @property
    def policy(self) -> Policy:
        return Policy(self.group.policy.while_waiting == "offline", self.group.policy.retire_after)

    @property
    def rule(self) -> TestRule:
        aet = self.group.aet
        return TestRule(aet.criterion, aet.pictures, aet.vote, aet.rereads, aet.baseline_reads)

    @property
    def noise(self) -> ReadNoise:
        return ReadNoise(self.group.technology.read_noise, self.group.technology.read_noise_correlation)

    @property
    def layer_cells(self) -> tuple[int, ...]:
        return layer_cells(self.model.architecture)

    def task(self, scenario: Scenario, torch_device: str) -> Callable:
        """Return the function that makes the cloud's task from a device's model and map."""
        retraining = scenario.cloud.retraining
        settings = RetrainingSettings(
            retraining.steps, retraining.batch_size, retraining.learning_rate, retraining.trainable_fraction
        )

        def make(model: Model, fault_map) -> Retraining:
            return Retraining(
                model, fault_map, self.group.network.dataset, settings, self.group.aet.pictures, self.fgsm_epsilon,
                self.required_validation, torch_device,
            )  # fmt: skip

        return make


def make_plan(name: str, group: Group, scenario: Scenario, torch_device: str) -> Plan:
    """Train (or load) the group's network, make its test set, and work out what every operation costs.

    Raises UserError where a visit would last longer than the interval between visits.
    """
    model = trained_model(group.network.preset, group.network.dataset, group.network.seed)
    epsilon = load_preset("network", group.network.preset).values["fgsm_epsilon"]
    operations = operation_table(model.architecture, group.aet.pictures)
    schedule = make_schedule(group)
    visit_ns = schedule.visit_ns(VisitCosts(operations.aet_read, operations.readback, group.aet.baseline_reads))
    if schedule.interval_ns is not None and visit_ns >= schedule.interval_ns:
        raise UserError(
            f"group.{name}.schedule.interval_s: {schedule.interval_ns / NS_PER_S:g} s is not longer than one visit of "
            f"{group.schedule.kind}, {visit_ns / NS_PER_S:g} s"
        )
    pictures, labels = load_dataset(group.network.dataset).part("spec")
    correct = int(Evaluator.of(model, torch_device).correct([model.codes], pictures, labels)[0])
    validation = validation_correct(model, model.codes, group.network.dataset, torch_device)
    n_validation = len(load_dataset(group.network.dataset).part("validation")[1])
    return Plan(
        name=name,
        group=group,
        model=model,
        test_set=make_test_set(
            model, model.codes, group.network.dataset, group.aet.pictures, epsilon, torch_device
        ),
        fgsm_epsilon=epsilon,
        operations=operations,
        schedule=schedule,
        spec_correct=correct,
        spec_pictures=len(labels),
        required_correct=_required(correct, len(labels), scenario.spec.tolerance),
        required_validation=_required(validation, n_validation, scenario.spec.tolerance),
    )


def operation_table(architecture: Architecture, test_pictures: int) -> OperationTable:
    """Return what the operations cost on the crossbars that the network fills."""
    costs, layers = OperationCosts.preset(OPERATION_COSTS), architecture.crossbar_layers
    return OperationTable(
        aet_read=inference_cost(costs, layers, test_pictures),
        readback=readback_cost(costs, layers),
        march=march_cost(costs, layers, MARCH_C_MINUS),
        programming=programming_cost(costs, layers),
        reload=tuple(programming_cost(costs, [layer]) for layer in layers),
    )


def make_schedule(group: Group) -> Schedule:
    """Return the schedule that the scenario names."""
    settings = group.schedule
    match settings.kind:
        case "never":
            return Never()
        case "periodic":
            return Periodic(to_ns(settings.interval_s))
        case "readback":
            return Readback(to_ns(settings.interval_s), settings.alarm_cells)
        case "march_scrub":
            return MarchScrub(to_ns(settings.interval_s))
        case "blind_refresh":
            return BlindRefresh(to_ns(settings.interval_s))


def make_service_time(scenario: Scenario) -> ServiceTime:
    """Return how long the cloud's jobs take."""
    service = scenario.cloud.service
    match service.kind:
        case "fixed":
            return fixed_service(service.time_s)
        case "lognormal":
            return lognormal_service(service.median_s, service.sigma_ln, scenario.seed, REPLICATION)
        case "work":
            return work_service(lambda job: scenario.cloud.retraining.steps, service.step_time_s)


def make_grid(plan: Plan, seed: int, slot: int) -> Grid | None:
    """Return a device's grid of visits; the phase is the device's own, the same share of any interval."""
    interval_ns = plan.schedule.interval_ns
    if interval_ns is None:
        return None
    share = uniforms(device_key(seed, plan.name, slot, "phase"), np.zeros(1))[0]
    return Grid(int(share * interval_ns), interval_ns, plan.schedule.visit_ns(plan.costs.visit))


def make_silicon(group: Group, architecture: Architecture, scenario: Scenario, name: str, slot: int) -> Silicon:
    """Return the banks of one device, with its own place in the device-to-device spread."""
    technology = group.technology
    spread = generator(device_key(scenario.seed, name, slot, "spread")).standard_normal(2)
    endurance = technology.endurance_scale_cycles * np.exp(technology.endurance_spread_sigma_ln * spread[0])
    median_s = technology.retention_median_s * np.exp(technology.retention_spread_sigma_ln * spread[1])
    wear = Wear(Weibull(float(endurance), technology.endurance_shape), technology.wear_stuck_at_1_share)
    retention = Retention(
        Lognormal(float(median_s), technology.retention_sigma_ln),
        technology.retention_cell_share,
        int(technology.retention_fails_to == "lrs"),
        ageing_clock(group, scenario),
    )
    banks = []
    for layer, cells in zip(architecture.crossbar_layers, layer_cells(architecture), strict=True):
        reloads = group.workload.reloads_per_day.get(layer.name, 0)
        key = device_key(scenario.seed, name, slot, "bank", layer.name)
        banks.append(Bank(key, cells, wear, retention, reload_period_ns(reloads)))
    return Silicon(tuple(banks))


def ageing_clock(group: Group, scenario: Scenario) -> EquivalentTime:
    """Return the time at the reference temperature that passes at the group's site."""
    site, technology = group.site, group.technology
    profile = TemperatureProfile(
        site.mean_c,
        site.season_amplitude_c,
        site.day_amplitude_c,
        site.self_heating_c,
        site.hottest_day_of_year - 1,  # the scenario counts days from 1, the clock from 0
        site.hottest_hour,
        scenario.start.timetuple().tm_yday - 1,
    )
    return equivalent_time(profile, technology.retention_reference_c, technology.activation_energy_ev)


def reload_period_ns(reloads_per_day: float) -> int | None:
    """Return the time between reloads; None for a resident layer."""
    return round(S_PER_DAY * NS_PER_S / reloads_per_day) if reloads_per_day else None


def layer_cells(architecture: Architecture) -> tuple[int, ...]:
    """Return how many cells each crossbar layer occupies."""
    per_weight = OperationCosts.preset(OPERATION_COSTS).cells_per_weight
    return tuple(layer.weights * per_weight for layer in architecture.crossbar_layers)


def device_key(seed: int, group: str, slot: int, *purpose: str) -> int:
    """Return the key of a stream of one device: the same silicon whatever the schedule, the policy, or other groups."""
    return stream_key(seed, REPLICATION, group, slot, GENERATION, *purpose)


def _required(correct: int, pictures: int, tolerance: float) -> int:
    # In spec: accuracy >= clean accuracy - tolerance. Rounded first, so that 1 % of 1,000 pictures is 10 of them and not 10.000000001.
    return int(np.ceil(round(correct - tolerance * pictures, 6)))

