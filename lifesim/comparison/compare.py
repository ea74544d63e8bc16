"""Compare schedules: replications of a scenario under each, until there are enough, and the tables of what they prove."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lifesim.comparison import tables
from lifesim.comparison.alternatives import Alternative
from lifesim.comparison.measures import MEASURES
from lifesim.comparison.results import MANIFEST, Comparison
from lifesim.comparison.statistics import LOOKS, is_narrow_enough, next_look
from lifesim.comparison.tasks import TASKS, Task, allow_tasks, make_task, run_tasks, stop_tasks
from lifesim.errors import LifesimError, UserError, did_you_mean
from lifesim.experiment.executors import InProcessExecutor
from lifesim.experiment.lives import report_times_ns
from lifesim.experiment.tables import Table, csv_bytes
from lifesim.files import atomic_write
from lifesim.fleet.clock import to_s
from lifesim.scenario.load import canonical_json, scenario_digest

REPLICATIONS = 8
_LOOK_FOR_RESULTS_S = 1.0

Progress = Callable[[float, str], None]


def compare(
    alternatives: Sequence[Alternative],
    directory: str | Path,
    executor: Executor,
    *,
    replications: int | None = None,
    until: Mapping[str, float] | None = None,
    baseline: str | None = None,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = lambda share, doing: None,
) -> Comparison:
    """Run every alternative in every replication on ``executor`` and write the tables to ``directory``.

    ``replications``: how many; 8 without ``until``. ``until``: by measure, how narrow the 95 % intervals of all differences to the ``baseline`` (the first
    alternative unless given) have to be; it is looked at after 8, 12, 16, 24, ... replications (``LOOKS``), up to ``replications`` if given.
    What ``directory`` holds of a comparison that was interrupted, or had fewer schedules or replications, is used. The files depend on the
    alternatives alone, not on the executor.

    Raises UserError for what cannot be asked, and where ``directory`` holds something else and ``force`` is not given.
    """
    directory = Path(directory)
    labels = [alternative.label for alternative in alternatives]
    baseline = labels[0] if baseline is None else baseline
    until = dict(until or {})
    _check(labels, baseline, until, replications)
    refuse_to_mix(directory, force)
    tasks: dict[str, list[Task]] = {label: [] for label in labels}
    enough, done = not until, 0
    try:
        allow_tasks(directory)
        while True:
            look = (replications or REPLICATIONS) if not until else next_look(done, LOOKS)
            if look is None or (replications is not None and done >= replications):
                break
            look = look if replications is None else min(look, replications)
            for alternative in alternatives:
                tasks[alternative.label] += [
                    make_task(alternative.scenario, number, directory) for number in range(done, look)
                ]
            run_replications(
                [[tasks[label][number] for label in labels] for number in range(done, look)],
                executor,
                directory,
                device,
                lambda share, first=done, last=look: progress(
                    share,
                    f"replications {first + 1} to {last}" if last > first + 1 else f"replication {last}",
                ),
            )
            done = look
            kept = {label: [task.result() for task in of_label] for label, of_label in tasks.items()}
            enough = all(
                is_narrow_enough(tables.samples(kept, measure), baseline, width)
                for measure, width in until.items()
            )
            if enough:
                break
        write_comparison(directory, alternatives, kept, baseline, until, enough)
    except OSError as error:
        raise LifesimError(f"{error.filename or directory}: {error.strerror or error}") from error
    return Comparison(directory)


def run_replications(
    by_replication: Sequence[Sequence[Task]],
    executor: Executor,
    directory: Path,
    device: str,
    on_share: Callable[[float], None],
) -> None:
    """Run the tasks that have no result yet, those of a replication one after another in one process."""
    missing = [[task for task in of_one if task.result() is None] for of_one in by_replication]
    whole = sum(map(len, by_replication))
    finished = whole - sum(map(len, missing))

    def on_task() -> None:
        nonlocal finished
        finished += 1
        on_share(finished / whole)

    on_share(finished / whole)
    here = isinstance(executor, InProcessExecutor)
    try:
        futures = [
            executor.submit(run_tasks, of_one, device, *([on_task] if here else []))
            for of_one in missing
            if of_one
        ]
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=_LOOK_FOR_RESULTS_S)
            on_share(sum(task.path.exists() for of_one in by_replication for task in of_one) / whole)
        for future in futures:
            future.result()
    except BaseException:
        stop_tasks(directory)
        raise


def write_comparison(
    directory: Path,
    alternatives: Sequence[Alternative],
    kept: dict[str, list[dict[str, Any]]],
    baseline: str,
    until: dict[str, float],
    enough: bool,
) -> None:
    """Write the tables of a comparison, and its manifest last: whoever finds that finds the tables.

    ``kept``: what each task kept, by label, in the order of the replications.
    """
    scenario = alternatives[0].scenario
    currency = None if scenario.prices is None else scenario.prices.currency
    times_s = [to_s(time_ns) for time_ns in report_times_ns(scenario)]
    files: dict[str, Table] = {
        "comparison.csv": tables.comparison_table(kept, currency),
        "pairs.csv": tables.pairs_table(kept, baseline, currency),
        "replications.csv": tables.replications_table(kept, scenario.replication),
        "curves.csv": tables.curves_table(kept, times_s),
        "spells.csv": tables.spells_table(kept),
        "wear.csv": tables.wear_table(kept),
        "pareto.csv": tables.pareto_table(kept),
    }
    for name, table in files.items():
        atomic_write(directory / name, csv_bytes(table))
    manifest = {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "first_replication": scenario.replication,
        "replications": len(kept[baseline]),
        "baseline": baseline,
        "until": until,
        "precise_enough": enough,
        "currency": currency,
        "lifesim": importlib.metadata.version("lifesim"),
        "schedules": [
            {
                "label": alternative.label,
                "digest": scenario_digest(alternative.scenario),
                "scenario": json.loads(canonical_json(alternative.scenario)),
            }
            for alternative in alternatives
        ],
        "measures": {
            name: asdict(MEASURES[name]) | {"unit": tables.unit(name, currency)}
            for name in tables.measured(kept)
        },
    }
    atomic_write(directory / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _check(
    labels: Sequence[str], baseline: str, until: Mapping[str, float], replications: int | None
) -> None:
    if baseline not in labels:
        raise UserError(
            f'--baseline: "{baseline}" is not among the schedules; allowed: {", ".join(labels)}{did_you_mean(baseline, labels)}'
        )
    least = LOOKS[0] if until else 1
    if replications is not None and replications < least:
        why = " with --until-ci" if until else ""
        raise UserError(f"--replications {replications}: must be at least {least}{why}")
    for measure, width in until.items():
        if measure not in MEASURES:
            raise UserError(
                f"--until-ci: no measure {measure!r}; allowed: {', '.join(MEASURES)}{did_you_mean(measure, MEASURES)}"
            )
        if not width > 0:
            raise UserError(f"--until-ci {measure}={width:g}: must be above 0")


def refuse_to_mix(directory: Path, force: bool) -> None:
    """Raise UserError where ``directory`` is a file, or holds something that is no comparison."""
    try:
        if directory.exists() and not directory.is_dir():
            raise UserError(f"{directory}: is a file, not a directory")
        if force or not directory.is_dir() or (directory / TASKS).is_dir():
            return
        if any(directory.iterdir()):
            raise UserError(
                f"{directory}: is not empty and holds no comparison; use --force to write into it, or -o for another directory"
            )
    except OSError as error:
        raise UserError(f"{directory}: cannot be used: {error.strerror}") from error
