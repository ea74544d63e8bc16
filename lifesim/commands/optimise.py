"""``lifesim optimise``: the best settings of a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifesim.commands.common import (
    Device,
    Evaluating,
    Overrides,
    Quiet,
    ScenarioFile,
    Seed,
    fetch_data,
    progress_bar,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("optimise")(optimise)


def optimise(
    scenario: ScenarioFile,
    schedule: Annotated[
        str,
        typer.Option(
            metavar="FORM",
            show_default=False,
            help="Schedule, as in `lifesim compare`: KIND or KIND{key=value,...}.",
        ),
    ],
    over: Annotated[
        list[str],
        typer.Option(
            metavar="KEY",
            show_default=False,
            help="Key to search: schedule.*, aet.* or policy.*. Repeatable.",
        ),
    ],
    bounds: Annotated[
        list[str],
        typer.Option(
            metavar="LOW:HIGH", show_default=False, help="Its range, such as 1d:365d; once for each --over."
        ),
    ],
    objective: Annotated[
        str, typer.Option(metavar="MEASURE", help="What is to be best: a measure of `lifesim compare`.")
    ] = "in_spec_availability",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            show_default=False,
            help="Directory; a search that was interrupted goes on. [default: results/<scenario>-optimum]",
        ),
    ] = None,
    replications: Annotated[
        int, typer.Option(metavar="R", min=2, help="Fleets that each candidate is tried on.")
    ] = 8,
    evaluations: Annotated[int, typer.Option(metavar="N", min=4, help="Candidates, about.")] = 16,
    seed: Seed = None,
    overrides: Overrides = None,
    device: Evaluating = Device.cpu,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes; the files do not depend on it.")
    ] = 1,
    quiet: Quiet = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a directory that holds something else.")
    ] = False,
) -> None:
    """Search for the settings of a schedule that are best by one measure, all candidates on the same devices.

    \b
    Examples:
      lifesim optimise scenarios/quickstart.toml --schedule periodic --over schedule.interval_s --bounds 1d:365d
      lifesim optimise scenarios/quickstart.toml --schedule periodic --over schedule.interval_s --bounds 1d:90d --over aet.pictures --bounds 8:64 --objective silent_share
    """  # fmt: skip
    from lifesim.comparison.optimise import make_problem, summary_text
    from lifesim.comparison.optimise import optimise as run_search

    problem = make_problem(scenario, schedule, over, bounds, overrides or (), seed)
    base = problem.scenario(tuple(d.low for d in problem.dimensions))
    directory = output if output is not None else Path("results") / f"{base.name}-optimum"
    from lifesim.experiment.executors import make_executor

    fetch_data(base)
    with progress_bar(quiet) as progress, make_executor(workers) as executor:
        found = run_search(
            problem,
            objective,
            directory,
            executor,
            replications=replications,
            evaluations=evaluations,
            device=device.value,
            force=force,
            **({} if progress is None else {"progress": progress}),
        )
    if not quiet:
        print(summary_text(found, objective))
        print(f"Written to {directory}")
