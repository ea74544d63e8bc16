"""The command line. Thin: it reads arguments, calls the library and turns its errors into exit statuses.

Exit status 0; 2 the user's input cannot be used; 1 anything else; 130 interrupted. Whatever is heavy is
imported by the command that needs it, so that ``--help``, ``schema``, ``presets``, ``validate`` are quick.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lifesim.commands import compare, optimise, paper, report, sweep
from lifesim.commands.common import (
    Device,
    Evaluating,
    ExecutorName,
    Fidelity,
    Overrides,
    Quiet,
    ScenarioFile,
    Seed,
    fetch_data,
    open_executor,
    print_warnings,
    progress_bar,
)
from lifesim.errors import LifesimError, UserError
from lifesim.scenario.load import json_schema, load_network, load_scenario, scenario_digest
from lifesim.scenario.presets import STANDINGS, Preset, load_preset, preset_kinds, preset_names

if TYPE_CHECKING:
    from rich.table import Table

    from lifesim.fleet.outlook import GroupOutlook, Outlook

_INTERRUPTED = 130
_USAGE_ERROR = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    name="lifesim",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with ``arguments`` (default: those of the process) and return the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return app(arguments or ["--help"], prog_name="lifesim", standalone_mode=False) or 0
    except _USAGE_ERROR as error:
        return _complain(error, error.format_message().replace("\n", " "), UserError.exit_status)
    except LifesimError as error:
        return _complain(error, str(error), error.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _complain(error, f"{what} (LIFESIM_DEBUG=1 shows the traceback)", LifesimError.exit_status)


def _complain(error: Exception, message: str, status: int) -> int:
    if os.environ.get("LIFESIM_DEBUG") == "1":
        traceback.print_exception(error)
    for line in message.splitlines():
        print(f"lifesim: error: {line}", file=sys.stderr)
    return status


def _print_version(asked: bool) -> None:
    if asked:
        print(f"lifesim {importlib.metadata.version('lifesim')}")
        raise typer.Exit


@app.callback()
def _lifesim(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Simulate the lives of fleets of edge-AI devices built on ReRAM crossbars.

    \b
    Examples:
      lifesim run scenarios/quickstart.toml
      lifesim validate scenarios/quickstart.toml
      lifesim presets technology
      lifesim run --help
    """


@app.command()
def run(
    scenario: ScenarioFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            show_default=False,
            help="Result directory. [default: results/<scenario>-<seed>]",
        ),
    ] = None,
    seed: Seed = None,
    overrides: Overrides = None,
    stepped: Annotated[
        bool,
        typer.Option(
            "--stepped", help="Wake every device at every test: slow, for checking; the CSVs are the same."
        ),
    ] = False,
    fidelity: Annotated[
        Fidelity,
        typer.Option(
            help="Evaluate every network (exact), or predict what tests and accuracy come to from examples evaluated beforehand (surrogate), or both: all regions predicted, some evaluated (multi)."
        ),
    ] = Fidelity.exact,
    exact_regions: Annotated[
        int, typer.Option(metavar="N", min=4, help="How many regions are evaluated with --fidelity multi.")
    ] = 8,
    device: Evaluating = Device.cpu,
    executor: ExecutorName = "process",
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes; the CSVs do not depend on it.")
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run in DIR that was interrupted or killed; begin it if there is none.",
        ),
    ] = False,
    log_json: Annotated[
        Path | None,
        typer.Option(
            "--log-json", metavar="FILE", show_default=False, help="Write a log, one JSON object a line."
        ),
    ] = None,
    quiet: Quiet = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a directory that is not empty.")] = False,
) -> None:
    """Simulate a scenario and write the result directory.

    \b
    Examples:
      lifesim run scenarios/quickstart.toml
      lifesim run scenarios/quickstart.toml -o results/first --seed 7
      lifesim run scenarios/quickstart.toml --set horizon_s="2 y" --set group.cameras.count=100
      lifesim run scenarios/quickstart.toml --set 'group.cameras.schedule={kind="never"}'
      lifesim run scenarios/quickstart.toml --fidelity surrogate --set group.cameras.count=10000
      lifesim run scenarios/fleet_1000.toml -o results/fleet --workers 2 --resume
    """
    if resume and force:
        raise UserError(
            "--resume, --force: one goes on with what is there, the other replaces it; give one of them"
        )
    loaded = load_scenario(scenario, overrides or (), seed)
    directory = output if output is not None else Path("results") / f"{loaded.name}-{loaded.seed}"
    if not quiet:
        print_warnings(loaded)
    fetch_data(loaded)
    with progress_bar(quiet) as progress, contextlib.ExitStack() as stack:
        from lifesim.experiment.run import run_to_directory

        # One of this machine begins its processes when the directory has been found fit.
        cluster = None if executor == "process" else stack.enter_context(open_executor(executor, workers))
        result = run_to_directory(
            loaded,
            directory,
            stepped=stepped,
            device=device.value,
            workers=getattr(cluster, "workers", workers),
            fidelity=fidelity.value,
            exact_regions=exact_regions,
            force=force,
            resume=resume,
            executor=cluster,
            progress=progress,
            log_json=log_json,
        )
    if not quiet:
        print(result.summary_text())
        print(f"Written to {directory}")


