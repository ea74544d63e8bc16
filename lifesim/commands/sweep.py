"""``lifesim sweep``: a scenario at many points."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lifesim.commands.common import (
    Device,
    Evaluating,
    ExecutorName,
    Overrides,
    Quiet,
    fetch_data,
    open_executor,
    progress_bar,
)
from lifesim.errors import LifesimError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sweep")(sweep)


def sweep(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="Sweep file (TOML).", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            show_default=False,
            help="Directory of the sweep; what is finished there is not run again. [default: results/<sweep>]",
        ),
    ] = None,
    settings: Overrides = None,
    executor: ExecutorName = "process",
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Processes; a cluster has its own. The files do not depend on it."
        ),
    ] = 1,
    device: Evaluating = Device.cpu,
    quiet: Quiet = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a directory that holds something else.")
    ] = False,
) -> None:
    """Run a scenario at many points of some of its keys, and write what its measures come to and what they depend on.

    \b
    Examples:
      lifesim sweep scenarios/sweeps/interval_and_heat.toml --workers 2
      lifesim sweep scenarios/sweeps/sensitivity.toml -o results/sensitivity --set group.cameras.count=8
      lifesim sweep scenarios/sweeps/interval_and_heat.toml --executor dask:tcp://10.0.0.1:8786
    """
    from lifesim.sweep.plan import load_plan
    from lifesim.sweep.run import FAILURES, run_sweep

    plan = load_plan(sweep, settings or ())
    directory = output if output is not None else Path("results") / sweep.stem
    fetch_data(plan.scenario(next(plan.points()), plan.schedules[0]))
    with progress_bar(quiet) as progress, open_executor(executor, workers) as pool:
        done = run_sweep(
            plan,
            directory,
            pool,
            workers=getattr(pool, "workers", workers),
            device=device.value,
            force=force,
            **({} if progress is None else {"progress": progress}),
        )
    if done.dropped_bytes and not quiet:
        print(
            f"lifesim: warning: {directory}: the last {done.dropped_bytes} bytes of the journal were not whole, and are worked out again",
            file=sys.stderr,
        )
    if not quiet:
        print(
            f"{done.tasks:,} tasks, {done.found:,} of them finished before; {', '.join(done.pictures) or 'no pictures'}"
        )
        print(f"Written to {directory}")
    if done.failed:
        where, failure = done.failed[0]
        at = ", ".join(f"{d.key} = {v}" for d, v in zip(plan.dimensions, where.values, strict=True))
        raise LifesimError(
            f"{len(done.failed)} of {done.tasks} tasks failed, see {directory / FAILURES}; the first, "
            f"schedule {where.schedule}, replication {where.replication}, region {where.region}, {at}: {failure.error}"
        )
