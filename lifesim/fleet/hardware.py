"""From a scenario to hardware: what a group's crossbars cost to operate and how one device's cells age. No network is run here."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from lifesim.crossbar.bank import Bank, populations_of
from lifesim.crossbar.cost import (
    Cost,
    OperationCosts,
    cell_count,
    cell_pulses_cost,
    check_cost,
    inference_cost,
    march_cost,
    programming_cost,
    pulses_cost,
    readback_cost,
    retest_cost,
    rewrite_cost,
)
from lifesim.crossbar.diagnosis import Diagnosis
from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.layerdrift import LayerDrift
from lifesim.crossbar.march import MARCH_TESTS, all_levels, extreme_levels
from lifesim.crossbar.monitor import Monitor
from lifesim.detection.schedules import (
    Adaptive,
    BlindRefresh,
    Hazard,
    MarchScrub,
    Never,
    Opportunistic,
    Oracle,
    Periodic,
    Readback,
    ReloadVerify,
    Schedule,
    Sentinel,
    VisitCosts,
)
from lifesim.detection.schedules.custom import make_custom
from lifesim.detection.schedules.opportunistic import idlest_hours
from lifesim.detection.visits import VisitTimes
from lifesim.errors import UserError
from lifesim.fleet.cells import (
    OPERATION_COSTS,
    BankPlan,
    Factors,
    Layout,
    disturbs,
    encoding_of,
    endurance_of,
    factory_defects,
    layer_drift,
    line_defects,
    make_layout,
    retention,
    wear_of,
    write_verify_of,
)
from lifesim.fleet.clock import to_ns, to_s
from lifesim.fleet.environment import make_environment
from lifesim.fleet.keys import Draw, device_key, draw_of
from lifesim.fleet.silicon import Silicon, Warming
from lifesim.network.architecture import Architecture, load_architecture
from lifesim.physics.disturb import pulses_per_inference
from lifesim.physics.fates import Populations
from lifesim.physics.usage import Usage, usage
from lifesim.scenario.models import Group, Scenario
from lifesim.streams import first_uniform, generator
from lifesim.timeunits import NS_PER_S, S_PER_DAY

ASSUMED_ONES_SHARE = 0.1  # of a layer's input bits that are one, for a network that does not state it


@dataclass(frozen=True, slots=True)
class Hardware:
    """The crossbars that all devices of a group have: how weights lie in cells, where layers lie, what a pulse or a read costs."""

    architecture: Architecture
    encoding: Encoding
    layout: Layout
    costs: OperationCosts

    @classmethod
    def of(cls, group: Group) -> Hardware:
        """Return a group's hardware."""
        architecture, encoding = load_architecture(group.network), encoding_of(group.technology)
        for key, problem in group.unknown_layers([layer.name for layer in architecture.crossbar_layers]):
            raise UserError(f"{'.'.join(key)}: {problem}")  # a module's layers are known only now
        costs = OperationCosts.preset(OPERATION_COSTS)
        return cls(
            architecture,
            encoding,
            make_layout(
                architecture.crossbar_layers,
                encoding,
                group.workload.reloads_per_day,
                list(group.workload.banks.values()),
            ),
            costs.of_cells(encoding.bits_per_cell, write_verify_of(group.technology).pulses_per_cell),
        )

    @property
    def layer_cells(self) -> tuple[int, ...]:
        """How many cells each crossbar layer occupies."""
        return tuple(cell_count(self.costs, [layer]) for layer in self.architecture.crossbar_layers)


@dataclass(frozen=True, slots=True)
class OperationTable:
    """The cost of everything that a device of a group does to itself, once."""

    inference: Cost  # one picture
    aet_read: Cost  # one read of all test pictures
    readback: Cost
    check: Cost  # of the sums of all crossbars
    diagnosis: Cost  # a March test or a read-only one
    again: Cost  # of each cell that a diagnosis tries again
    programming: Cost  # of all layers, with the expected number of pulses
    pulse: Cost  # of such a programming
    cell_pulse: Cost  # of a cell that is written alone
    reload: tuple[Cost, ...]  # of each bank, by one of the layers that pass through it


def operation_table(group: Group, hardware: Hardware) -> OperationTable:
    """Return what the operations cost on a group's crossbars, which its network fills."""
    costs, layers = hardware.costs, hardware.architecture.crossbar_layers
    readback, diagnosis = readback_cost(costs, layers), make_diagnosis(group, hardware)
    return OperationTable(
        inference=inference_cost(costs, layers, 1),
        aet_read=inference_cost(costs, layers, group.aet.pictures),
        readback=readback,
        check=check_cost(costs, layers),
        diagnosis=readback if diagnosis.read_only else march_cost(costs, layers, diagnosis.test),
        again=rewrite_cost(costs) if diagnosis.read_only else retest_cost(costs, diagnosis.test),
        programming=programming_cost(costs, layers),
        pulse=pulses_cost(costs, 1),
        cell_pulse=cell_pulses_cost(costs, 1),
        reload=tuple(
            pulses_cost(costs, bank.n_cells * Fraction(costs.verify_pulses)) for bank in hardware.layout.banks
        ),
    )


