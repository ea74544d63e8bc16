"""One run of the evaluation: train, choose pictures, measure, and write a CSV for each table and figure."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lifesim.errors import LifesimError, UserError
from lifesim.experiment.executors import make_executor
from lifesim.files import atomic_write
from lifesim.network.datasets import load_dataset
from lifesim.paper.items import ITEMS
from lifesim.paper.pictures import Chosen
from lifesim.paper.plan import COLUMNS, OUTCOME, Plan, prepare
from lifesim.paper.settings import Settings
from lifesim.paper.tasks import Task, work
from lifesim.paper.verdicts import judged, paper

Row = dict[str, Any]
Progress = Callable[[float, str], None]
_TRAINED = 0.1  # of a run's time, for the progress only
_PACKAGES = ("lifesim", "numpy", "scipy", "torch")


def reproduce(
    settings: Settings,
    directory: str | Path,
    items: Sequence[str] = tuple(ITEMS),
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, list[Row]]:
    """Write the CSVs of ``items`` into ``directory`` and return their rows.

    What an earlier run into the same directory has finished, with the same settings, is not done again. Same settings, versions and CPU
    type: same bytes, whatever ``workers`` and interruptions. Raises UserError for a directory that cannot be used or data that are not
    there.
    """
    directory, progress = Path(directory), progress or (lambda share, doing: None)
    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory}: is a file, not a directory")
    needed = _networks(settings, items)
    for name in needed:
        load_dataset(
            settings.network(name).data
        )  # what is missing is told, or fetched, before anything is done
    try:
        with make_executor(workers) as executor:
            digests = _trained(executor, settings, needed, progress)
            plan = Plan(settings, items, digests)
            choosing = plan.pictures()
            chosen = _done(executor, directory, list(choosing.values()), (_TRAINED, 2 * _TRAINED), progress)
            pictures = {key: Chosen(**chosen[task.name]) for key, task in choosing.items()}
            tasks = list(plan.tasks(pictures))
            results = _done(executor, directory, [task for _, task in tasks], (2 * _TRAINED, 1.0), progress)
        found: dict[str, list[Row]] = {item: [] for item in items}
        for item, task in tasks:
            reading = task.shaped_by.get("reading", {}).get("name", settings.reading)
            found[item] += [
                {**judged(row.get("figure", item), row), "reading": reading} for row in results[task.name]
            ]
        for item, rows in found.items():
            atomic_write(directory / f"{item}.csv", csv_text([*COLUMNS[item], *OUTCOME], rows))
        atomic_write(directory / "paper.json", json.dumps(_about(settings, digests), indent=2) + "\n")
    except OSError as error:
        raise LifesimError(f"{error.filename or directory}: {error.strerror or error}") from error
    progress(1.0, "done")
    return found


def _networks(settings: Settings, items: Sequence[str]) -> list[str]:
    """Return the networks that items need."""
    if set(items) <= {"table3"}:
        return []
    if set(items) <= {"table3", "fig5"}:
        return [name for name in settings.size.networks if name == "lenet"]
    return list(settings.size.networks)


def _trained(
    executor: Executor, settings: Settings, names: Sequence[str], progress: Progress
) -> dict[str, str]:
    """Return the digests of networks, trained or found in the cache."""
    futures = {}
    for number, name in enumerate(reversed(names)):  # the largest takes longest
        progress(_TRAINED * number / len(names), f"network {name}")
        futures[name] = executor.submit(prepare, settings, name)
    return {name: futures[name].result() for name in names}


def _done(
    executor: Executor,
    directory: Path,
    tasks: Sequence[Task],
    shares: tuple[float, float],
    progress: Progress,
) -> dict[str, Any]:
    """Return the results of tasks by name: those kept from before, and those done now."""
    start, end = shares
    found, futures, finished = {}, {}, 0.0
    total = sum(task.weight for task in tasks)

    def advance(doing: str) -> None:
        progress(start + (end - start) * finished / total, doing)

    # The longest first, so that no worker is left alone with one at the end.
    for task in sorted(tasks, key=lambda task: -task.weight):
        try:
            found[task.name] = task.kept(directory)
        except LookupError:
            advance(task.name)
            futures[executor.submit(work, task, directory)] = task
            if next(reversed(futures)).done():  # of an executor that works at once
                finished += task.weight
        else:
            finished += task.weight
    advancing = [future for future in futures if not future.done()]
    for future in as_completed(futures):
        found[futures[future].name] = future.result()
        if future in advancing:
            finished += futures[future].weight
            advance(futures[future].name)
    return found


def csv_text(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Return rows as CSV: numbers with six significant digits, nothing for None."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row.get(column)) for column in columns])
    return out.getvalue()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _about(settings: Settings, digests: dict[str, str]) -> dict[str, Any]:
    """Return what was run, on which data, with which versions."""
    data = {}
    for name in settings.size.networks:
        source = settings.network(name).data
        digest = load_dataset(source).digest.hex()
        copy = paper()["copies"].get(source.name, {})
        data[source.name] = {
            "digest": digest,
            "note": copy["note"] if copy.get("digest") == digest else "",
        }
    return {
        "settings": {key: value for key, value in asdict(settings).items() if key != "data"},
        "reading": asdict(settings.reading_of()),
        "networks": digests,
        "data": data,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }
