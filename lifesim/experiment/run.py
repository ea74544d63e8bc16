"""One run of one scenario: simulate, observe, account, write."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import structlog
import torch

from lifesim.errors import LifesimError, UserError
from lifesim.experiment import tables
from lifesim.experiment.accounting import account
from lifesim.experiment.executors import make_executor
from lifesim.experiment.observation import observe
from lifesim.experiment.results import FILES, Result
from lifesim.experiment.summary import summarise
from lifesim.files import atomic_write
from lifesim.fleet.clock import to_ns
from lifesim.fleet.outlook import outlook
from lifesim.fleet.records import DeviceRecord
from lifesim.fleet.simulation import make_plans, simulate
from lifesim.scenario.load import canonical_json, scenario_digest
from lifesim.scenario.models import Scenario

Progress = Callable[[float, str], None]  # share done in [0, 1], what is being done

# Shares of a run's time, for the progress bar only.
_SIMULATED, _OBSERVED = 0.75, 0.95


def run_to_directory(
    scenario: Scenario,
    directory: str | Path,
    *,
    stepped: bool = False,
    device: str = "cpu",
    workers: int = 1,
    force: bool = False,
    progress: Progress | None = None,
    log_json: str | Path | None = None,
) -> Result:
    """Run a scenario and write its result directory; see docs/outputs.md for the files.

    The CSVs depend on the scenario and its seed alone (on one type of processor and the same versions), whatever ``stepped`` or
    ``workers``. Raises UserError if ``directory`` holds files and ``force`` is not given, or for a torch ``device`` that is not there. On
    KeyboardInterrupt the trace so far and a manifest that says "interrupted" are written, and the exception goes on. After any other
    error the manifest says "failed".
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available; allowed: cpu")
    if workers < 1:
        raise UserError(f"--workers {workers}: must be at least 1")
    expected = outlook(scenario)
    directory = Path(directory)
    _refuse_to_mix(directory, force)
    log_file = _open_log(log_json)
    log = _logger(log_file).bind(scenario=scenario.name, seed=scenario.seed)
    report = progress or (lambda share, doing: None)
    output = _Output(scenario, directory, {"stepped": stepped, "device": device, "workers": workers})
    records: list[DeviceRecord] = []
    try:
        output.clear()
        with make_executor(workers) as executor:
            output.manifest("running")
            log.info("run started", directory=str(directory), digest=scenario_digest(scenario), stepped=stepped, workers=workers)
            for warning in expected.warnings:
                log.warning(warning)
            report(0.0, "networks")
            plans = make_plans(scenario, device)
            log.info("networks ready", digests={name: plan.model.digest.hex() for name, plan in plans.items()})
            output.phase("networks")
            report(0.01, "simulation")
            fleet = simulate(
                scenario,
                plans,
                executor,
                torch_device=device,
                stepped=stepped,
                on_progress=lambda share: report(0.01 + share * (_SIMULATED - 0.01), "simulation"),
                on_record=records.append,
            )
            log.info("simulation ended", jobs=fleet.cloud.submitted)
            output.phase("simulation")
            edges_ns = report_times_ns(scenario)
            observed = observe(
                fleet,
                edges_ns,
                to_ns(scenario.spec.resolution_s),
                executor,
                device,
                lambda share: report(_SIMULATED + share * (_OBSERVED - _SIMULATED), "accuracy"),
            )
            output.phase("accuracy")
            report(_OBSERVED, "tables")
            accounts = [account(r, o, plans[r.group], edges_ns) for r, o in zip(fleet.devices, observed, strict=True)]
            summary = summarise(scenario, fleet, accounts, expected)
            output.write("fleet.csv", tables.csv_bytes(tables.fleet_table(accounts, plans, edges_ns)))
            output.write("groups.csv", tables.csv_bytes(tables.groups_table(accounts, plans, edges_ns)))
            output.write("devices.csv", tables.csv_bytes(tables.devices_table(accounts, plans)))
            output.write("survival.csv", tables.csv_bytes(tables.survival_table(accounts, fleet.horizon_ns)))
            output.write("events.parquet", tables.events_parquet([(a.record, a.events) for a in accounts]))
            output.write("summary.json", _json(summary))
            output.phase("tables")
            output.manifest("finished")
            log.info("run finished", in_spec_availability=summary["in_spec_availability"])
            report(1.0, "done")
    except KeyboardInterrupt:
        output.write("events.parquet", tables.events_parquet([(record, record.events) for record in records]))
        output.manifest("interrupted")
        log.warning("run interrupted")
        raise
    except Exception as error:
        with contextlib.suppress(OSError):  # the disk may be full
            output.manifest("failed")
        log.error("run failed", error=repr(error))
        if isinstance(error, OSError):
            raise LifesimError(f"{error.filename or directory}: {error.strerror or error}") from error
        raise
    finally:
        if log_file:
            log_file.close()
    return Result(directory)


