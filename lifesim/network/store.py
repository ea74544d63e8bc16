"""Trained networks kept between runs, under a name that is a hash of everything that shaped them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lifesim.crossbar.fixedpoint import FixedPoint
from lifesim.files import atomic_write
from lifesim.network.architecture import Architecture, load_architecture
from lifesim.network.datasets import Dataset, load_dataset
from lifesim.network.model import Model
from lifesim.network.training import CODE_VERSION, TrainingSettings, train

_NOT_STORED = OSError, SafetensorError, KeyError, ValueError


def trained_model(network_name: str, dataset_name: str, seed: int) -> Model:
    """Return the network of a preset trained on a data set: from the user's cache, or trained and kept there.

    A file of the cache that is damaged, or does not contain what its name says, is replaced. A cache that
    cannot be written costs only time. Raises UserError for unknown names.
    """
    architecture, dataset = load_architecture(network_name), load_dataset(dataset_name)
    settings = TrainingSettings.of_preset(network_name)
    fingerprint = _fingerprint(architecture, dataset, settings, seed)
    path = cache_directory() / f"{network_name}-{dataset_name}-{fingerprint}.safetensors"
    with contextlib.suppress(*_NOT_STORED):
        return _read(path, architecture, fingerprint)
    model = train(architecture, dataset, seed, settings)
    with contextlib.suppress(OSError):
        atomic_write(path, _encode(model, fingerprint))
    return model


def cache_directory() -> Path:
    """Where trained networks lie: LIFESIM_CACHE_DIR if it is set, otherwise the user's cache directory."""
    return Path(
        os.environ.get("LIFESIM_CACHE_DIR") or platformdirs.user_cache_dir("lifesim", appauthor=False)
    )


def _fingerprint(architecture: Architecture, dataset: Dataset, settings: TrainingSettings, seed: int) -> str:
    # The CPU's capability stands for the kernels that torch chooses: other kernels train other bits.
    shaped_by = (
        architecture, settings, dataset.digest, seed, CODE_VERSION,
        torch.__version__, np.__version__, torch.backends.cpu.get_cpu_capability(),
    )  # fmt: skip
    return hashlib.blake2b(repr(shaped_by).encode(), digest_size=16).hexdigest()


def _encode(model: Model, fingerprint: str) -> bytes:
    tensors = {}
    for layer, codes, biases in zip(
        model.architecture.crossbar_layers, model.codes, model.biases, strict=True
    ):
        tensors |= {f"{layer.name}.codes": codes, f"{layer.name}.biases": biases}
    fraction_bits = str(model.fixed_point.fraction_bits)
    return save(
        tensors, {"fingerprint": fingerprint, "fraction_bits": fraction_bits, "digest": model.digest.hex()}
    )


def _read(path: Path, architecture: Architecture, fingerprint: str) -> Model:
    """Read what :func:`_encode` wrote. Raises one of _NOT_STORED if there is nothing or something else."""
    with safe_open(path, framework="numpy") as file:
        notes = file.metadata() or {}
        layers = architecture.crossbar_layers
        codes, biases = (
            tuple(file.get_tensor(f"{layer.name}.{part}") for layer in layers) for part in ("codes", "biases")
        )
    if (
        notes["fingerprint"] != fingerprint
        or any(c.dtype != np.int16 for c in codes)
        or any(b.dtype != np.float32 for b in biases)
    ):
        raise ValueError("the file of another model")
    model = Model(architecture, FixedPoint(fraction_bits=int(notes["fraction_bits"])), codes, biases)
    if model.digest.hex() != notes["digest"]:
        raise ValueError("the content is damaged")
    return model
