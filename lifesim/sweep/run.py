"""Run a sweep: every task once, wherever the executor puts it; what is finished is in a journal, and from there goes to the tables."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifesim.errors import LifesimError, UserError
from lifesim.experiment.journal import Journal
from lifesim.experiment.tables import csv_bytes
from lifesim.files import atomic_write
from lifesim.scenario.models import Scenario
from lifesim.sweep import dataset
from lifesim.sweep.dataset import Row
from lifesim.sweep.pictures import draw
from lifesim.sweep.plan import Plan, Point
from lifesim.sweep.sensitivity import COLUMNS, sensitivity_table
from lifesim.sweep.tasks import Failure, Task, measures_of, run_tasks

JOURNAL = "tasks.journal"
MANIFEST = "sweep.json"
FAILURES = "failures.csv"
_ABOUT = {"holds": "results of a sweep", "format": "1"}
_AHEAD = 2  # jobs a worker

Progress = Callable[[float, str], None]


@dataclass(slots=True)
class Sweep:
    """A sweep that has been run: how many tasks it has, how many of them had been finished before, and which failed, with what."""

    directory: Path
    tasks: int = 0
    found: int = 0
    failed: list[tuple[Where, Failure]] = field(default_factory=list)
    dropped_bytes: int = 0
    pictures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Where:
    """Which task: numbers of point and replication, counted from 0, the region, the schedule by its label."""

    point: int
    values: Point
    schedule: str
    replication: int
    region: int


@dataclass(slots=True)
class _Point:
    """A point's tasks: their keys [schedules][replications][regions]."""

    values: Point
    keys: list[list[list[bytes]]]


def run_sweep(
    plan: Plan,
    directory: str | Path,
    executor: Executor,
    *,
    workers: int = 1,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = lambda share, doing: None,
) -> Sweep:
    """Run what of a sweep is not finished in ``directory`` on ``executor``, of so many workers, and write its tables.

    A task that fails is written to failures.csv with its parameters, and the others go on. The files depend on the sweep alone, on the executor neither as to what
    nor as to how many. Raises UserError for points that are no scenarios, before anything is written, and where ``directory`` holds something else and ``force``
    is not given.
    """
    directory = Path(directory)
    progress(0.0, "points")
    points = [_point(plan, values) for values in plan.points()]
    _refuse_to_mix(directory, force)
    sweep = Sweep(directory)
    try:
        with Journal(directory / JOURNAL, _ABOUT) as journal:
            sweep.dropped_bytes = journal.dropped
            _run(plan, points, journal, executor, workers, device, progress, sweep)
            progress(1.0, "tables")
            _write(plan, points, journal, sweep)
    except OSError as error:
        raise LifesimError(f"{error.filename or directory}: {error.strerror or error}") from error
    return sweep


def _point(plan: Plan, values: Point) -> _Point:
    keys = []
    for schedule in plan.schedules:
        scenario = plan.scenario(values, schedule)
        keys.append(
            [
                [Task(_drawn(scenario, number), region).key for region in range(scenario.regions.count)]
                for number in range(plan.replications)
            ]
        )
    return _Point(values, keys)


def _drawn(scenario: Scenario, replication: int) -> Scenario:
    return scenario.model_copy(update={"replication": scenario.replication + replication})


def _run(
    plan: Plan,
    points: Sequence[_Point],
    journal: Journal,
    executor: Executor,
    workers: int,
    device: str,
    progress: Progress,
    sweep: Sweep,
) -> None:
    sweep.tasks = sum(len(of_one) for p in points for of_schedule in p.keys for of_one in of_schedule)
    jobs = _jobs(plan, points, journal)
    done = sweep.found = sum(
        key in journal for p in points for of_schedule in p.keys for of_one in of_schedule for key in of_one
    )
    running: dict[Future, list[tuple[Where, bytes]]] = {}
    progress(done / sweep.tasks, "tasks")
    try:
        while True:
            while len(running) < (_AHEAD * workers if workers > 1 else 1) and (job := next(jobs, None)):
                tasks, wheres = job
                running[executor.submit(run_tasks, tasks, device)] = wheres
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                wheres = running.pop(future)
                error = future.exception()
                if error is None:
                    results = future.result()
                else:  # its process died, again and again, or was told that it is the wrong one
                    results = [Failure(" ".join(f"{type(error).__name__}: {error}".split()))] * len(wheres)
                for (where, key), result in zip(wheres, results, strict=True):
                    if isinstance(result, Failure):
                        sweep.failed.append((where, result))
                    else:
                        journal.add(key, result.encode())
                    done += 1
                progress(min(1.0, done / sweep.tasks), "tasks")
    finally:
        for future in running:
            future.cancel()
    sweep.failed.sort(key=lambda each: (each[0].point, each[0].replication, each[0].region, each[0].schedule))