def visit_costs(group: Group, operations: OperationTable) -> VisitCosts:
    """Return what the group's schedule is told of costs."""
    return VisitCosts(
        operations.aet_read,
        operations.readback,
        operations.diagnosis,
        operations.programming,
        group.aet.baseline_reads,
        group.aet.rereads,
        operations.again,
        group.aet.reads,
        operations.check,
    )


def make_diagnosis(group: Group, hardware: Hardware) -> Diagnosis:
    """Return how the group's devices look for stuck cells."""
    settings = group.diagnosis
    levels = all_levels if settings.levels == "all" else extreme_levels
    test = levels(MARCH_TESTS[settings.test], hardware.encoding.top_level)
    return Diagnosis(test, settings.retries, settings.read_only)


def make_schedule(group: Group, scenario: Scenario) -> Schedule:
    """Return the schedule that the scenario names for a group."""
    settings = group.schedule
    match settings.kind:
        case "never":
            return Never()
        case "periodic":
            return Periodic(to_ns(settings.interval_s))
        case "readback":
            return Readback(to_ns(settings.interval_s), settings.alarm_cells)
        case "adaptive":
            return Adaptive(to_ns(settings.interval_s), to_ns(settings.longest_s))
        case "opportunistic":
            mean_ns, full_ns = to_ns(settings.interval_s), to_ns(settings.full_interval_s)
            hours = idlest_hours(group.workload.daily_shape, settings.idle_hours)
            return Opportunistic(mean_ns, max(1, round(full_ns / mean_ns)), hours)
        case "hazard":
            return Hazard(
                to_ns(settings.interval_s),
                settings.faults,
                to_ns(settings.longest_s),
                settings.test == "march",
            )
        case "sentinel":
            monitor = Monitor(settings.sums, settings.noise_levels, settings.tolerance_levels)
            return Sentinel(to_ns(settings.interval_s), monitor)
        case "reload_verify":
            return ReloadVerify(to_ns(settings.interval_s), settings.alarm_cells)
        case "oracle":
            return Oracle(to_ns(scenario.spec.resolution_s), to_ns(scenario.report_interval_s))
        case "custom":
            interval_ns = None if settings.interval_s is None else to_ns(settings.interval_s)
            return make_custom(getattr(settings, "class"), interval_ns, settings.options)
        case "march_scrub":
            return MarchScrub(to_ns(settings.interval_s), group.diagnosis.read_only)
        case "blind_refresh":
            return BlindRefresh(to_ns(settings.interval_s))


def check_timing(scenario: Scenario) -> None:
    """Raise UserError, a line for each, where visits or reloads would take longer than the time between them."""
    mistakes = []
    for name, group in scenario.group.items():
        hardware = Hardware.of(group)
        operations = operation_table(group, hardware)
        schedule = make_schedule(group, scenario)
        visit_ns = schedule.longest_visit_ns(visit_costs(group, operations))
        if schedule.interval_ns is not None and visit_ns >= schedule.interval_ns:
            given_s = getattr(group.schedule, "interval_s", None)
            key = "" if given_s is None else f".interval_s = {given_s:g}"
            leaves = (
                ""
                if given_s is not None and schedule.interval_ns == to_ns(given_s)
                else f"leaves {to_s(schedule.interval_ns):.3g} s between two visits, which "
            )
            mistakes.append(
                f"{scenario.name}: group.{name}.schedule{key}: {leaves}must be longer than a visit of "
                f"{group.schedule.kind}, which takes {to_s(visit_ns):.3g} s on {group.network.name}"
            )
        for bank, cost in zip(hardware.layout.banks, operations.reload, strict=True):
            reload_s = len(bank.layers) * to_s(cost.latency_ns)
            if bank.reloads_per_day * reload_s >= S_PER_DAY:
                layer = hardware.architecture.crossbar_layers[bank.layers[0]].name
                mistakes.append(
                    f"{scenario.name}: group.{name}.workload.reloads_per_day.{layer} = {bank.reloads_per_day:g}: a reload takes "
                    f"{reload_s:.3g} s; allowed: below {S_PER_DAY / reload_s:.0f}"
                )
    if mistakes:
        raise UserError("\n".join(mistakes))