@app.command()
def train(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            show_default=False,
            help='A preset, or the dotted name of a user\'s own: "package.module:function".',
        ),
    ],
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", show_default=False, help="mnist5k, mnist, cifar10, or a dotted name."
        ),
    ],
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the initial weights and of the order of the pictures.")
    ] = 0,
    data_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            show_default=False,
            help="Where the files of mnist or cifar10 lie. [default: $LIFESIM_DATA_DIR, else fetched]",
        ),
    ] = None,
    weight_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Fixed-point format of the weights: global, per_layer, or one such as Q1.14.",
        ),
    ] = "global",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            show_default=False,
            help="Change a key of the network's table, such as epochs=20. Repeatable.",
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the network is judged.")] = Device.cpu,
) -> None:
    """Train a network, or find it in the cache, and say how well it does.

    \b
    Examples:
      lifesim train mlp mnist5k
      lifesim train convnet_quick cifar10 --data-dir ~/data
      lifesim train lenet mnist --seed 1 --format per_layer
      lifesim train mypackage.nets:make mypackage.data:load --set epochs=20
    """
    keys = {
        "module" if ":" in network else "preset": network,
        "dataset": dataset,
        "seed": seed,
        "format": weight_format,
    }
    if data_dir is not None:
        keys["data_dir"] = data_dir
    settings = load_network(keys, overrides or ())

    from lifesim.network.activity import input_ones_share
    from lifesim.network.datasets import load_dataset
    from lifesim.network.evaluate import correct_in_part
    from lifesim.network.store import stored_at, trained_model

    path = stored_at(settings)
    before, start = _modified_ns(path), time.monotonic()
    model = trained_model(settings)
    found = before is not None and before == _modified_ns(path)
    layers = model.architecture.crossbar_layers
    how = "not trained: its own weights" if path is None else "from the cache" if found else "trained"
    print(
        f"{settings.name} on {dataset}, seed {settings.seed}: {how} ({time.monotonic() - start:.1f} s); {model.architecture.weights:,} weights, "
        f"{model.architecture.macs:,} MACs a picture"
    )
    for part in ("validation", "test", "spec"):
        (correct,) = correct_in_part(model, [model.codes], settings.data, part, device.value)
        pictures = len(load_dataset(settings.data).split[part])
        print(f"  {part:<10}  {correct / pictures:7.2%} of {pictures:,} pictures")
    shares = input_ones_share(model, load_dataset(settings.data).part("test")[0])
    for layer, fmt, share in zip(layers, model.formats, shares, strict=True):
        print(
            f"  {layer.name:<10}  {fmt!s:>7}  {layer.fan_in} x {layer.fan_out}, {layer.positions} positions, "
            f"{share:.3g} of the input bits are one"
        )
    if path is not None:
        print(f"Kept in {path}")


def _modified_ns(path: Path | None) -> int | None:
    """Return when a file was last written; None for one that there is not."""
    return path.stat().st_mtime_ns if path is not None and path.exists() else None


