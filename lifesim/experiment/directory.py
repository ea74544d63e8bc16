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
from lifesim.experiment.journal import Journal
from lifesim.experiment.results import ESTIMATES, FILES
from lifesim.experiment.stopwatch import peak_memory_bytes
from lifesim.experiment.versions import versions
from lifesim.files import atomic_file, atomic_write
from lifesim.scenario.load import canonical_json, scenario_digest
from lifesim.scenario.models import Scenario

JOURNAL = "run.journal"
_JOURNAL_FORMAT = "1"  # raised when what is written down, or what it depends on, changes
_PACKAGES = ("lifesim", "numpy", "pandas", "pyarrow", "scipy", "simpy", "torch", "zstandard")


class ResultDirectory:
    """Where a run of ``scenario`` writes; ``how`` (workers, ...) is noted in the manifest.

    Raises UserError where ``path`` cannot take results, or holds something and ``force`` is not given; to ``resume``, where it holds anything but
    a run of this scenario. ``finished``: it holds all of that. Nothing is touched before :meth:`clear`.
    """

    def __init__(
        self, path: Path, scenario: Scenario, how: dict[str, Any], force: bool, resume: bool = False
    ):
        self.finished = resume and _refuse_other(path, scenario_digest(scenario), how)
        if not resume:
            _refuse_to_mix(path, force)
        self.path = path
        self._scenario = scenario
        self._how = how
        self._seconds: dict[str, float] = {}
        self._parts: dict[str, dict[str, float]] = {}
        self._notes: dict[str, Any] = {}
        self._phase_started = time.perf_counter()

    def clear(self, journal: bool = True) -> None:
        """Remove the result files of an earlier run, and what it left unfinished; what else lies there stays, and so does the journal if told so."""
        for name in (*FILES, ESTIMATES, *([JOURNAL] if journal else [])):
            (self.path / name).unlink(missing_ok=True)
            for unfinished in self.path.glob(f".{name}.*.part"):
                unfinished.unlink(missing_ok=True)

    def journal(self) -> Journal:
        """Open the journal of the run."""
        return Journal(self.path / JOURNAL, self._about())

    def forget(self) -> None:
        """Remove the journal of a run that was killed when all had been written."""
        (self.path / JOURNAL).unlink(missing_ok=True)

    def _about(self) -> dict[str, str]:
        return {
            "scenario": scenario_digest(self._scenario),
            "device": str(self._how.get("device")),
            "fidelity": str(self._how.get("fidelity", "exact")),
            "versions": " ".join(versions()),
            "format": _JOURNAL_FORMAT,
        }

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        atomic_write(self.path / name, data)

    def open(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Give a file to write to, piece by piece; it is there when the block has ended."""
        return atomic_file(self.path / name)

    def write_json(self, name: str, value: Any) -> None:
        """Write plain values as JSON."""
        self.write(name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())

    def note(self, name: str, value: Any) -> None:
        """Have the manifest say something more."""
        self._notes[name] = value

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
            **self._notes,
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


def _refuse_other(path: Path, digest: str, how: dict[str, Any]) -> bool:
    """Return whether a directory holds a finished run of the scenario. Raises UserError where it holds something else than a run of it."""
    try:
        if path.exists() and not path.is_dir():
            raise UserError(f"{path}: is a file, not a directory")
        if not path.is_dir() or not any(path.iterdir()):
            return False
        manifest = path / "manifest.json"
        if not manifest.is_file():
            if (path / JOURNAL).is_file():
                return False  # killed before it got so far; the journal says whose it is
            raise UserError(f"{path}: holds no run that could be resumed; -o names its directory")
        try:
            there = json.loads(manifest.read_text(encoding="utf-8"))
            status, other = there["status"], there["scenario_digest"]
            fidelity = there.get("fidelity", "exact")
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{manifest}: is not the manifest of a run") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be used: {error.strerror}") from error
    if other != digest:
        raise UserError(
            f"{path}: holds a run of another scenario (digest {other[:12]}, not {digest[:12]}): file, --set and --seed must be what they were"
        )
    if fidelity != how.get("fidelity", "exact"):
        raise UserError(f"{path}: holds a run with --fidelity {fidelity}, which must be what it was")
    return status == "finished"


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
