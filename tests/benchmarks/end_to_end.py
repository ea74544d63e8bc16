"""Whole runs: as they are, against the same fleet stepped through test by test, each state read by itself on the plain path, and judged on all pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from tests.benchmarks import harness
from tests.benchmarks.processes import SCENARIOS, Run, run_scenario

_SCENARIO = SCENARIOS / "worn_cameras.toml"
_NO_RETRAINING = "group.cameras.policy.call.faults=1000000000"
_NOTE = (
    "LeNet, one-bit cells, ten years, a test of 16 pictures every week, accuracy on 1,000 pictures every 30 days, no "
    "retraining; CPU time from start to end, of one process each; each round has a seed of its own. Both write the same bytes"
)


def measure(repeats: int = 5, quick: bool = False, console: Console | None = None) -> list[harness.Row]:
    """Return rows of seconds. Raises RuntimeError if the verdicts differ."""
    cases = ((1, 1, 0.0), (1, 1, 0.003)) if quick else ((10, repeats, 0.0), (3, repeats, 0.003), (50, 1, 0.0))
    rows = []
    for devices, rounds, noise in cases:
        settings = [
            f"group.cameras.count={devices}",
            _NO_RETRAINING,
            f"group.cameras.technology.read_noise={noise}",
        ]
        rows += _compare(f"{devices} LeNet devices, read noise {100 * noise:g} %", settings, rounds, console)
    return rows


def _compare(case: str, settings: list[str], rounds: int, console: Console | None) -> list[harness.Row]:
    slow, fast = harness.Times([], []), harness.Times([], [])
    for seed in range(1, rounds + 1):
        with tempfile.TemporaryDirectory() as place:
            runs = {}
            for what, times, options in (("stepped", slow, ["--stepped"]), ("lifesim", fast, [])):
                directory = Path(place) / what
                runs[what] = run_scenario(_SCENARIO, directory, settings, ["--seed", str(seed), *options])
                times.wall_s.append(runs[what].usage.wall_s)
                times.cpu_s.append(runs[what].usage.cpu_s)
                if console:
                    console.print(f"end_to_end, {case}, seed {seed}, {what}: {runs[what].usage.wall_s:.1f} s")
            _check_verdicts(runs["stepped"], runs["lifesim"])
    return [
        harness.seconds_row(
            "end_to_end", case, what, times.cpu_s,
            ratio=harness.ratio(times.cpu_s, slow.cpu_s), ratio_to="stepped", note=_NOTE,
        )
        for what, times in (("stepped", slow), ("lifesim", fast))
    ]  # fmt: skip


def _check_verdicts(one: Run, other: Run) -> None:
    for path in sorted(one.directory.iterdir()):
        if (
            path.suffix in (".csv", ".parquet")
            and path.read_bytes() != (other.directory / path.name).read_bytes()
        ):
            raise RuntimeError(f"{path.name} differs")
