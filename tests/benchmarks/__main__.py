"""``python -m tests.benchmarks [NAME ...]``: measure, print a table, write it as CSV."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.benchmarks import harness, machine, scaling

NAMES = ("event_loop", "memory", "evaluation", "mrfi", "end_to_end", "fleets", "scaling", "surrogate")
_WIDTH = 200


def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help=f"Any of: {', '.join(NAMES)}. [default: all]"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; values and ratios are their medians.")] = 5,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where the CSV goes.")
    ] = Path("results/benchmarks.csv"),
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: to see that it runs.")] = False,
    million: Annotated[
        bool, typer.Option("--million", help="With surrogate: a million devices, too.")
    ] = False,
    plot: Annotated[
        Path, typer.Option(metavar="FILE", help="Where the picture of the benchmark scaling goes.")
    ] = Path("results/scaling.png"),
    mrfi_python: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", show_default=False, help="Interpreter of an environment with MRFI and torch."
        ),
    ] = None,
    cimba_python: Annotated[
        Path | None,
        typer.Option(metavar="PATH", show_default=False, help="Interpreter of an environment with cimba."),
    ] = None,
) -> None:
    """Measure lifesim against other ways to do the same."""
    unknown = set(names or ()) - set(NAMES)
    if unknown:
        raise typer.BadParameter(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    console = Console(width=_WIDTH)
    given = {
        "quick": quick,
        "million": million,
        "mrfi_python": mrfi_python,
        "cimba_python": cimba_python,
        "console": console,
    }
    rows = [machine.row()]
    for name in names or NAMES:
        measure = importlib.import_module(f"tests.benchmarks.{name}").measure
        taken = inspect.signature(measure).parameters
        rows += measure(repeats, **{key: value for key, value in given.items() if key in taken})
        harness.write_csv(rows, output)  # what has been measured stays, whatever the next one does
    if "scaling" in (names or NAMES):
        scaling.plot(harness.frame(rows), plot)
    harness.print_table(rows, console)
    console.print(f"Written to {output}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
