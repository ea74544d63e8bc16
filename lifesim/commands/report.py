"""``lifesim report``: the page of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory of a comparison.", show_default=False)
    ],
) -> None:
    """Write report.html beside the files of a comparison: one page that opens offline, with plots, tables, assumptions and every number as CSV.

    \b
    Examples:
      lifesim report results/quickstart-comparison
    """
    from lifesim.report.page import write_report

    print(f"Written to {write_report(directory)}")
