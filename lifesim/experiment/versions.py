"""What else than a scenario decides about the bytes of a run: versions, and the type of processor."""

from __future__ import annotations

import functools
import importlib.metadata

import torch

_PACKAGES = ("lifesim", "numpy", "scipy", "torch")


@functools.cache
def versions() -> tuple[str, ...]:
    """Return what must be the same wherever results are to be the same, byte for byte."""
    return (*map(importlib.metadata.version, _PACKAGES), torch.backends.cpu.get_cpu_capability())


def difference(here: tuple[str, ...], there: tuple[str, ...]) -> str:
    """Return in words how two of them differ; nothing where they do not."""
    names = (*_PACKAGES, "processor")
    return ", ".join(
        f"{name} {b} instead of {a}" for name, a, b in zip(names, here, there, strict=True) if a != b
    )