def _jobs(
    plan: Plan, points: Sequence[_Point], journal: Journal
) -> Iterator[tuple[list[Task], list[tuple[Where, bytes]]]]:
    """Yield the tasks that are not finished, those of the same devices under different schedules together, each once."""
    asked: set[bytes] = set()
    for number, point in enumerate(points):
        for replication in range(plan.replications):
            regions = max(len(of_schedule[replication]) for of_schedule in point.keys)
            for region in range(regions):
                tasks, wheres = [], []
                for schedule, of_schedule in zip(plan.schedules, point.keys, strict=True):
                    if region >= len(of_schedule[replication]):
                        continue
                    key = of_schedule[replication][region]
                    if key in journal or key in asked:
                        continue
                    asked.add(key)
                    scenario = _drawn(plan.scenario(point.values, schedule), replication)
                    tasks.append(Task(scenario, region))
                    wheres.append((Where(number, point.values, schedule.label, replication, region), key))
                if tasks:
                    yield tasks, wheres


def _rows(plan: Plan, points: Sequence[_Point], journal: Journal) -> Iterator[Row]:
    """Yield what is finished, in order."""
    for number, point in enumerate(points):
        for schedule, of_schedule in zip(plan.schedules, point.keys, strict=True):
            scenario: Scenario | None = None
            for replication, keys in enumerate(of_schedule):
                results = [journal.get(key) for key in keys]
                if None in results:
                    continue
                scenario = scenario or plan.scenario(point.values, schedule)
                measures = measures_of(scenario, [result.decode() for result in results])
                yield Row(number, schedule.label, scenario.replication + replication, point.values, measures)


def _write(plan: Plan, points: Sequence[_Point], journal: Journal, sweep: Sweep) -> None:
    directory = sweep.directory
    (directory / MANIFEST).unlink(missing_ok=True)
    dataset.write(directory, plan.dimensions, _rows(plan, points, journal))
    table = sensitivity_table(plan, directory)
    atomic_write(directory / "sensitivity.csv", csv_bytes({column: table[column] for column in COLUMNS}))
    sweep.pictures = draw(plan, directory, table)
    _write_failures(plan, sweep)
    manifest: dict[str, Any] = {
        "scenario": str(plan.file.scenario),
        "set": list(plan.file.set),
        "seed": plan.file.seed,
        "design": plan.file.design.model_dump(),
        "vary": plan.file.vary,
        "schedules": [form.label for form in plan.schedules],
        "replications": plan.replications,
        "points": len(points),
        "tasks": sweep.tasks,
        "failed": len(sweep.failed),
        "lifesim": importlib.metadata.version("lifesim"),
    }
    atomic_write(directory / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False, default=str) + "\n")


def _write_failures(plan: Plan, sweep: Sweep) -> None:
    path = sweep.directory / FAILURES
    if not sweep.failed:
        path.unlink(missing_ok=True)
        return
    table: dict[str, list[Any]] = {
        "point": [where.point for where, _ in sweep.failed],
        "schedule": [where.schedule for where, _ in sweep.failed],
        "replication": [where.replication for where, _ in sweep.failed],
        "region": [where.region for where, _ in sweep.failed],
        **{
            dimension.key: [where.values[i] for where, _ in sweep.failed]
            for i, dimension in enumerate(plan.dimensions)
        },
        "error": [failure.error for _, failure in sweep.failed],
        "trace": [failure.trace for _, failure in sweep.failed],
    }
    atomic_write(path, csv_bytes(table))


def _refuse_to_mix(directory: Path, force: bool) -> None:
    try:
        if directory.exists() and not directory.is_dir():
            raise UserError(f"{directory}: is a file, not a directory")
        if force or not directory.is_dir() or (directory / JOURNAL).is_file():
            return
        if any(directory.iterdir()):
            raise UserError(
                f"{directory}: is not empty and holds no sweep; use --force to write into it, or -o for another directory"
            )
    except OSError as error:
        raise UserError(f"{directory}: cannot be used: {error.strerror}") from error
