"""Run a scenario's fleet through its years, and return the record of every device."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import simpy

from lifesim.crossbar.cost import cell_pulses_cost, pulses_cost
from lifesim.crossbar.faults import FaultMap
from lifesim.detection.visits import VisitTimes
from lifesim.fleet.build import Plan, make_grid, make_plan
from lifesim.fleet.clock import to_ns
from lifesim.fleet.cloud import CloudTotals
from lifesim.fleet.connections import Line, make_backhauls, make_link, make_service
from lifesim.fleet.device import Device, Surroundings, Unit
from lifesim.fleet.environment import commissioned_ns
from lifesim.fleet.hardware import make_diagnosis, make_silicon
from lifesim.fleet.keys import device_key, draw_of
from lifesim.fleet.lookahead import Lookahead
from lifesim.fleet.power import NO_CUTS, PowerCuts
from lifesim.fleet.prospect import Prospect
from lifesim.fleet.records import DeviceRecord
from lifesim.fleet.retraining_service import Desk, RetrainingService
from lifesim.fleet.silicon import Silicon
from lifesim.fleet.surrogate.calibration import Calibrated
from lifesim.fleet.surrogate.twin import (
    ExampleRetraining,
    SurrogateEquipment,
    SurrogateTwin,
    prepare_like_example,
)
from lifesim.fleet.truth import Truth
from lifesim.fleet.twin import DeviceTwin, Equipment
from lifesim.network.evaluate import Evaluator
from lifesim.scenario.models import Scenario
from lifesim.streams import first_uniform, stream_key

PROGRESS_STEPS = 200
_COLLECTED_LESS_OFTEN = 1000


@dataclass(frozen=True, slots=True)
class FleetRecord:
    """Everything that happened: the plan of each group, the record of each device (in slot order), the cloud's totals."""

    plans: dict[str, Plan]
    devices: list[DeviceRecord]
    cloud: CloudTotals
    cloud_busy_ns: int
    horizon_ns: int


