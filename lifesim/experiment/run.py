"""One run of one scenario: simulate, observe, account, write."""

from __future__ import annotations

import contextlib
import functools
import logging
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet
import torch

from lifesim.errors import LifesimError, UserError
from lifesim.experiment import tables
from lifesim.experiment.directory import ResultDirectory
from lifesim.experiment.executors import make_executor
from lifesim.experiment.lives import OBSERVED, Fidelity, Progress, live
from lifesim.experiment.log import open_log
from lifesim.experiment.merged import merged_bytes, merged_summary
from lifesim.experiment.multifidelity import (
    FEWEST_EXACT,
    estimate,
    estimates_table,
    measures_of,
    sampled_regions,
)
from lifesim.experiment.regions import RegionCost, results_in_order, simulate_region
from lifesim.experiment.remembering import RememberingExecutor
from lifesim.experiment.results import ESTIMATES, Result
from lifesim.experiment.stopwatch import Stopwatch
from lifesim.experiment.summary import summarise
from lifesim.experiment.totals import FleetTotals
from lifesim.fleet.outlook import Outlook, outlook
from lifesim.fleet.records import DeviceRecord
from lifesim.fleet.simulation import make_plans
from lifesim.fleet.surrogate.calibration import make_surrogates
from lifesim.fleet.surrogate.scope import check_surrogate
from lifesim.scenario.load import scenario_digest
from lifesim.scenario.models import Scenario

_log = logging.getLogger("lifesim")


