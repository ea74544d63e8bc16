"""``python -m tests.benchmarks.sweeping``: one sweep with one process, two processes and a dask cluster of two: the same files, and how much faster.

The sweep is scenarios/sweeps/interval_and_heat.toml, 64 points, with eight devices each instead of two. Efficiency is the time with one worker over twice the time with two. Workers are started and have
run a task each, with their kernels compiled, before the clock starts: a cluster is there already, and processes start once a sweep. Rounds take turns.

Wall time wants a machine that does nothing else. Efficiency by CPU time does not: two cores need at least the CPU time of the busiest process, and half that of all
processes together (scheduler included); it is that of one worker over twice the larger of the two.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psutil
import typer

from lifesim.experiment.cluster import DaskExecutor
from lifesim.experiment.executors import InProcessExecutor, SpawnedExecutor
from lifesim.sweep.plan import load_plan
from lifesim.sweep.run import JOURNAL, run_sweep
from lifesim.sweep.tasks import Task, run_tasks

SWEEP = Path(__file__).parents[2] / "scenarios" / "sweeps" / "interval_and_heat.toml"


@contextmanager
def _cluster() -> Iterator[Executor]:
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        DaskExecutor(cluster.scheduler_address) as executor,
    ):
        yield executor


WAYS: dict[str, tuple[Callable[[], Executor], int]] = {
    "one worker": (InProcessExecutor, 1),
    "two processes": (functools.partial(SpawnedExecutor, 2), 2),
    "dask, two workers": (_cluster, 2),
}


def cpu_s() -> dict[int, float]:
    """Return the CPU time of this process and of each below it."""
    here = psutil.Process()
    times = {process.pid: process.cpu_times() for process in (here, *here.children(recursive=True))}
    return {pid: each.user + each.system for pid, each in times.items()}


def least_s(before: dict[int, float], after: dict[int, float]) -> float:
    """Return what two cores need at least for what processes did between: the busiest, or half of all."""
    spent = [cpu - before.get(pid, 0.0) for pid, cpu in after.items()]
    return max(*spent, sum(spent) / 2) if len(spent) > 1 else spent[0]


def files(directory: Path) -> dict[str, bytes]:
    """Return all files but the journal, whose tasks stand in the order in which they finished."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != JOURNAL
    }


def main(
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; the table has their medians.")] = 3,
    devices: Annotated[int, typer.Option(min=1, help="Of each point.")] = 8,
) -> None:
    """Run the sweep in each way and print a table in Markdown."""
    plan = load_plan(SWEEP, [f"group.cameras.count={devices}"])
    first = Task(plan.scenario(next(plan.points()), plan.schedules[0]), 0)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    by_cpu: dict[str, list[float]] = {name: [] for name in WAYS}
    written: set[int] = set()
    for _ in range(repeats):
        for name, (make, workers) in WAYS.items():
            with tempfile.TemporaryDirectory() as directory, make() as executor:
                for future in [executor.submit(run_tasks, [first]) for _ in range(2 * workers)]:
                    future.result()
                before, start = cpu_s(), time.perf_counter()
                sweep = run_sweep(plan, directory, executor, workers=workers)
                seconds[name].append(time.perf_counter() - start)
                by_cpu[name].append(least_s(before, cpu_s()))
                assert sweep.tasks == 64 and not sweep.failed
                written.add(hash(tuple(sorted(files(Path(directory)).items()))))
    print("| 64 points | wall time | efficiency | CPU time | efficiency by CPU time |\n|---|---|---|---|---|")
    for name, (_, workers) in WAYS.items():
        cells = []
        for measured in (seconds, by_cpu):
            shares = [
                one / (workers * each)
                for one, each in zip(measured["one worker"], measured[name], strict=True)
            ]
            cells.append(f"{statistics.median(measured[name]):.1f} s")
            cells.append(
                f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
                if workers > 1
                else ""
            )
        print(f"| {name} | {' | '.join(cells)} |")
    print("Files: " + ("the same, byte for byte" if len(written) == 1 else f"{len(written)} different sets"))


if __name__ == "__main__":
    typer.run(main)
