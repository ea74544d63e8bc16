"""What closed forms say of a scenario before anything is simulated: how fast cells fail, what tests cost, whether the cloud keeps up.

All of it is for the nominal device, the median of the device-to-device spread, with the mean effect of heat spells, and for what happens by
the clock: reloads, and the rewrites of a schedule that rewrites at every visit. Reactions to alarms are left out; they wear the cells further
and cure drift earlier.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lifesim.crossbar.cost import Cost
from lifesim.crossbar.monitor import Monitor
from lifesim.detection.schedules import NO_COST, Finding, Outcome, Schedule, Trip
from lifesim.fleet.airtime import mean_downlink_s, redeployment_bytes
from lifesim.fleet.cells import BankPlan, endurance_of, read_disturb_of, retention_of
from lifesim.fleet.clock import to_ns, to_s
from lifesim.fleet.cloud import queue_load
from lifesim.fleet.environment import nominal_clock
from lifesim.fleet.expectation import Expectation, ExpectedDrift, ExpectedWear, expected_wear
from lifesim.fleet.hardware import (
    Hardware,
    OperationTable,
    check_timing,
    inferences_asked,
    make_schedule,
    operation_table,
    pulses_of_inference,
    visit_costs,
)
from lifesim.physics.distributions import LifeDistribution, Lognormal
from lifesim.scenario.models import Group, Scenario
from lifesim.scenario.technology import Technology
from lifesim.scenario.units import UNITS
from lifesim.timeunits import NS_PER_S, S_PER_DAY, S_PER_YEAR

NOTICEABLE, HARMFUL = (
    1e-4,
    1e-3,
)  # shares of a layer's cells; LeNet leaves the spec at 0.14 % of cells stuck, uniformly placed
FAR = 100  # times the cycles of the tail point
BUSY = 0.01  # share of the time that visits take
HIGH_LOAD = 0.9  # of the cloud: the queue grows long from here, without end from 1
NEVER_S = 1000 * S_PER_YEAR
_MOST_VISITS = 100_000  # among which one that rewrites is looked for
_MOST_INTERVALS = 10_000  # looked at between start and horizon; more would change no warning


@dataclass(frozen=True, slots=True)
class LayerOutlook:
    """One mechanism in one layer, of ``cells`` cells.

    ``cycles_per_year``: programming operations of the layer by the clock. ``rewritten_every_s``: the longest time between two of them,
    infinite for a resident layer. ``faulty``: expected cells at the times of the outlook; ``faulty_per_year``: on average to the horizon.
    ``noticeable_s``, ``harmful_s``: when ``NOTICEABLE`` and ``HARMFUL`` of the cells are faulty, infinite if never. Drift of a rewritten
    layer is given at its worst: just before a rewrite, after the hottest stretch so far.
    """

    layer: str
    mechanism: str
    cells: int
    cycles_per_year: float
    rewritten_every_s: float
    faulty: tuple[float, ...]
    faulty_per_year: float
    noticeable_s: float
    harmful_s: float
    expectation: Expectation


@dataclass(frozen=True, slots=True)
class Duty:
    """What a group's schedule costs while nothing is wrong; ``interval_s`` is the mean, None where it never visits.

    ``rewritten_every_s``: the time between visits that rewrite although they find no fault, infinite where none does.
    """

    interval_s: float | None
    visit: Cost  # with what always follows a visit that finds no fault: nothing, or a refresh, or March and refresh
    share_of_time: float
    cycles_per_year: float
    rewritten_every_s: float


@dataclass(frozen=True, slots=True)
class GroupOutlook:
    """One group: its layers (a row each for wear and drift), its operations, its schedule."""

    name: str
    group: Group
    layers: tuple[LayerOutlook, ...]
    operations: OperationTable
    duty: Duty


@dataclass(frozen=True, slots=True)
class Outlook:
    """All groups, the load of the cloud, and what deserves a warning (a line each). ``times_s`` ends with the horizon."""

    times_s: tuple[float, ...]
    groups: tuple[GroupOutlook, ...]
    cloud_load: float
    service_s: float
    warnings: tuple[str, ...]


def outlook(scenario: Scenario) -> Outlook:
    """Work out what to expect of a scenario. Raises UserError where visits or reloads do not fit into the time between them."""
    check_timing(scenario)
    years = [s for s in (1.0 * S_PER_YEAR, 5.0 * S_PER_YEAR) if s < scenario.horizon_s]
    times_s = (*years, scenario.horizon_s)
    groups = tuple(_group_outlook(name, group, scenario, times_s) for name, group in scenario.group.items())
    warnings = [line for group in groups for line in _warnings(group, scenario.horizon_s)]
    warnings += filter(None, [link_warning(name, scenario) for name in scenario.group])
    warnings += filter(None, [cloud_warning(scenario)])
    return Outlook(times_s, groups, cloud_load(scenario), mean_service_s(scenario), tuple(warnings))


def cloud_load(scenario: Scenario) -> float:
    """Return an upper bound of the load of the cloud's workers in the worst year, summed over the groups.

    rho = N D / (c (tau + D)) with the mean service time D. A device calls when a visit leads to a diagnosis that finds new stuck cells, so
    tau, the mean time between its calls, is at least the visit interval and at least one over its expected new stuck cells per time. These
    are bounded with a March, a refresh and a reprogramming at every visit, and with the mean over the device-to-device spread:
    the mean of H(x / factor) is H(x) exp(shape^2 sigma^2 / 2), and F grows no faster than H. (A call from the test that follows a
    redeployment, before the next visit, is neglected.) Schedules whose visits never diagnose have no load.
    """
    service_s = mean_service_s(scenario)
    load = 0.0
    for group in scenario.group.values():
        schedule = make_schedule(group, scenario)
        if _diagnoses(schedule):
            interval_s = to_s(schedule.interval_ns)
            stuck_per_s = _most_stuck_per_s(group, scenario.horizon_s, interval_s)
            tau_s = max(interval_s, 1.0 / stuck_per_s if stuck_per_s else math.inf)
            load += queue_load(group.count, tau_s, service_s, scenario.cloud.workers)
    return load


def cloud_warning(scenario: Scenario) -> str | None:
    """Return a line if the cloud may be too busy."""
    load, cloud = cloud_load(scenario), scenario.cloud
    if load < HIGH_LOAD:
        return None
    consequence = "might not keep up" if load >= 1.0 else "might let jobs wait long"
    devices = sum(
        group.count for group in scenario.group.values() if _diagnoses(make_schedule(group, scenario))
    )
    return (
        f"cloud: load of at most {load:.3g} in the worst year, an upper bound ({devices} devices, {duration(mean_service_s(scenario))} a job, "
        f"workers: {cloud.workers}); from {HIGH_LOAD} the cloud {consequence}"
    )


def link_warning(name: str, scenario: Scenario) -> str | None:
    """Return a line if the link of a group takes longer for a redeployment than lies between two visits."""
    group = scenario.group[name]
    schedule = make_schedule(group, scenario)
    if not _diagnoses(schedule):
        return None
    architecture = Hardware.of(group).architecture
    kind = group.policy.retraining
    _, fraction = scenario.cloud.retraining.rate_and_fraction(kind)
    n_bytes = redeployment_bytes(
        architecture.weights * fraction,
        kind,
        group.aet.pictures if group.policy.test_pictures == "new" else 0,
        math.prod(architecture.input_shape),
    )
    needed_s = mean_downlink_s(group.link, scenario.backhaul.get(group.backhaul), n_bytes)
    interval_s = to_s(schedule.interval_ns)
    if needed_s <= interval_s:
        return None
    return (
        f"group {name}: a redeployment of up to some {number(n_bytes / 1000)} kB takes {duration(needed_s)} on the link, "
        f"longer than the {duration(interval_s)} between two visits"
    )


def mean_service_s(scenario: Scenario) -> float:
    """Return the mean time of a job, in s."""
    service = scenario.cloud.service
    match service.kind:
        case "fixed":
            return service.time_s
        case "lognormal":
            return service.median_s * math.exp(service.sigma_ln**2 / 2)
        case "work":
            return scenario.cloud.retraining.steps * service.step_time_s


def duration(seconds: float) -> str:
    """Return a time to three digits, in the largest unit that it holds one of; "never" beyond ``NEVER_S``."""
    if seconds > NEVER_S:
        return "never"
    sizes = [(unit, float(size)) for unit, size in UNITS["s"].items() if float(size) <= seconds]
    unit, size = sizes[-1] if sizes else ("s", 1.0)
    return f"{float(f'{seconds / size:.3g}'):g} {unit}"


def number(value: float) -> str:
    """Return a number of things, not negative, to three digits: "17.7k", "6.4M", "0.78", "<0.01"."""
    if 0 < value < 0.01:
        return "<0.01"
    value = float(f"{value:.3g}")
    sizes = [
        (suffix, size) for suffix, size in (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)) if size <= value
    ]
    suffix, size = sizes[-1] if sizes else ("", 1.0)
    return f"{value / size:g}{suffix}" if value >= 1 else f"{value:.2g}"


# -- a group --


def _group_outlook(name: str, group: Group, scenario: Scenario, times_s: Sequence[float]) -> GroupOutlook:
    hardware = Hardware.of(group)
    operations = operation_table(group, hardware)
    retention = retention_of(group.technology)
    technology = group.technology
    clock = nominal_clock(
        group.site, scenario.start, technology.retention_reference_c, technology.activation_energy_ev
    )
    faults_by = _faults_by(group, hardware, ExpectedDrift(retention, clock, math.inf))
    duty = _duty(group, operations, scenario, faults_by)
    by_reads, asked = read_disturb_of(technology), inferences_asked(group)
    rows = []
    for bank in hardware.layout.banks:
        wear = expected_wear(group, bank, duty.cycles_per_year / S_PER_YEAR)
        rewritten_every_s = _rewritten_every_s(bank, duty)
        expected: list[tuple[str, Expectation]] = [
            ("wear", wear),
            ("drift", ExpectedDrift(retention, clock, rewritten_every_s)),
        ]
        if by_reads is not None and asked is not None:
            in_inferences = by_reads.scaled(1.0 / pulses_of_inference(group, hardware, bank))
            expected.append(("disturb", ExpectedDrift(in_inferences, asked, rewritten_every_s)))
        for mechanism, expectation in expected:
            faulty = tuple(float(bank.n_cells * share) for share in expectation.share(np.array(times_s)))
            rows.append(
                LayerOutlook(
                    layer=bank.name,
                    mechanism=mechanism,
                    cells=bank.n_cells,
                    cycles_per_year=wear.operations_per_s * S_PER_YEAR,
                    rewritten_every_s=rewritten_every_s,
                    faulty=faulty,
                    faulty_per_year=faulty[-1] * S_PER_YEAR / scenario.horizon_s,
                    noticeable_s=expectation.time_to(NOTICEABLE),
                    harmful_s=expectation.time_to(HARMFUL),
                    expectation=expectation,
                )
            )
    return GroupOutlook(name, group, tuple(rows), operations, duty)


@dataclass(frozen=True, slots=True)
class _Patient:
    """A device on which every test shows the same, for asking a schedule what it would do."""

    sick: bool

    def first_alarm(self, times_ns: Sequence[int], least_score: int = 0) -> Finding | None:
        return Finding(0, Outcome.ALARM) if self.sick else None

    def progress(self, time_ns: int) -> int:
        return 1000 if self.sick else 0

    def new_wrong_cells(self, times_ns: Sequence[int]) -> list[int]:
        return [self.cells_named(time_ns) for time_ns in times_ns]

    def cells_named(self, time_ns: int) -> int:
        return 2**63 if self.sick else 0

    def out_of_spec(self, times_ns: Sequence[int]) -> list[bool]:
        return [self.sick] * len(times_ns)

    def left_out_of_spec(self) -> bool:
        return False

    def first_trip(self, times_ns: Sequence[int], monitor: Monitor) -> Trip | None:
        return Trip(0, without_noise=True) if self.sick else None


def _diagnoses(schedule: Schedule) -> bool:
    """Whether a visit can lead to a diagnosis, and so to a call of the cloud."""
    finding = schedule.first_finding(_Patient(sick=True), [0])
    return finding is not None and finding.outcome is not Outcome.REFRESH


def _duty(
    group: Group, operations: OperationTable, scenario: Scenario, faults_by: Callable[[int], float]
) -> Duty:
    schedule = make_schedule(group, scenario)
    interval_ns = schedule.usual_interval_ns(to_ns(scenario.horizon_s), faults_by)
    if interval_ns is None:
        return Duty(None, NO_COST, 0.0, 0.0, math.inf)
    costs = visit_costs(group, operations)
    visit, share, rewrites_per_s = schedule.visit_cost(costs), 0.0, 0.0
    if finding := schedule.first_finding(_Patient(sick=False), range(_MOST_VISITS), 0, 1):
        diagnosed = finding.outcome is Outcome.DIAGNOSE
        elements = [operations.diagnosis] if diagnosed else []
        elements += [operations.programming] if group.diagnosis.refresh or not diagnosed else []
        elements += [schedule.baseline_cost(costs)]
        every = finding.position + 1
        latency_ns = sum(e.latency_ns for e in elements)
        writes = sum(e.writes_per_cell for e in elements)
        if every == 1:  # that is what a visit is
            visit = Cost(latency_ns, sum(e.energy_j for e in elements), writes)
        else:
            share = latency_ns / (every * interval_ns)
        rewrites_per_s = NS_PER_S / (every * interval_ns) if writes else 0.0
    interval_s = to_s(interval_ns)
    return Duty(
        interval_s,
        visit,
        share + visit.latency_ns / interval_ns,
        writes * rewrites_per_s * S_PER_YEAR if rewrites_per_s else 0.0,
        1.0 / rewrites_per_s if rewrites_per_s else math.inf,
    )


def _faults_by(group: Group, hardware: Hardware, drift: ExpectedDrift) -> Callable[[int], float]:
    """Return how many faulty cells to expect by a time in ns, of a device that nobody rewrites; drift of resident layers alone."""
    wear = [expected_wear(group, bank) for bank in hardware.layout.banks]

    def expected(time_ns: int) -> float:
        time_s = to_s(time_ns)
        return sum(
            bank.n_cells * float(worn.share(time_s) + (0.0 if bank.reloads_per_day else drift.share(time_s)))
            for bank, worn in zip(hardware.layout.banks, wear, strict=True)
        )

    return expected


def _most_stuck_per_s(group: Group, horizon_s: float, interval_s: float) -> float:
    """Return an upper bound of the expected new stuck cells of a device per second in the worst year (see :func:`cloud_load`)."""
    hardware, technology = Hardware.of(group), group.technology
    operations = operation_table(group, hardware)
    cycles = operations.diagnosis.writes_per_cell + 2 * operations.programming.writes_per_cell
    # A year at a time, the last one whole; birth counts with the first.
    ends_s = np.append(np.arange(1, horizon_s // S_PER_YEAR) * S_PER_YEAR, horizon_s)
    begins_s = np.maximum(ends_s - S_PER_YEAR, 0.0)
    limits, factor = _over_spread(technology)
    gained = np.zeros(len(ends_s))
    for bank in hardware.layout.banks:
        wear = ExpectedWear(limits, expected_wear(group, bank, cycles / interval_s).operations_per_s)
        with np.errstate(over="ignore"):
            # Long before 1e100 every cell is stuck; infinities could not be subtracted.
            until, before = (np.minimum(wear.hazard(times_s), 1e100) for times_s in (ends_s, begins_s))
        gained += bank.n_cells * (until - np.where(begins_s > 0.0, before, 0.0))
    worst = float(gained.max()) / min(horizon_s, S_PER_YEAR) * factor
    return worst + technology.line_failures_per_year / S_PER_YEAR


def _over_spread(technology: Technology) -> tuple[LifeDistribution, float]:
    """Return a distribution and a factor whose product bounds the mean hazard over the devices of a technology."""
    limits, sigma_ln = endurance_of(technology), technology.endurance_spread_sigma_ln
    if isinstance(limits, Lognormal):  # a mixture of lognormal ones is lognormal
        return Lognormal(limits.median, math.hypot(limits.sigma_ln, sigma_ln)), 1.0
    with np.errstate(over="ignore"):
        return limits, float(np.exp((limits.shape * sigma_ln) ** 2 / 2))


def _rewritten_every_s(bank: BankPlan, duty: Duty) -> float:
    """Return the longest time between two programmings that come by the clock: reloads, and visits that rewrite."""
    reload_s = S_PER_DAY / bank.reloads_per_day if bank.reloads_per_day else math.inf
    return min(reload_s, duty.rewritten_every_s)


# -- warnings --


def _warnings(group: GroupOutlook, horizon_s: float) -> list[str]:
    lines = []
    if group.duty.share_of_time >= BUSY:
        lines.append(
            f"group {group.name}: visits take {group.duty.share_of_time:.2%} of the time: {duration(to_s(group.duty.visit.latency_ns))} "
            f"every {duration(group.duty.interval_s)}"
        )
    if group.group.schedule.kind == "reload_verify" and not any(
        group.group.workload.reloads_per_day.values()
    ):
        lines.append(f"group {group.name}: reload_verify sees nothing, as no layer is reloaded")
    for mechanism in dict.fromkeys(row.mechanism for row in group.layers):
        rows = [row for row in group.layers if row.mechanism == mechanism]
        lines += filter(None, [_cannot_matter(group, rows, horizon_s), _kills(group, rows, horizon_s)])
    return [*lines, *filter(None, [_far_from_the_rating(group, horizon_s)])]


def _cannot_matter(group: GroupOutlook, rows: list[LayerOutlook], horizon_s: float) -> str | None:
    """A mechanism that leaves the whole network of the nominal device with less than one faulty cell by the horizon."""
    if rows[0].mechanism == "drift" and group.group.technology.drift != "none":
        return None  # few cells lose their state, but the levels of all of them move
    faulty, cells = sum(row.faulty[-1] for row in rows), sum(row.cells for row in rows)
    if faulty >= 1.0:
        return None
    return (
        f"group {group.name}: {rows[0].mechanism} cannot matter: {number(faulty)} of {number(cells)} cells expected to be faulty "
        f"by the horizon of {duration(horizon_s)}"
    )


def _far_from_the_rating(group: GroupOutlook, horizon_s: float) -> str | None:
    """Wear far beyond the point of the tail that is stated: there the distribution is a guess, whatever it was fitted to."""
    technology = group.group.technology
    ppm, cycles = technology.endurance_tail_ppm, technology.endurance_tail_cycles
    if ppm is None:
        ppm = 1.0
        cycles = float(endurance_of(technology).limit(np.float64(-math.log1p(-ppm * 1e-6))))
    worn = {
        row.layer: 1.0 + row.cycles_per_year * horizon_s / S_PER_YEAR
        for row in group.layers
        if row.mechanism == "wear"
    }
    layer = max(worn, key=worn.get)
    if worn[layer] <= FAR * cycles:
        return None
    return (
        f"group {group.name}: wear is extrapolated: the cells of {layer} have {number(worn[layer])} cycles by the horizon, over {FAR} times the "
        f"{number(cycles)} by which {number(ppm)} in a million are taken to have failed"
    )


def _kills(group: GroupOutlook, rows: list[LayerOutlook], horizon_s: float) -> str | None:
    """A mechanism that takes over ``HARMFUL`` of a layer's cells within one interval of the schedule, or at birth."""
    interval_s = group.duty.interval_s
    gains = [(*_gain_between_visits(row, interval_s or 0.0, horizon_s), row.layer) for row in rows]
    killed = [gain for gain in gains if gain[0] > HARMFUL]
    if not killed:
        return None
    share, begin_s, layer = max(killed)
    if interval_s is None:
        when = "are faulty at birth"
    else:
        since = f"from {duration(begin_s)} after the start on" if begin_s else "from the start on"
        when = f"become faulty between two visits {duration(interval_s)} apart, over {HARMFUL:.1%} {since}"
    others = ", ".join(name for *_, name in killed if name != layer)
    return (
        f"group {group.name}: {rows[0].mechanism} is faster than the schedule: up to {share:.2%} of the cells of {layer} {when}"
        + (f" (likewise {others})" if others else "")
    )


def _gain_between_visits(row: LayerOutlook, interval_s: float, horizon_s: float) -> tuple[float, float]:
    """Return the largest share of cells that becomes faulty in one interval, and when an interval with over ``HARMFUL`` first begins."""
    if row.mechanism != "wear" and row.rewritten_every_s <= interval_s:  # each interval begins anew
        return row.faulty[-1] / row.cells, max(row.harmful_s - interval_s, 0.0)
    count = min(math.ceil(horizon_s / interval_s), _MOST_INTERVALS) if interval_s else 1
    begins_s = np.arange(count) * max(interval_s, horizon_s / count)
    shares = row.expectation.share(np.minimum(begins_s + interval_s, horizon_s))
    gains = shares - row.expectation.share(begins_s)
    gains[0] = shares[0]  # what is faulty at birth is new at the first visit
    return float(gains.max()), float(begins_s[int(np.argmax(gains > HARMFUL))])
