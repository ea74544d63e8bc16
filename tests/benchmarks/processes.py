"""Runs of ``lifesim`` as a user starts them, in a process of their own, and what they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parents[2]
SCENARIOS = Path(__file__).with_name("scenarios")
_SAMPLED_EVERY_S = 2.0  # looking takes a while where much memory is held


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its workers took: seconds; bytes of memory that they held together at most (sampled; shared pages count once)."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: what it took, and its manifest."""

    usage: Usage
    directory: Path
    manifest: dict[str, Any]


def run_scenario(
    scenario: Path, directory: Path, settings: Sequence[str] = (), options: Sequence[str] = ()
) -> Run:
    """Run a scenario file with ``settings`` ("key=value") into ``directory``. Raises RuntimeError if that fails."""
    command = [
        sys.executable,
        "-m",
        "lifesim",
        "run",
        str(scenario),
        "-o",
        str(directory),
        "--quiet",
        *options,
    ]
    for setting in settings:
        command += ["--set", setting]
    usage = _run(command)
    return Run(usage, directory, json.loads((directory / "manifest.json").read_text(encoding="utf-8")))


def _run(command: Sequence[str]) -> Usage:
    began = perf_counter()
    process = subprocess.Popen(command, cwd=ROOT)
    ended, peak = threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(_SAMPLED_EVERY_S):
            peak[0] = max(peak[0], _held_bytes(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        ended.set()
        watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    largest = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(perf_counter() - began, used.ru_utime + used.ru_stime, max(peak[0], largest))


def _held_bytes(pid: int) -> int:
    """Return the proportional set size of a process and all that it started; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="utf-8").split()
        ]
    except (OSError, ProcessLookupError):
        return 0  # it has just ended
    own = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return own + sum(_held_bytes(child) for child in children)