def report_times_ns(scenario: Scenario) -> list[int]:
    """Return the report times: 0, every report interval, and the horizon."""
    horizon_ns, interval_ns = to_ns(scenario.horizon_s), to_ns(scenario.report_interval_s)
    return [*range(0, horizon_ns, interval_ns), horizon_ns]


class _Output:
    """The result directory: every file whole or not there, and a manifest that says how far the run is."""

    def __init__(self, scenario: Scenario, directory: Path, how: dict[str, Any]):
        self._scenario = scenario
        self._directory = directory
        self._how = how
        self._seconds: dict[str, float] = {}
        self._phase_started = time.perf_counter()

    def clear(self) -> None:
        """Remove the result files of an earlier run; what else lies there stays."""
        for name in FILES:
            (self._directory / name).unlink(missing_ok=True)

    def write(self, name: str, data: bytes | str) -> None:
        atomic_write(self._directory / name, data)

    def phase(self, name: str) -> None:
        """Note the wall-clock seconds since the phase before."""
        now = time.perf_counter()
        self._seconds[name], self._phase_started = round(now - self._phase_started, 3), now

    def manifest(self, status: str) -> None:
        self.write(
            "manifest.json",
            _json(
                {
                    "status": status,
                    "scenario_digest": scenario_digest(self._scenario),
                    "scenario": json.loads(canonical_json(self._scenario)),
                    "seed": self._scenario.seed,
                    **self._how,
                    "versions": {
                        "python": platform.python_version(),
                        **{
                            name: importlib.metadata.version(name)
                            for name in ("lifesim", "numpy", "pandas", "pyarrow", "scipy", "simpy", "torch", "zstandard")
                        },
                    },
                    "machine": {
                        "system": platform.system(),
                        "processor": platform.machine(),
                        "capability": torch.backends.cpu.get_cpu_capability(),
                    },
                    "wall_clock_s": self._seconds,
                }
            ),
        )


def _refuse_to_mix(directory: Path, force: bool) -> None:
    """Raise UserError where ``directory`` cannot take results, or holds something and ``force`` is not given."""
    try:
        if directory.exists() and not directory.is_dir():
            raise UserError(f"{directory}: is a file, not a directory")
        if not force and directory.is_dir() and any(directory.iterdir()):
            raise UserError(f"{directory}: is not empty; use --force to replace the results in it, or -o for another directory")
    except OSError as error:
        raise UserError(f"{directory}: cannot be used: {error.strerror}") from error


def _open_log(path: str | Path | None) -> IO[str] | None:
    try:
        return None if path is None else open(path, "a", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--log-json {path}: cannot be written: {error.strerror}") from error


def _logger(file: Any) -> Any:
    """Return the operator's log: JSON lines to ``file``, or nothing."""
    if file is None:
        return structlog.wrap_logger(None, processors=[_drop])
    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(),
    ]
    return structlog.wrap_logger(structlog.WriteLogger(file), processors=processors)


def _drop(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    raise structlog.DropEvent


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=False, ensure_ascii=False) + "\n"
