"""``lifesim compare``: several schedules on the same devices."""

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
    print_warnings,
    progress_bar,
)
from lifesim.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    scenario: ScenarioFile,
    schedules: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            show_default=False,
            help='Schedules, with commas between: KIND, KIND:TIME, KIND{key=value,...}; "scenario" is the scenario\'s own. '
            "LABEL= in front names one. The first is the baseline.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            show_default=False,
            help="Directory of the comparison; one that was interrupted goes on. [default: results/<scenario>-comparison]",
        ),
    ] = None,
    replications: Annotated[
        int | None,
        typer.Option(
            metavar="R",
            min=1,
            show_default=False,
            help="Fleets that each schedule is tried on; at most so many with --until-ci. [default: 8]",
        ),
    ] = None,
    until_ci: Annotated[
        list[str] | None,
        typer.Option(
            "--until-ci",
            metavar="MEASURE=WIDTH",
            show_default=False,
            help="Go on until the 95 % interval of every difference to the baseline is as narrow as +- WIDTH. Repeatable.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="LABEL", show_default=False, help="What the others are compared with."),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Group whose schedule is compared, instead of all. Repeatable.",
        ),
    ] = None,
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
    """Run a scenario under several schedules, replication by replication on the same devices, and write what the differences are worth.

    \b
    Examples:
      lifesim compare scenarios/quickstart.toml --schedules never,periodic:7d
      lifesim compare scenarios/quickstart.toml --schedules 'periodic:7d,periodic:1d,readback{interval_s=7d,alarm_cells=20}' -o results/how-often
      lifesim compare scenarios/quickstart.toml --schedules 'never,weekly=periodic:7d{aet.pictures=64}' --until-ci in_spec_availability=0.005
    """
    from lifesim.comparison.alternatives import load_alternatives

    alternatives = load_alternatives(scenario, schedules, overrides or (), seed, group or ())
    directory = (
        output if output is not None else Path("results") / f"{alternatives[0].scenario.name}-comparison"
    )
    until = dict(map(_width, until_ci or ()))
    if not quiet:
        print_warnings(alternatives[0].scenario)
    fetch_data(alternatives[0].scenario)
    from lifesim.comparison.compare import compare as run_comparison
    from lifesim.comparison.summary import summary_text
    from lifesim.experiment.executors import make_executor

    with progress_bar(quiet) as progress, make_executor(workers) as executor:
        comparison = run_comparison(
            alternatives,
            directory,
            executor,
            replications=replications,
            until=until,
            baseline=baseline,
            device=device.value,
            force=force,
            **({} if progress is None else {"progress": progress}),
        )
    if not quiet:
        print(summary_text(comparison))
        print(f"Written to {directory}")


def _width(text: str) -> tuple[str, float]:
    measure, _, width = text.partition("=")
    try:
        return measure.strip(), float(width)
    except ValueError:
        raise UserError(
            f'--until-ci: "{text}": must be MEASURE=WIDTH, such as in_spec_availability=0.001'
        ) from None
