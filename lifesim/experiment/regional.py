"""A run of many regions, each a task: added up as they finish; by surrogate and exactly, if both are asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from lifesim.experiment import tables
from lifesim.experiment.assignment import Assignment
from lifesim.experiment.merged import merged_bytes, merged_summary
from lifesim.experiment.multifidelity import estimate, estimates_table, measures_of, sampled_regions
from lifesim.experiment.regions import (
    RegionCost,
    RegionResult,
    prepared_once,
    results_in_order,
    simulate_region,
)
from lifesim.experiment.results import ESTIMATES
from lifesim.experiment.totals import FleetTotals


def run_regions(assignment: Assignment) -> dict[int, RegionCost]:
    """Simulate all regions, and write all but the manifest; what is told apart by region is written as regions finish. Return what each came to."""
    scenario, output, progress = assignment.scenario, assignment.output, assignment.progress
    count = scenario.regions.count
    surrogates: dict[str, Any] = {}
    if assignment.fidelity == "surrogate":
        # Before the regions, which find it in this process or in the cache.
        progress(0.0, "networks")
        prepared = prepared_once(scenario, assignment.device, assignment.fidelity)
        surrogates = {name: fitted.report for name, fitted in prepared.surrogates.items()}
        output.note("surrogates", surrogates)
    progress(0.0, "regions")
    costs: dict[int, RegionCost] = {}
    totals: FleetTotals | None = None
    with output.open("devices.csv") as devices, output.open("events.parquet") as events:
        with contextlib.ExitStack() as open_until_then:
            trace: pyarrow.parquet.ParquetWriter | None = None
            for done, result in enumerate(_simulated(assignment, range(count)), 1):
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
                assignment.log.info("region ended", region=number)
                progress(done / count, f"region {done} of {count}")
        output.phase_done("regions")
        for name, contents in merged_bytes(totals).items():
            output.write(name, contents)
        output.write_json(
            "summary.json",
            {**merged_summary(scenario, totals, assignment.expected), **assignment.notes(surrogates)},
        )
    output.phase_done("tables")
    progress(1.0, "done")
    return costs


def run_both(assignment: Assignment, exact_regions: int) -> None:
    """Run all regions by surrogate, written as ever, and a random sample of them exactly, from which follow the estimates."""
    scenario, output = assignment.scenario, assignment.output
    predicted = run_regions(dataclasses.replace(assignment, fidelity="surrogate"))
    chosen = sampled_regions(scenario.seed, scenario.regions.count, exact_regions)
    exact: dict[int, RegionCost] = {}
    for result in _simulated(dataclasses.replace(assignment, fidelity="exact"), chosen):
        exact[result.number] = RegionCost(measures_of(result.totals), result.cpu_s)
        assignment.log.info("exact region ended", region=scenario.regions.first + result.number)
        assignment.progress(len(exact) / exact_regions, f"exact region {len(exact)} of {exact_regions}")
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


def _simulated(assignment: Assignment, numbers: Sequence[int]) -> Iterator[RegionResult]:
    submit = functools.partial(
        assignment.executor.submit,
        simulate_region,
        assignment.scenario,
        stepped=assignment.stepped,
        device=assignment.device,
        fidelity=assignment.fidelity,
    )
    return results_in_order(submit, numbers, assignment.workers)
