"""From a scenario to hardware: what a group's crossbars cost to operate and how one device's cells age. No network is run here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.bank import Bank, Wear
from lifesim.crossbar.cost import (
    Cost,
    OperationCosts,
    cell_count,
    inference_cost,
    march_cost,
    programming_cost,
    readback_cost,
)
from lifesim.crossbar.march import MARCH_C_MINUS
from lifesim.crossbar.soft import Retention
from lifesim.detection.schedules import BlindRefresh, MarchScrub, Never, Periodic, Readback, Schedule
from lifesim.errors import UserError
from lifesim.fleet.clock import NS_PER_S, to_ns, to_s
from lifesim.fleet.silicon import Silicon
from lifesim.network.architecture import Architecture, load_architecture
from lifesim.physics.distributions import Lognormal, Weibull
from lifesim.physics.temperature import S_PER_DAY, EquivalentTime, CosineProfile, equivalent_time
from lifesim.physics.usage import HOURS_PER_DAY, Usage, usage
from lifesim.scenario.models import Group, Scenario
from lifesim.streams import generator, stream_key

OPERATION_COSTS = "isaac_slc"
REPLICATION = 0
GENERATION = 0  # of the device in a slot; a replacement would be the next


@dataclass(frozen=True, slots=True)
class OperationTable:
    """The cost of everything that a device of a group does to itself, once."""

    inference: Cost  # one picture
    aet_read: Cost  # one read of all test pictures
    readback: Cost
    march: Cost
    programming: Cost  # of the whole array
    reload: tuple[Cost, ...]  # of each layer


def operation_table(architecture: Architecture, test_pictures: int) -> OperationTable:
    """Return what the operations cost on the crossbars that the network fills."""
    costs, layers = OperationCosts.preset(OPERATION_COSTS), architecture.crossbar_layers
    return OperationTable(
        inference=inference_cost(costs, layers, 1),
        aet_read=inference_cost(costs, layers, test_pictures),
        readback=readback_cost(costs, layers),
        march=march_cost(costs, layers, MARCH_C_MINUS),
        programming=programming_cost(costs, layers),
        reload=tuple(programming_cost(costs, [layer]) for layer in layers),
    )


def layer_cells(architecture: Architecture) -> tuple[int, ...]:
    """Return how many cells each crossbar layer occupies."""
    costs = OperationCosts.preset(OPERATION_COSTS)
    return tuple(cell_count(costs, [layer]) for layer in architecture.crossbar_layers)


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


def check_timing(scenario: Scenario) -> None:
    """Raise UserError, a line for each, where visits or reloads would take longer than the time between them."""
    mistakes = []
    for name, group in scenario.group.items():
        architecture = load_architecture(group.network)
        operations = operation_table(architecture, group.aet.pictures)
        visit_s = {
            "periodic": (1 + group.aet.rereads) * to_s(operations.aet_read.latency_ns),
            "readback": to_s(operations.readback.latency_ns),
            "march_scrub": to_s(operations.march.latency_ns + operations.programming.latency_ns),
            "blind_refresh": to_s(operations.programming.latency_ns),
        }.get(group.schedule.kind)
        if visit_s is not None and visit_s >= group.schedule.interval_s:
            mistakes.append(
                f"{scenario.name}: group.{name}.schedule.interval_s = {group.schedule.interval_s:g}: must be longer than a visit of "
                f"{group.schedule.kind}, which takes {visit_s:.3g} s on {group.network.name}"
            )
        for layer, cost in zip(architecture.crossbar_layers, operations.reload, strict=True):
            reloads = group.workload.reloads_per_day.get(layer.name, 0)
            if reloads * to_s(cost.latency_ns) >= S_PER_DAY:
                most = S_PER_DAY / to_s(cost.latency_ns)
                mistakes.append(
                    f"{scenario.name}: group.{name}.workload.reloads_per_day.{layer.name} = {reloads:g}: a reload takes "
                    f"{to_s(cost.latency_ns):.3g} s; allowed: below {most:.0f}"
                )
    if mistakes:
        raise UserError("\n".join(mistakes))


def make_silicon(
    group: Group, architecture: Architecture, scenario: Scenario, name: str, slot: int
) -> Silicon:
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
        banks.append(Bank(key, cells, wear, (retention,), reload_period_ns(reloads)))
    return Silicon.of_layers(banks)


def ageing_clock(group: Group, scenario: Scenario) -> EquivalentTime:
    """Return the time at the reference temperature that passes at the group's site."""
    site, technology = group.site, group.technology
    profile = CosineProfile(
        site.mean_c,
        site.season_amplitude_c,
        site.day_amplitude_c,
        site.self_heating_c,
        site.hottest_day_of_year - 1,  # the scenario counts days from 1, the clock from 0
        site.hottest_hour,
        scenario.start.timetuple().tm_yday - 1,
    )
    return equivalent_time(profile, technology.retention_reference_c, technology.activation_energy_ev)


def inferences_asked(group: Group) -> Usage | None:
    """Return the count of inferences that each device of the group is asked for; None for a workload without."""
    workload = group.workload
    if not workload.inferences_per_hour:
        return None
    return usage(workload.inferences_per_hour, workload.daily_shape or (1.0,) * HOURS_PER_DAY)


def reload_period_ns(reloads_per_day: float) -> int | None:
    """Return the time between reloads; None for a resident layer."""
    return round(S_PER_DAY * NS_PER_S / reloads_per_day) if reloads_per_day else None


def device_key(seed: int, group: str, slot: int, *purpose: str) -> int:
    """Return the key of a stream of one device: the same silicon whatever the schedule, the policy, or other groups."""
    return stream_key(seed, REPLICATION, group, slot, GENERATION, *purpose)