def make_silicon(
    group: Group,
    hardware: Hardware,
    scenario: Scenario,
    name: str,
    slot: int,
    generation: int = 0,
    born_ns: int = 0,
    visits: VisitTimes | None = None,
) -> Silicon:
    """Return the cells of one device, with its own place in the device-to-device spread; its lines fail from ``born_ns`` on.

    ``visits``: when it reads itself, which disturbs; without them as its schedule says.
    """
    technology, plans = group.technology, hardware.layout.banks

    def key(*purpose: str) -> int:
        return device_key(draw_of(scenario), name, slot, *purpose, generation=generation)

    factors = Factors.of(technology, generator(key("spread")).standard_normal(3))
    wear = wear_of(technology, endurance_of(technology).scaled(factors.endurance))
    environment = make_environment(group, scenario, name, slot)
    clock = environment.clock(technology.retention_reference_c, technology.activation_energy_ev)
    lines = line_defects(technology, key("lines"), plans, born_ns, to_ns(scenario.horizon_s))
    by_time = (retention(technology, factors, clock),)  # one for all banks of the device
    schedule = make_schedule(group, scenario)
    if visits is None:
        visits = schedule.visit_times(visit_share(draw_of(scenario), name, slot), 0)
    mechanisms = [
        by_time
        + disturbs(technology, factors, read_pulses(group, hardware, plan, schedule, visits), plan.tiling)
        for plan in plans
    ]
    ends = list(itertools.accumulate(map(populations_of, mechanisms), initial=0))
    populations = Populations(ends[-1])
    banks = []
    for plan, soft, first, line_failures in zip(plans, mechanisms, ends, lines, strict=False):
        from_factory = factory_defects(technology, key("fabrication", plan.name), plan)
        banks.append(
            Bank(
                key("bank", plan.name),
                plan.n_cells,
                wear,
                soft,
                reload_period_ns(plan.reloads_per_day),
                layers=len(plan.layers),
                top_level=hardware.encoding.top_level,
                defects=([from_factory] if from_factory else []) + line_failures,
                write=write_verify_of(technology),
                populations=populations,
                first_population=first,
            )
        )
    layers = hardware.architecture.crossbar_layers
    drift: tuple[LayerDrift, ...] = ()
    if technology.drift != "none":
        drift_clock = environment.clock(technology.drift_reference_c, technology.activation_energy_ev)
        keys = [key("drift", layer.name) for layer in layers]
        drift = layer_drift(technology, hardware.encoding, layers, keys, drift_clock)
    per_k = technology.temperature_coefficient_per_k * technology.reference_tracking_residue
    warming = Warming(per_k, environment.temperature_c) if per_k else None
    return Silicon(tuple(banks), hardware.layout.regions, hardware.encoding, drift, warming)


def read_pulses(
    group: Group, hardware: Hardware, bank: BankPlan, schedule: Schedule, visits: VisitTimes | None
) -> Callable[[int], float]:
    """Return how many read pulses a cell of a bank has had by a time in ns: of inferences and of the device's visits.

    An inference reads a cell once for each position of its layer and each bit of the input there that is one, on average over the layer's
    rows. The reads of baselines, and further reads of a visit, are left out: they are few.
    """
    per_inference = pulses_of_inference(group, hardware, bank)
    asked = inferences_asked(group)
    per_visit = schedule.pulses_per_cell(group.aet.pictures * group.aet.reads * per_inference)

    def pulses(time_ns: int) -> float:
        inferences = asked.at(time_ns / NS_PER_S) if asked else 0.0
        begun = visits.first_at_or_after(time_ns + 1) if per_visit else 0
        return inferences * per_inference + begun * per_visit

    return pulses


def pulses_of_inference(group: Group, hardware: Hardware, bank: BankPlan) -> float:
    """Return the read pulses that an inference gives a cell of a bank, on average."""
    layers = hardware.architecture.crossbar_layers
    ones = group.network.input_ones_share or [ASSUMED_ONES_SHARE] * len(layers)
    return sum(
        pulses_per_inference(layers[i].positions, hardware.costs.input_bits, ones[i]) for i in bank.layers
    )


def visit_share(draw: Draw, name: str, slot: int) -> float:
    """Return where in an interval a device's visits begin: the same share of any, its own."""
    return first_uniform(device_key(draw, name, slot, "phase"))


def inferences_asked(group: Group) -> Usage | None:
    """Return the count of inferences that each device of the group is asked for; None for a workload without."""
    workload = group.workload
    if not workload.inferences_per_hour:
        return None
    return usage(workload.inferences_per_hour, workload.daily_shape)


def reload_period_ns(reloads_per_day: float) -> int | None:
    """Return the time between reloads; None for a resident layer."""
    return round(S_PER_DAY * NS_PER_S / reloads_per_day) if reloads_per_day else None