def run_to_directory(
    scenario: Scenario,
    directory: str | Path,
    *,
    stepped: bool = False,
    device: str = "cpu",
    workers: int = 1,
    fidelity: Fidelity | Literal["multi"] = "exact",
    exact_regions: int = 8,
    force: bool = False,
    resume: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
    log_json: str | Path | None = None,
) -> Result:
    """Run a scenario and write its result directory; see docs/outputs.md for the files.

    The CSVs depend on the scenario and its seed alone (on one type of processor and the same versions), whatever ``stepped``,
    ``workers`` or ``executor``, which replaces the processes of this machine. While it runs, what has been worked out goes to a journal in the directory; with
    ``resume`` a run that was interrupted or killed looks it up and goes on, and one that has finished is left as it is. Raises UserError if ``directory`` holds files and ``force`` is not given, or for a torch ``device`` that is not there, or what a
    surrogate cannot do. ``fidelity``: "surrogate" predicts what networks do instead of evaluating them, "multi" does both: all regions predicted, ``exact_regions`` of them
    evaluated, too. On
    KeyboardInterrupt the trace so far and a manifest that says "interrupted" are written, and the exception goes on. After any other
    error the manifest says "failed".
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available; allowed: cpu")
    if workers < 1:
        raise UserError(f"--workers {workers}: must be at least 1")
    if fidelity != "exact":
        check_surrogate(scenario)
    if fidelity == "multi" and not FEWEST_EXACT <= exact_regions < scenario.regions.count:
        raise UserError(
            f"--exact-regions {exact_regions}: must be at least {FEWEST_EXACT} and fewer than the scenario's regions (regions.count = {scenario.regions.count})"
        )
    expected = outlook(scenario)
    how = {"stepped": stepped, "device": device, "workers": workers, "fidelity": fidelity}
    output = ResultDirectory(Path(directory), scenario, how, force, resume)
    if output.finished:
        output.forget()
        return Result(output.path)
    records: list[DeviceRecord] = []
    begun = False  # nothing of another run has been touched before that
    with open_log(log_json, scenario=scenario.name, seed=scenario.seed) as log:
        try:
            if not resume:
                output.clear()
            with output.journal() as journal:
                output.clear(journal=False)
                output.write_manifest("running")
                begun = True
                log.info("run started", directory=str(directory), digest=scenario_digest(scenario), **how)
                for warning in expected.warnings:
                    log.warning(warning)
                if resume:
                    log.info("resumed", results=len(journal), dropped_bytes=journal.dropped)
                if journal.dropped:
                    _log.warning(
                        f"{journal.path}: the last {journal.dropped} bytes are not whole; what they were is worked out again"
                    )
                with contextlib.ExitStack() as stack:
                    run = _run if scenario.regions.count == 1 else _run_regions
                    if fidelity == "multi":
                        run = functools.partial(_run_multi, exact_regions=exact_regions)
                    run(
                        scenario,
                        expected,
                        output,
                        RememberingExecutor(executor or stack.enter_context(make_executor(workers)), journal),
                        workers,
                        stepped,
                        device,
                        fidelity,
                        progress or _no_progress,
                        log,
                        records,
                    )
                output.write_manifest("finished")
                journal.delete()
            log.info("run finished")
        except KeyboardInterrupt:
            if scenario.regions.count == 1:
                output.write(
                    "events.parquet", tables.events_parquet([(record, record.events) for record in records])
                )
            output.write_manifest("interrupted")
            log.warning("run interrupted")
            raise
        except Exception as error:
            if begun:
                with contextlib.suppress(OSError):  # the disk may be full
                    output.write_manifest("failed")
            log.error("run failed", error=repr(error))
            if isinstance(error, OSError):
                raise LifesimError(f"{error.filename or directory}: {error.strerror or error}") from error
            raise
    return Result(output.path)


def _run(
    scenario: Scenario,
    expected: Outlook,
    output: ResultDirectory,
    executor: Executor,
    workers: int,
    stepped: bool,
    device: str,
    fidelity: Fidelity,
    progress: Progress,
    log: Any,
    records: list[DeviceRecord],
) -> None:
    """Live, and write all but the manifest. ``records`` is filled for whoever has to interrupt."""
    watch = Stopwatch()

    def on_phase(phase: str) -> None:
        output.phase_done(phase)
        if phase == "simulation":
            output.note_parts("simulation", watch.seconds, rest="event_loop")

    lives = live(
        scenario,
        executor,
        workers=workers,
        stepped=stepped,
        device=device,
        fidelity=fidelity,
        progress=progress,
        watch=watch,
        on_phase=on_phase,
        records=records,
    )
    fleet, accounts, edges_ns, plans = lives.fleet, lives.accounts, lives.edges_ns, lives.fleet.plans
    digests = {name: plan.model.digest.hex() for name, plan in plans.items()}
    log.info("simulation ended", jobs=fleet.cloud.submitted, digests=digests)
    progress(OBSERVED, "tables")
    summary = {**summarise(scenario, fleet, accounts, expected), **_notes(fidelity, lives.surrogates)}
    if lives.surrogates:
        output.note("surrogates", lives.surrogates)
    output.write("fleet.csv", tables.csv_bytes(tables.fleet_table(accounts, plans, edges_ns)))
    output.write("groups.csv", tables.csv_bytes(tables.groups_table(accounts, plans, edges_ns)))
    output.write("devices.csv", tables.csv_bytes(tables.devices_table(accounts, plans)))
    output.write("survival.csv", tables.csv_bytes(tables.survival_table(accounts, fleet.horizon_ns)))
    output.write("rates.csv", tables.csv_bytes(tables.rates_table(accounts, fleet.horizon_ns)))
    output.write("layers.csv", tables.csv_bytes(tables.layers_table(accounts, plans)))
    output.write("events.parquet", tables.events_parquet([(a.record, a.events) for a in accounts]))
    output.write_json("summary.json", summary)
    output.phase_done("tables")
    progress(1.0, "done")


def _run_regions(
    scenario: Scenario,
    expected: Outlook,
    output: ResultDirectory,
    executor: Executor,
    workers: int,
    stepped: bool,
    device: str,
    fidelity: Fidelity,
    progress: Progress,
    log: Any,
    records: list[DeviceRecord],
) -> dict[int, RegionCost]:
    """The same for a fleet of regions, each a task of ``executor``; what is told apart by region is written as regions finish. Return what each came to."""
    count = scenario.regions.count
    surrogates: dict[str, Any] = {}
    if fidelity == "surrogate":
        # Before the regions, which find it in the cache.
        progress(0.0, "networks")
        surrogates = {
            n: fitted.report for n, fitted in make_surrogates(make_plans(scenario), scenario).items()
        }
        output.note("surrogates", surrogates)
    progress(0.0, "regions")
    submit = functools.partial(
        executor.submit, simulate_region, scenario, stepped=stepped, device=device, fidelity=fidelity
    )
    costs: dict[int, RegionCost] = {}
    totals: FleetTotals | None = None
    with output.open("devices.csv") as devices, output.open("events.parquet") as events:
        with contextlib.ExitStack() as open_until_then:
            trace: pyarrow.parquet.ParquetWriter | None = None
            for done, result in enumerate(results_in_order(submit, range(count), workers), 1):
                totals = result.totals if totals is None else totals + result.totals
                number = scenario.regions.first + result.number
                costs[result.number] = RegionCost(measures_of(result.totals), result.cpu_s)
                rows = {"region": [number] * len(result.devices["device"])} | result.devices
                devices.write(tables.csv_bytes(rows, header=done == 1))
                of_region = result.events.add_column(
                    0, "region", [pa.repeat(pa.scalar(number, pa.int32()), len(result.events))]
                )
                trace = trace or open_until_then.enter_context(
                    pyarrow.parquet.ParquetWriter(events, of_region.schema, compression="zstd")
                )
                trace.write_table(of_region)
                log.info("region ended", region=number)
                progress(done / count, f"region {done} of {count}")
        output.phase_done("regions")
        for name, contents in merged_bytes(totals).items():
            output.write(name, contents)
        output.write_json(
            "summary.json", {**merged_summary(scenario, totals, expected), **_notes(fidelity, surrogates)}
        )
    output.phase_done("tables")
    progress(1.0, "done")
    return costs


def _run_multi(
    scenario: Scenario,
    expected: Outlook,
    output: ResultDirectory,
    executor: Executor,
    workers: int,
    stepped: bool,
    device: str,
    fidelity: Fidelity,
    progress: Progress,
    log: Any,
    records: list[DeviceRecord],
    *,
    exact_regions: int,
) -> None:
    """All regions by surrogate, written as ever, and a random sample of them exactly, from which follow the estimates."""
    predicted = _run_regions(
        scenario, expected, output, executor, workers, stepped, device, "surrogate", progress, log, records
    )
    chosen = sampled_regions(scenario.seed, scenario.regions.count, exact_regions)
    submit = functools.partial(executor.submit, simulate_region, scenario, stepped=stepped, device=device)
    exact: dict[int, RegionCost] = {}
    for result in results_in_order(submit, chosen, workers):
        exact[result.number] = RegionCost(measures_of(result.totals), result.cpu_s)
        log.info("exact region ended", region=scenario.regions.first + result.number)
        progress(len(exact) / exact_regions, f"exact region {len(exact)} of {exact_regions}")
    output.phase_done("exact regions")
    estimates = {
        measure: estimate(
            {region: cost.measures[measure] for region, cost in exact.items()},
            [predicted[region].measures[measure] for region in range(scenario.regions.count)],
        )
        for measure in predicted[0].measures
    }
    table = estimates_table(estimates, exact_regions, scenario.regions.count)
    output.write(ESTIMATES, tables.csv_bytes(table))
    exact_s, predicted_s = (sum(cost.cpu_s for cost in costs.values()) for costs in (exact, predicted))
    output.note(
        "multi",
        {
            "exact_regions": chosen,
            "cpu_s": {"exact": round(exact_s, 3), "surrogate": round(predicted_s, 3)},
            # Than exact regions alone that take as much CPU time as both.
            "times_narrower": {
                name: round(of.narrower(exact_s, predicted_s), 3) for name, of in estimates.items()
            },
        },
    )


def _notes(fidelity: Fidelity, surrogates: dict[str, Any]) -> dict[str, Any]:
    """Return what the summary says besides of a run in which something was predicted."""
    return {} if fidelity == "exact" else {"fidelity": fidelity, "surrogates": surrogates}


def _no_progress(share: float, doing: str) -> None:
    pass
