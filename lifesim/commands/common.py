"""What several commands take, and how they show how far they are."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated

import typer

from lifesim.errors import UserError, did_you_mean
from lifesim.scenario.models import Scenario


class Device(enum.StrEnum):
    """Where networks are evaluated."""

    cpu = "cpu"
    cuda = "cuda"


class Fidelity(enum.StrEnum):
    """How what networks do is found out."""

    exact = "exact"
    surrogate = "surrogate"
    multi = "multi"


ScenarioFile = Annotated[
    Path, typer.Argument(metavar="SCENARIO", help="Scenario file (TOML).", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        show_default=False,
        help="Change a key of the scenario: dotted.key=value, the value in TOML or plain text. Repeatable.",
    ),
]

Seed = Annotated[
    int | None, typer.Option(metavar="N", show_default=False, help="Seed, instead of the scenario's.")
]
Evaluating = Annotated[Device, typer.Option(help="Where networks are evaluated.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")]


ExecutorName = Annotated[
    str,
    typer.Option(
        metavar="WHERE",
        help="process: in processes of this machine; dask:ADDRESS: on the workers of a dask scheduler, such as dask:tcp://10.0.0.1:8786.",
    ),
]


def open_executor(where: str, workers: int) -> Executor:
    """Return the executor that --executor and --workers name; a context manager. Raises UserError."""
    kind, _, address = where.partition(":")
    if kind == "dask" and address:
        from lifesim.experiment.cluster import DaskExecutor

        return DaskExecutor(address)
    if where != "process":
        raise UserError(
            f'--executor: "{where}": must be process or dask:ADDRESS{did_you_mean(kind, ("process", "dask"))}'
        )
    from lifesim.experiment.executors import make_executor

    return make_executor(workers)


def print_warnings(scenario: Scenario) -> None:
    """Say on standard error what the outlook warns of."""
    from lifesim.fleet.outlook import outlook

    for warning in outlook(scenario).warnings:
        print(f"lifesim: warning: {warning}", file=sys.stderr)


def fetch_data(scenario: Scenario) -> None:
    """Have the data sets of all groups at hand: what must be fetched is, before the progress of a run takes over the terminal."""
    from lifesim.network.datasets import load_dataset

    for group in scenario.group.values():
        load_dataset(group.network.data)


@contextlib.contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[float, str], None] | None]:
    """Give a function of (share done, what is done) that draws a bar (off a terminal: prints lines)."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=1.0)
            yield lambda share, doing: bar.update(task, completed=share, description=doing)
    else:
        printed = -1

        def print_every_tenth(share: float, doing: str) -> None:
            nonlocal printed
            if int(share * 10) > printed:
                printed = int(share * 10)
                print(f"{share:4.0%} {doing}", file=sys.stderr, flush=True)

        yield print_every_tenth
