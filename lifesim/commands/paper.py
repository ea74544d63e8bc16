"""``lifesim paper``: RRAMedy's tables and figures, number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lifesim.commands.common import Quiet, progress_bar
from lifesim.paper.items import ITEMS, chosen_items


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("paper")(paper)


def paper(
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            show_default=False,
            help="Folders mnist and cifar10, or their files. [default: $LIFESIM_DATA_DIR, else fetched]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            show_default=False,
            help="Result directory; what is finished there is not done again. [default: results/paper, or results/paper-quick]",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", show_default=False, help=f"Some of {', '.join(ITEMS)}; commas between them."
        ),
    ] = None,
    models: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            show_default=False,
            help="Faulty networks of each cell of Figs. 5 and 7 to 10. [default: 1000; the paper: 100]",
        ),
    ] = None,
    reading: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="How the paper's fault model is read: see lifesim/paper/readings.toml."
        ),
    ] = "bits",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of networks and faults.")] = 0,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Everything small, on mnist5k: a first look; without ConvNet-quick."),
    ] = False,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes; the CSVs do not depend on it.")
    ] = 1,
    quiet: Quiet = False,
) -> None:
    """Reproduce RRAMedy's tables and figures: a CSV each, the paper's numbers beside ours.

    \b
    Examples:
      lifesim paper --quick
      lifesim paper --data ~/data -o results/paper --workers 2
      lifesim paper --data ~/data --only fig7,fig8 --reading per_layer --models 200
    """
    items = chosen_items(only)
    from lifesim.paper.report import claims_text
    from lifesim.paper.run import reproduce
    from lifesim.paper.settings import Settings

    settings = Settings.of(reading, data, quick, seed, models)
    directory = output or Path("results") / ("paper-quick" if quick else "paper")
    with progress_bar(quiet) as progress:
        rows = reproduce(settings, directory, items, workers, progress)
    if not quiet:
        print(claims_text(rows))
        print(f"Written to {directory}")
