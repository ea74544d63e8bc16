"""One run of one scenario: simulate, observe, account, write."""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import Executor
from pathlib import Path
from typing import Literal

import torch

from lifesim.errors import LifesimError, UserError
from lifesim.experiment import tables
from lifesim.experiment.assignment import Assignment
from lifesim.experiment.directory import ResultDirectory
from lifesim.experiment.executors import make_executor
from lifesim.experiment.lives import Fidelity, Progress
from lifesim.experiment.log import open_log
from lifesim.experiment.multifidelity import FEWEST_EXACT
from lifesim.experiment.regional import run_both, run_regions
from lifesim.experiment.remembering import RememberingExecutor
from lifesim.experiment.results import Result
from lifesim.experiment.single import run_single
from lifesim.fleet.outlook import outlook
from lifesim.fleet.records import DeviceRecord
from lifesim.fleet.surrogate.scope import check_surrogate
from lifesim.scenario.load import scenario_digest
from lifesim.scenario.models import Scenario

_log = logging.getLogger("lifesim")


def run_to_directory(
    scenario: Scenario,
    directory: str | Path,
    *,
    stepped: bool = False,
    device: str = "cpu",
    workers: int = 1,
    fidelity: Fidelity | Literal["multi"] = "exact",
    exact_regions: int = 8,
    force: bool = False,
    resume: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
    log_json: str | Path | None = None,
) -> Result:
    """Run a scenario and write its result directory; see docs/outputs.md for the files.

    The CSVs depend on the scenario and its seed alone (on one type of processor and the same versions), whatever ``stepped``,
    ``workers`` or ``executor``, which replaces the processes of this machine. While it runs, what has been worked out goes to a journal in the directory; with
    ``resume`` a run that was interrupted or killed looks it up and goes on, and one that has finished is left as it is. Raises UserError if ``directory`` holds files and ``force`` is not given, or for a torch ``device`` that is not there, or what a
    surrogate cannot do. ``fidelity``: "surrogate" predicts what networks do instead of evaluating them, "multi" does both: all regions predicted, ``exact_regions`` of them
    evaluated, too. On
    KeyboardInterrupt the trace so far and a manifest that says "interrupted" are written, and the exception goes on. After any other
    error the manifest says "failed".
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available; allowed: cpu")
    if workers < 1:
        raise UserError(f"--workers {workers}: must be at least 1")
    if fidelity != "exact":
        check_surrogate(scenario)
    if fidelity == "multi" and not FEWEST_EXACT <= exact_regions < scenario.regions.count:
        raise UserError(
            f"--exact-regions {exact_regions}: must be at least {FEWEST_EXACT} and fewer than the scenario's regions (regions.count = {scenario.regions.count})"
        )
    expected = outlook(scenario)
    how = {"stepped": stepped, "device": device, "workers": workers, "fidelity": fidelity}
    output = ResultDirectory(Path(directory), scenario, how, force, resume)
    if output.finished:
        output.forget()
        return Result(output.path)
    records: list[DeviceRecord] = []
    begun = False  # nothing of another run has been touched before that
    with open_log(log_json, scenario=scenario.name, seed=scenario.seed) as log:
        try:
            if not resume:
                output.clear()
            with output.journal() as journal:
                output.clear(journal=False)
                output.write_manifest("running")
                begun = True
                log.info("run started", directory=str(directory), digest=scenario_digest(scenario), **how)
                for warning in expected.warnings:
                    log.warning(warning)
                if resume:
                    log.info("resumed", results=len(journal), dropped_bytes=journal.dropped)
                if journal.dropped:
                    _log.warning(
                        f"{journal.path}: the last {journal.dropped} bytes are not whole; what they were is worked out again"
                    )
                with contextlib.ExitStack() as stack:
                    remembering = RememberingExecutor(
                        executor or stack.enter_context(make_executor(workers)), journal
                    )
                    assignment = Assignment(
                        scenario,
                        expected,
                        output,
                        remembering,
                        workers,
                        stepped,
                        device,
                        "surrogate" if fidelity == "multi" else fidelity,
                        progress or _no_progress,
                        log,
                        records,
                    )
                    if fidelity == "multi":
                        run_both(assignment, exact_regions)
                    elif scenario.regions.count > 1:
                        run_regions(assignment)
                    else:
                        run_single(assignment)
                output.write_manifest("finished")
                journal.delete()
            log.info("run finished")
        except KeyboardInterrupt:
            if scenario.regions.count == 1:
                output.write(
                    "events.parquet", tables.events_parquet([(record, record.events) for record in records])
                )
            output.write_manifest("interrupted")
            log.warning("run interrupted")
            raise
        except Exception as error:
            if begun:
                with contextlib.suppress(OSError):  # the disk may be full
                    output.write_manifest("failed")
            log.error("run failed", error=repr(error))
            if isinstance(error, OSError):
                raise LifesimError(f"{error.filename or directory}: {error.strerror or error}") from error
            raise
    return Result(output.path)


def _no_progress(share: float, doing: str) -> None:
    pass
