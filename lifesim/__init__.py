"""lifesim simulates the lifetime of a fleet of edge-AI devices built on ReRAM crossbars.

>>> import lifesim
>>> scenario = lifesim.load("scenarios/quickstart.toml", ["group.cameras.count=2"], seed=7)  # doctest: +SKIP
>>> result = lifesim.run(scenario, "results/two-cameras")  # doctest: +SKIP
>>> result.fleet[["time_s", "accuracy_mean", "in_spec_availability"]]  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lifesim.errors import LifesimError, UserError

if TYPE_CHECKING:
    from lifesim.comparison.results import Comparison
    from lifesim.experiment.results import Result
    from lifesim.scenario.models import Scenario

__all__ = ["LifesimError", "UserError", "compare", "load", "read", "run"]


def load(path: str | Path, overrides: Sequence[str] = (), seed: int | None = None) -> Scenario:
    """Return the scenario of a TOML file.

    Parameters
    ----------
    path : the file
    overrides : "dotted.key=value", as ``lifesim run --set`` takes them
    seed : replaces the file's

    Raises UserError, one line for each mistake: file, key, what was given, what is allowed.
    """
    from lifesim.scenario.load import load_scenario

    return load_scenario(path, overrides, seed)


def run(
    scenario: Scenario,
    directory: str | Path,
    *,
    stepped: bool = False,
    device: str = "cpu",
    workers: int = 1,
    force: bool = False,
    resume: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> Result:
    """Run a scenario, write its results to ``directory``, and return them as pandas frames.

    Parameters
    ----------
    stepped : wake every device at every visit instead of skipping ahead; slower, the same bytes
    device : torch device, "cpu" or "cuda"
    workers : processes for retraining and accuracy; the same bytes for any number
    force : replace the results in a directory that is not empty
    resume : go on with a run of this scenario that was interrupted or killed there
    progress : called with the share done and what is being done

    Raises UserError (unusable input), LifesimError (anything else that was foreseen).
    """
    from lifesim.experiment.run import run_to_directory

    return run_to_directory(
        scenario,
        directory,
        stepped=stepped,
        device=device,
        workers=workers,
        force=force,
        resume=resume,
        progress=progress,
    )


def compare(
    path: str | Path,
    schedules: str,
    directory: str | Path,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    replications: int | None = None,
    until: Mapping[str, float] | None = None,
    baseline: str | None = None,
    workers: int = 1,
    device: str = "cpu",
    force: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> Comparison:
    """Run the scenario of a TOML file under several schedules on the same devices, write the comparison to ``directory``, and return it.

    Parameters
    ----------
    schedules : as ``lifesim compare --schedules`` takes them: "never,periodic:7d,readback{interval_s=7d,alarm_cells=20}"
    replications : fleets that each is tried on; 8 without ``until``
    until : by measure, how narrow the intervals of all differences to the baseline have to be
    baseline : label of the schedule that the others are compared with; the first by default
    workers : processes; the same bytes for any number

    The other parameters are those of :func:`load` and :func:`run`. Raises UserError, LifesimError as these do.
    """
    from lifesim.comparison.alternatives import load_alternatives
    from lifesim.comparison.compare import compare as run_comparison
    from lifesim.experiment.executors import make_executor

    alternatives = load_alternatives(path, schedules, overrides, seed)
    with make_executor(workers) as executor:
        return run_comparison(
            alternatives,
            directory,
            executor,
            replications=replications,
            until=until,
            baseline=baseline,
            device=device,
            force=force,
            **({} if progress is None else {"progress": progress}),
        )


def read(directory: str | Path) -> Result:
    """Return the results that an earlier run wrote to ``directory``. Raises UserError if there are none."""
    from lifesim.experiment.results import read_result

    return read_result(directory)
