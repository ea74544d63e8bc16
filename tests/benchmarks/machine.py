"""What the benchmarks run on, and how fast it multiplies matrices: the measure that evaluators are held against."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import statistics
import time
from pathlib import Path

import torch

from lifesim.network.forward import single_threaded
from tests.benchmarks import harness

_SIDE = 1024
_REPEATS = 15


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def row() -> harness.Row:
    """Return the row that says what the numbers are of."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "numba"))
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "benchmark": "machine",
        "case": f"{processor()} ({capability}), {os.cpu_count()} cores; Python {platform.python_version()}, {versions}",
        "what": f"torch.mm, {_SIDE} x {_SIDE}, one thread",
        "value": matmul_macs_per_s() / 1e9,
        "unit": "GMAC/s",
        "repeats": _REPEATS,
    }


@functools.cache
def matmul_macs_per_s() -> float:
    """Return multiply-accumulates a second of CPU time of one thread, the median of some products."""
    a, b = (torch.rand(_SIDE, _SIDE, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    rates = []
    with single_threaded():
        for _ in range(_REPEATS + 3):
            began = time.process_time()
            torch.mm(a, b)
            rates.append(_SIDE**3 / (time.process_time() - began))
    return statistics.median(rates[3:])
