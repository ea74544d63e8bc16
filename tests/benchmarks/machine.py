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

_SIDE = 1024


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def description() -> list[str]:
    """Return lines that say what the numbers are of."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "numba"))
    capability = torch.backends.cpu.get_cpu_capability()
    return [
        f"{processor()} ({capability}), {os.cpu_count()} cores; Python {platform.python_version()}, {versions}",
        f"torch.mm of {_SIDE} x {_SIDE} float32 on one thread: {matmul_macs_per_s() / 1e9:.1f} GMAC/s",
    ]


@functools.cache
def matmul_macs_per_s(repeats: int = 15) -> float:
    """Return multiply-accumulates a second of CPU time of one thread, the median of ``repeats`` products."""
    a, b = (torch.rand(_SIDE, _SIDE, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    rates = []
    with single_threaded():
        for _ in range(repeats + 3):
            began = time.process_time()
            torch.mm(a, b)
            rates.append(_SIDE**3 / (time.process_time() - began))
    return statistics.median(rates[3:])