@app.command()
def validate(scenario: ScenarioFile, overrides: Overrides = None) -> None:
    """Check a scenario and say what to expect of it, without running it.

    \b
    Examples:
      lifesim validate scenarios/quickstart.toml
      lifesim validate scenarios/quickstart.toml --set group.cameras.site=indoor
    """
    loaded = load_scenario(scenario, overrides or ())
    from lifesim.fleet.outlook import outlook

    _print_outlook(outlook(loaded))
    print(f"{scenario}: valid; digest {scenario_digest(loaded)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a scenario file, with which an editor completes and checks it.

    \b
    Examples:
      lifesim schema > lifesim.schema.json
      then, as the first line of a scenario:  #:schema ./lifesim.schema.json
    """
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@app.command()
def presets(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", show_default=False, help="Only this kind, with its numbers."),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", show_default=False, help="Only this preset of the kind.")
    ] = None,
) -> None:
    """List the presets, or the numbers of some with unit, standing and source.

    \b
    Examples:
      lifesim presets
      lifesim presets technology
      lifesim presets technology rated_1e4
    """
    if kind is None:
        for each in preset_kinds():
            _print_presets(each, preset_names(each), in_full=False)
    else:
        _print_presets(kind, preset_names(kind) if name is None else [name], in_full=True)
        print("Standing: " + "; ".join(f"{letter} {meaning}" for letter, meaning in STANDINGS.items()))


def _print_presets(kind: str, names: Sequence[str], in_full: bool) -> None:
    console = _console()
    for name in names:
        preset = load_preset(kind, name)
        print(f"{kind} {name}: {preset.summary}")
        if in_full:
            console.print(_table(preset))


def _table(preset: Preset) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("Key", "Value", "Unit", "Standing", "Source", box=box.SIMPLE)
    for key, parameter in preset.parameters.items():
        value = parameter.value if isinstance(parameter.value, str) else json.dumps(parameter.value)
        table.add_row(
            *(Text(cell) for cell in (key, value, parameter.unit, parameter.standing, parameter.source))
        )
    return table


def _print_outlook(expected: Outlook) -> None:
    """Print tables that fit the terminal, and lines that it wraps."""
    from lifesim.fleet.outlook import NEVER_S, duration, number

    console = _console()
    for group in expected.groups:
        settings, duty, costs = group.group, group.duty, group.operations
        visits = "" if duty.interval_s is None else f" every {duration(duty.interval_s)}"
        technology, site = settings.technology.preset or "custom", settings.site.preset or "custom"
        print(
            f"Group {group.name}: {settings.count} x {settings.network.name}, {technology}, {site}; ",
            end="",
        )
        print(f"{settings.schedule.kind}{visits}")
        console.print(_layer_table(group, expected.times_s))
        if duty.interval_s is not None:
            print(
                f"Visits: {duration(duty.visit.latency_ns / 1e9)} each, {duty.share_of_time:.2g} of the time; "
                f"{number(duty.cycles_per_year)} programming cycles a year."
            )
        print(
            f"Operations: test {duration(costs.aet_read.latency_ns / 1e9)} a read, "
            f"read-back {duration(costs.readback.latency_ns / 1e9)}, diagnosis {duration(costs.diagnosis.latency_ns / 1e9)}, "
            f"refresh {duration(costs.programming.latency_ns / 1e9)}.\n"
        )
    print(
        "Expected faulty cells of the nominal device, without what alarms lead to; drift between rewrites at its worst."
    )
    print(f"Never: not within {duration(NEVER_S)}.")
    load = f"load in the worst year at most {expected.cloud_load:.2g}" if expected.cloud_load else "no load"
    print(f"Cloud: {load}; a job takes {duration(expected.service_s)} on average.")
    for warning in expected.warnings:
        print(f"Warning: {warning}")


def _layer_table(group: GroupOutlook, times_s: Sequence[float]) -> Table:
    from rich import box
    from rich.table import Table

    from lifesim.fleet.outlook import HARMFUL, NOTICEABLE, duration, number

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    faulty = [f"Faulty\nat {duration(time_s)}" for time_s in times_s]
    times = [f"{share:.{digits}%}\nafter" for share, digits in ((NOTICEABLE, 2), (HARMFUL, 1))]
    for heading in ("Layer", "Cells", "Writes\na year", "", *faulty, "Faulty\na year", *times):
        # What does not fit is folded: a number cut short would be another number.
        table.add_column(heading, justify="left" if heading in ("Layer", "") else "right", overflow="fold")
    for row in group.layers:
        first = row.mechanism == "wear"
        accumulates = first or math.isinf(row.rewritten_every_s)
        table.add_row(
            *((row.layer, number(row.cells), number(row.cycles_per_year)) if first else ("", "", "")),
            row.mechanism,
            *map(number, row.faulty),
            number(row.faulty_per_year) if accumulates else "-",
            duration(row.noticeable_s),
            duration(row.harmful_s),
        )
    return table


def _console():
    """Return a console that wraps at the terminal's width, or late where the output goes to a file."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200)


for command in (compare, report, optimise, sweep, paper):
    command.register(app)
