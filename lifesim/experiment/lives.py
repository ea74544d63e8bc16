"""The lives of a scenario's fleet, simulated, observed and accounted for: what every table of a run, and every measure of a comparison, is made of."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lifesim.experiment.accounting import DeviceAccount, account
from lifesim.experiment.executors import Background
from lifesim.experiment.observation import Observer
from lifesim.experiment.predicted import predict
from lifesim.experiment.stopwatch import Stopwatch, TimedExecutor, TimedSchedule
from lifesim.fleet.build import Plan
from lifesim.fleet.clock import to_ns
from lifesim.fleet.keys import draw_of
from lifesim.fleet.records import DeviceRecord
from lifesim.fleet.simulation import FleetRecord, make_plans, simulate
from lifesim.fleet.surrogate.calibration import Calibrated, make_surrogates
from lifesim.fleet.surrogate.scope import check_surrogate
from lifesim.scenario.models import Scenario

Progress = Callable[[float, str], None]
"""Called with the share done in [0, 1] and what is being done."""

Fidelity = Literal["exact", "surrogate"]
"""Whether networks are evaluated, or what they do is predicted."""

# Shares of a run's time, for the progress bar only.
SIMULATED, OBSERVED = 0.75, 0.95


@dataclass(frozen=True, slots=True)
class Lives:
    """What happened (``fleet``), and each device's ledger over the periods between ``edges_ns``, in slot order.

    ``surrogates``: of each group, what its surrogate was made from and how far it is off.
    """

    fleet: FleetRecord
    accounts: list[DeviceAccount]
    edges_ns: list[int]
    surrogates: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What has to be there before a fleet lives, and is the same in all regions of a scenario; ``surrogates``: None where networks are evaluated."""

    plans: dict[str, Plan]
    surrogates: dict[str, Calibrated] | None


def prepare(scenario: Scenario, device: str = "cpu", fidelity: Fidelity = "exact") -> Prepared:
    """Train or load a scenario's networks, make their test sets, and calibrate what predicts them, if that is asked for."""
    plans = make_plans(scenario, device)
    return Prepared(plans, make_surrogates(plans, scenario, device) if fidelity == "surrogate" else None)


def live(
    scenario: Scenario,
    executor: Executor,
    *,
    workers: int = 1,
    stepped: bool = False,
    device: str = "cpu",
    fidelity: Fidelity = "exact",
    progress: Progress = lambda share, doing: None,
    watch: Stopwatch | None = None,
    on_phase: Callable[[str], None] = lambda phase: None,
    records: list[DeviceRecord] | None = None,
    among_others: bool = False,
    prepared: Prepared | None = None,
) -> Lives:
    """Simulate a scenario's fleet to its horizon, observe it, and account for it.

    ``workers``: processes of the executor; with several, devices are observed, and their next visits looked into, while others are simulated. ``on_phase`` is called at the end of "networks", "simulation" and
    "accuracy"; ``watch`` sees how long tests and retrainings take; ``records`` is filled with each device's record before the start, for whoever
    has to interrupt. ``among_others``: it is one of several regions, whose lowest accuracies are sought together. ``prepared``: of this scenario, if that has
    been done already.
    """
    if fidelity == "surrogate":
        check_surrogate(scenario)
    watch = watch or Stopwatch()
    progress(0.0, "networks")
    prepared = prepared or prepare(scenario, device, fidelity)
    plans, surrogates = prepared.plans, prepared.surrogates
    on_phase("networks")
    progress(0.01, "simulation")
    timed = {
        name: replace(plan, schedule=TimedSchedule(plan.schedule, watch)) for name, plan in plans.items()
    }
    edges_ns = report_times_ns(scenario)
    records = [] if records is None else records
    # What is simulated may depend on a retraining at any time, but never on an observation.
    background = Background(executor, max(1, workers - 1))
    observer = Observer(
        plans,
        records,
        edges_ns,
        background,
        device,
        confidence=scenario.spec.confidence,
        draw=draw_of(scenario),
        plain=stepped,
        among_others=among_others,
    )

    def on_progress(now_ns: int) -> None:
        if workers > 1 and surrogates is None:  # else there is nobody to do it meanwhile
            with watch("accuracy"):
                observer.follow(now_ns)
        progress(0.01 + now_ns / edges_ns[-1] * (SIMULATED - 0.01), "simulation")

    fleet = simulate(
        scenario,
        timed,
        TimedExecutor(executor, "retraining", watch),
        torch_device=device,
        stepped=stepped,
        looks_ahead=executor,
        early=workers > 1,
        surrogates=surrogates,
        on_progress=on_progress,
        on_record=records.append,
    )
    on_phase("simulation")
    background.widen(workers)
    resolution_ns = to_ns(scenario.spec.resolution_s)
    if surrogates is None:
        observed = observer.observed(
            fleet.horizon_ns,
            resolution_ns,
            lambda share: progress(SIMULATED + share * (OBSERVED - SIMULATED), "accuracy"),
        )
    else:
        observed = predict(plans, records, edges_ns, fleet.horizon_ns, resolution_ns)
    on_phase("accuracy")
    accounts = [account(r, o, plans[r.group], edges_ns) for r, o in zip(fleet.devices, observed, strict=True)]
    reports = {} if surrogates is None else {name: fitted.report for name, fitted in surrogates.items()}
    return Lives(fleet, accounts, edges_ns, reports)


def report_times_ns(scenario: Scenario) -> list[int]:
    """Return the report times: 0, every report interval, and the horizon."""
    horizon_ns, interval_ns = to_ns(scenario.horizon_s), to_ns(scenario.report_interval_s)
    return [*range(0, horizon_ns, interval_ns), horizon_ns]