@contextlib.contextmanager
def piling_up() -> Iterator[None]:
    """While records pile up and next to nothing becomes garbage, look for garbage in cycles a thousandth as often as usual."""
    usual = gc.get_threshold()
    gc.set_threshold(usual[0] * _COLLECTED_LESS_OFTEN, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@piling_up()
def simulate(
    scenario: Scenario,
    plans: dict[str, Plan],
    executor: Executor,
    *,
    torch_device: str = "cpu",
    stepped: bool = False,
    looks_ahead: Executor | None = None,
    early: bool = True,
    surrogates: Mapping[str, Calibrated] | None = None,
    on_progress: Callable[[int], None] = lambda now_ns: None,
    on_record: Callable[[DeviceRecord], None] = lambda record: None,
) -> FleetRecord:
    """Simulate all devices from 0 to the horizon.

    ``executor`` is for retrainings; ``looks_ahead`` for the visits to come, which this process looks into if it is None;
    ``early``: as soon as there are enough of them, else when one is needed.
    ``surrogates``: of each group, what its tests and retrainings are predicted by; None where they are evaluated.
    ``stepped`` wakes every device at every visit instead of skipping ahead, and reads every test on the plain path; the record is the same.
    ``on_progress`` is called now and then with the time up to which everything has happened, ``on_record`` with each device's record before the start: they are filled as
    time passes, so whoever holds them when the run is interrupted holds what has happened.
    """
    env = simpy.Environment(initial_time=0)
    # A GPU takes whole networks; the plain path is the one to ask there, and where every visit is stepped to.
    lookahead = None if stepped or torch_device != "cpu" else Lookahead(looks_ahead, early)
    horizon_ns = to_ns(scenario.horizon_s)
    service = make_service(env, scenario, executor)
    backhauls = make_backhauls(env, scenario)
    devices: list[Device] = []
    for plan in plans.values():
        line = backhauls.get(plan.group.backhaul)
        first = len(devices)
        if surrogates is None:
            equipment = make_equipment(plan, torch_device, lookahead)
            slots = _Slots(plan, equipment, scenario, service, env, line, torch_device, first)
        else:
            predicted = make_surrogate_equipment(plan, surrogates[plan.name], horizon_ns)
            slots = _PredictedSlots(plan, predicted, scenario, service, env, line, torch_device, first)
        around = Surroundings(
            env, slots.unit, plan.schedule, plan.costs, plan.policy, slots, horizon_ns, stepped
        )
        for slot in range(plan.group.count):
            device = slots.device(around, slot)
            on_record(device.record)
            devices.append(device)
    for step in range(1, PROGRESS_STEPS + 1):
        env.run(until=horizon_ns * step // PROGRESS_STEPS)
        on_progress(env.now)
    service.close()
    for device in devices:
        device.finish()
    return FleetRecord(
        plans, [d.record for d in devices], service.cloud.totals, service.cloud.busy_ns, horizon_ns
    )


def make_plans(scenario: Scenario, torch_device: str = "cpu") -> dict[str, Plan]:
    """Return the plan of each group; trains the networks that are not in the cache."""
    return {name: make_plan(name, group, scenario, torch_device) for name, group in scenario.group.items()}


def make_equipment(plan: Plan, torch_device: str = "cpu", lookahead: Lookahead | None = None) -> Equipment:
    """Return what the twins of a group share; without a ``lookahead`` they read every test on the plain path."""
    return Equipment(
        plan.rule,
        plan.noise,
        plan.hardware.costs,
        make_diagnosis(plan.group, plan.hardware),
        Evaluator.of(plan.model, torch_device, plan.hardware.encoding),
        lookahead,
        plan.model,
        fitting=plan.fitting,
        importance=plan.importance,
        agreement=plan.agreement,
        prospect=_prospect(plan),
        truth=_truth(plan, torch_device, lookahead is None),
        known_baseline=plan.tests_know_devices and plan.design.known_baseline,
    )


def make_surrogate_equipment(plan: Plan, fitted: Calibrated, horizon_ns: int) -> SurrogateEquipment:
    """Return what the twins of a group share whose networks are not evaluated."""
    many = 10**9
    return SurrogateEquipment(
        fitted,
        pulses_cost(plan.hardware.costs, many).latency_ns / many,
        cell_pulses_cost(plan.hardware.costs, many).latency_ns / many,
        make_diagnosis(plan.group, plan.hardware),
        _prospect(plan),
        plan.rule.rereads,
        plan.spec_pictures,
        plan.spec_correct,
        plan.required_correct,
        horizon_ns,
        plan.group.technology.retention_cell_share,
    )


def _prospect(plan: Plan) -> Prospect:
    operations = plan.operations
    return Prospect.of(
        plan.group.technology, operations.diagnosis.writes_per_cell + operations.programming.writes_per_cell
    )


def _truth(plan: Plan, torch_device: str, plain: bool) -> Truth | None:
    if plan.group.schedule.kind != "oracle":
        return None
    encoding, data = plan.hardware.encoding, plan.group.network.data
    return Truth(plan.model, encoding, data, plan.required_correct, torch_device, plain)


class _Slots:
    """The slots of one group: what comes into them, and what the cloud keeps for them.

    Of the fleet's devices, these are numbers ``first`` and following. What a device may never need, such as a link, is made when it does.
    """

    def __init__(
        self,
        plan: Plan,
        equipment: Equipment | SurrogateEquipment,
        scenario: Scenario,
        cloud: RetrainingService,
        env: simpy.Environment,
        line: Line | None,
        torch_device: str,
        first: int,
    ):
        self._plan = plan
        self._equipment = equipment
        self._scenario = scenario
        self._cloud = cloud
        self._env = env
        self._line = line
        self._torch_device = torch_device
        self._task = plan.task(scenario, torch_device)
        self._first = first
        self._served: set[int] = set()
        self._visits: dict[int, VisitTimes | None] = {}

    def device(self, around: Surroundings, slot: int) -> Device:
        """Return the device in a slot."""
        plan, draw = self._plan, draw_of(self._scenario)
        cuts_per_year = plan.group.site.power_cuts_per_year
        cuts = PowerCuts(self._key(slot, "power cuts"), cuts_per_year) if cuts_per_year else NO_CUTS
        commissioned = commissioned_ns(plan.group, self._scenario, plan.name, slot)
        record = DeviceRecord(plan.name, self._first + slot, make_grid(plan, draw, slot), commissioned)
        self._visits[self._first + slot] = record.grid
        return Device(around, self._first + slot, cuts, record)

    def unit(self, number: int, generation: int, time_ns: int) -> Unit:
        """Return a device fresh from the factory, the how-manieth in its slot."""
        plan = self._plan
        silicon, noise_key = self._silicon(number, generation, time_ns)
        twin = DeviceTwin(silicon, plan.model, plan.test_set, self._equipment, noise_key, time_ns)
        known = twin.fitted_to or silicon.stuck_map(twin.programmed, time_ns)
        if plan.tests_know_devices:
            twin.test_with(plan.test_set_for(known, self._torch_device), known)
        return Unit(twin, known)

    def _silicon(self, number: int, generation: int, time_ns: int) -> tuple[Silicon, int]:
        """Return the cells of a fresh device, and the key of its reads."""
        plan, slot = self._plan, number - self._first
        if number in self._served:
            self._cloud.renew_desk(number, plan.model)
        silicon = make_silicon(
            plan.group,
            plan.hardware,
            self._scenario,
            plan.name,
            slot,
            generation,
            time_ns,
            self._visits[number],
        )
        return silicon, self._key(slot, "read noise", generation)

    def request(self, device: Device, fault_map: FaultMap) -> None:
        """Pass a device's map on to the cloud, which opens a desk for whoever calls for the first time."""
        if device.number not in self._served:
            self._served.add(device.number)
            self._cloud.open_desk(self._desk(device))
        self._cloud.request(device, fault_map)

    def _desk(self, device: Device) -> Desk:
        plan, slot = self._plan, device.number - self._first
        link = make_link(self._env, plan.group.link, self._key(slot, "link"), self._line)
        service_key = self._key(slot, "service")
        incremental = plan.group.policy.fault_maps == "incremental"
        return Desk(
            device, link, plan.model, plan.layer_cells, self._task, service_key, plan.agreement,
            incremental=incremental,
        )  # fmt: skip

    def _key(self, slot: int, purpose: str, generation: int = 0) -> int:
        return device_key(draw_of(self._scenario), self._plan.name, slot, purpose, generation=generation)


class _PredictedSlots(_Slots):
    """Slots of devices without a network."""

    def unit(self, number: int, generation: int, time_ns: int) -> Unit:
        silicon, noise_key = self._silicon(number, generation, time_ns)
        twin = SurrogateTwin(silicon, self._plan.model, self._equipment, noise_key, time_ns)
        return Unit(twin, silicon.stuck_map(twin.programmed, time_ns))

    def _desk(self, device: Device) -> Desk:
        desk = super()._desk(device)
        equipment, key = self._equipment, self._key(device.number - self._first, "example")

        def task(model: object, fault_map: FaultMap) -> ExampleRetraining:
            place = first_uniform(stream_key(key, fault_map.digest().hex()))
            return ExampleRetraining(equipment, fault_map, place)

        desk.task, desk.prepare, desk.predicted = task, prepare_like_example, True
        return desk
