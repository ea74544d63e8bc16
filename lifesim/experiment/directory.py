"""The result directory of a run: every file whole or not there, and a manifest that says how far the run is."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import platform
import time
from pathlib import Path
from typing import Any, BinaryIO

import torch

from lifesim.errors import UserError
from lifesim.experiment.results import FILES
from lifesim.experiment.stopwatch import peak_memory_bytes
from lifesim.files import atomic_file, atomic_write
from lifesim.scenario.load import canonical_json, scenario_digest
from lifesim.scenario.models import Scenario

_PACKAGES = ("lifesim", "numpy", "pandas", "pyarrow", "scipy", "simpy", "torch", "zstandard")


class ResultDirectory:
    """Where a run of ``scenario`` writes; ``how`` (workers, ...) is noted in the manifest.

    Raises UserError where ``path`` cannot take results, or holds something and ``force`` is not given. Nothing is touched before
    :meth:`clear`.
    """

    def __init__(self, path: Path, scenario: Scenario, how: dict[str, Any], force: bool):
        _refuse_to_mix(path, force)
        self.path = path
        self._scenario = scenario
        self._how = how
        self._seconds: dict[str, float] = {}
        self._parts: dict[str, dict[str, float]] = {}
        self._phase_started = time.perf_counter()

    def clear(self) -> None:
        """Remove the result files of an earlier run; what else lies there stays."""
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        atomic_write(self.path / name, data)

    def open(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Give a file to write to, piece by piece; it is there when the block has ended."""
        return atomic_file(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        """Write plain values as JSON."""
        self.write(name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def phase_done(self, name: str) -> None:
        """Note the wall-clock seconds since the phase before."""
        now = time.perf_counter()
        self._seconds[name], self._phase_started = round(now - self._phase_started, 3), now

    def note_parts(self, phase: str, parts: dict[str, float], rest: str) -> None:
        """Note what a finished phase consisted of, in wall-clock seconds; ``rest`` names what its parts leave."""
        left = self._seconds[phase] - sum(parts.values())
        self._parts[phase] = {name: round(s, 3) for name, s in (*parts.items(), (rest, left))}

    def write_manifest(self, status: str) -> None:
        """Write what is run, with what, and how far it is: "running", "finished", "interrupted", "failed"."""
        manifest = {
            "status": status,
            "scenario_digest": scenario_digest(self._scenario),
            "scenario": json.loads(canonical_json(self._scenario)),
            "seed": self._scenario.seed,
            **self._how,
            "versions": {
                "python": platform.python_version(),
                **_versions(),
            },
            "machine": {
                "system": platform.system(),
                "processor": platform.machine(),
                "capability": torch.backends.cpu.get_cpu_capability(),
            },
            "wall_clock_s": self._seconds,
            "of_which_s": self._parts,
            "peak_memory_bytes": peak_memory_bytes(),
        }
        self.write_json("manifest.json", manifest)


@functools.cache
def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def _refuse_to_mix(path: Path, force: bool) -> None:
    try:
        if path.exists() and not path.is_dir():
            raise UserError(f"{path}: is a file, not a directory")
        if not force and path.is_dir() and any(path.iterdir()):
            raise UserError(
                f"{path}: is not empty; use --force to replace the results in it, or -o for another directory"
            )
    except OSError as error:
        raise UserError(f"{path}: cannot be used: {error.strerror}") from error
