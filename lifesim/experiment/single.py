"""A run of one region: its fleet's life, and the files that tell it."""

from __future__ import annotations

from lifesim.experiment import tables
from lifesim.experiment.assignment import Assignment
from lifesim.experiment.lives import OBSERVED, live
from lifesim.experiment.stopwatch import Stopwatch
from lifesim.experiment.summary import summarise


def run_single(assignment: Assignment) -> None:
    """Live, and write all but the manifest."""
    scenario, output, progress = assignment.scenario, assignment.output, assignment.progress
    watch = Stopwatch()

    def on_phase(phase: str) -> None:
        output.phase_done(phase)
        if phase == "simulation":
            output.note_parts("simulation", watch.seconds, rest="event_loop")

    lives = live(
        scenario,
        assignment.executor,
        workers=assignment.workers,
        stepped=assignment.stepped,
        device=assignment.device,
        fidelity=assignment.fidelity,
        progress=progress,
        watch=watch,
        on_phase=on_phase,
        records=assignment.records,
    )
    fleet, accounts, edges_ns, plans = lives.fleet, lives.accounts, lives.edges_ns, lives.fleet.plans
    digests = {name: plan.model.digest.hex() for name, plan in plans.items()}
    assignment.log.info("simulation ended", jobs=fleet.cloud.submitted, digests=digests)
    progress(OBSERVED, "tables")
    summary = {
        **summarise(scenario, fleet, accounts, assignment.expected),
        **assignment.notes(lives.surrogates),
    }
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
