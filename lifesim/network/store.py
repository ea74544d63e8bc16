"""Trained networks kept between runs, under a name that is a hash of everything that shaped them."""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lifesim.errors import UserError
from lifesim.files import atomic_write, cache_directory
from lifesim.network.architecture import Architecture, load_architecture
from lifesim.network.datasets import Dataset, load_dataset
from lifesim.network.dotted import call_dotted
from lifesim.network.model import Model
from lifesim.network.module import weights_of
from lifesim.network.training import CODE_VERSION, Trained, TrainingSettings, train
from lifesim.scenario.network import Network

_NOT_STORED = OSError, SafetensorError, KeyError, ValueError


def trained_model(network: Network) -> Model:
    """Return a network trained on its data set, in its format: from the user's cache, or trained and kept there.

    The weights of a module that is ``pretrained`` are its own. Raises UserError where network and data set do not fit together.

    A file of the cache that is damaged, or does not contain what its name says, is replaced. A cache that
    cannot be written costs only time. The cache keeps floats: another format is no other training.
    """
    architecture, dataset = load_architecture(network), load_dataset(network.data)
    if (highest := int(dataset.labels.max())) >= architecture.classes:
        raise UserError(
            f"network {network.name}: has {architecture.classes} outputs, {network.dataset} has labels up to {highest}"
        )
    if network.pretrained:
        weights, biases = weights_of(call_dotted("network", network.module))
        return Trained(architecture, weights, biases).model(network.format)
    settings = TrainingSettings.of(network)
    path, fingerprint = _place(architecture, dataset, settings, network.seed)
    with contextlib.suppress(*_NOT_STORED):
        return _read(path, architecture, fingerprint).model(network.format)
    trained = train(architecture, dataset, network.seed, settings)
    with contextlib.suppress(OSError):
        atomic_write(path, _encode(trained, fingerprint))
    return trained.model(network.format)


def stored_at(network: Network) -> Path | None:
    """Return the file of the cache that a trained network lies in, or would; None if its weights are a module's own."""
    if network.pretrained:
        return None
    return _place(
        load_architecture(network), load_dataset(network.data), TrainingSettings.of(network), network.seed
    )[0]


def _place(
    architecture: Architecture, dataset: Dataset, settings: TrainingSettings, seed: int
) -> tuple[Path, str]:
    """Return a trained network's file in the cache, and the fingerprint that it must carry."""
    # The CPU's capability stands for the kernels that torch chooses: other kernels train other bits.
    shaped_by = (
        architecture, settings, dataset.digest, seed, CODE_VERSION,
        torch.__version__, np.__version__, torch.backends.cpu.get_cpu_capability(),
    )  # fmt: skip
    fingerprint = hashlib.blake2b(repr(shaped_by).encode(), digest_size=16).hexdigest()
    name = re.sub(r"[^\w.-]", "-", f"{architecture.name}-{dataset.name}-{fingerprint}.safetensors")
    return cache_directory() / name, fingerprint


def _encode(trained: Trained, fingerprint: str) -> bytes:
    tensors = {}
    for layer, weights, biases in zip(
        trained.architecture.crossbar_layers, trained.weights, trained.biases, strict=True
    ):
        tensors |= {f"{layer.name}.weights": weights, f"{layer.name}.biases": biases}
    return save(tensors, {"fingerprint": fingerprint, "digest": trained.digest.hex()})


def _read(path: Path, architecture: Architecture, fingerprint: str) -> Trained:
    """Read what :func:`_encode` wrote. Raises one of _NOT_STORED if there is nothing or something else."""
    with safe_open(path, framework="numpy") as file:
        notes = file.metadata() or {}
        layers = architecture.crossbar_layers
        weights, biases = (
            tuple(file.get_tensor(f"{layer.name}.{part}") for layer in layers)
            for part in ("weights", "biases")
        )
    if notes["fingerprint"] != fingerprint:
        raise ValueError("the file of another network")
    trained = Trained(architecture, weights, biases)
    if trained.digest.hex() != notes["digest"]:
        raise ValueError("the content is damaged")
    return trained
