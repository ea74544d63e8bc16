"""Reading devices with stuck cells: lifesim against MRFI, a general fault injector for torch, on the same LeNet, pictures and faults."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from lifesim.crossbar.encoding import SLC
from lifesim.crossbar.faults import FaultMap, apply_map
from lifesim.detection.screening import softmax
from lifesim.network.evaluate import Evaluator
from lifesim.network.forward import single_threaded
from lifesim.network.model import Model
from lifesim.network.walk import Walker
from tests.benchmarks import harness
from tests.benchmarks.damaged import change_of, network, stuck_cells, test_pictures
from tests.benchmarks.evaluation import as_changes
from tests.benchmarks.machine import matmul_macs_per_s

_RIVAL = Path(__file__).with_name("rivals") / "mrfi_lenet.py"
_DENSITIES = (5e-5, 5e-4)
_DEVICES = 64
# MRFI counts a code as 1 / (2^15 - 1), lifesim as 1 / 2^15.
_MOST_APART = {"values": 1e-4, "bits": 1e-2}
_NOTE = (
    "16 pictures, one-bit cells, no read noise, no retraining, one thread, CPU time, without imports and setting up. MRFI, values: FixPositions "
    "and SetValue of weights worked out beforehand; MRFI, bits: FixPointQuantization and stuck bits by a fault model of the user's own"
)


def measure(
    repeats: int = 5, quick: bool = False, mrfi_python: Path | None = None, console: Console | None = None
) -> list[harness.Row]:
    """Return rows of devices read a second; none, and a line that says so, without an interpreter that has MRFI."""
    if mrfi_python is None:
        (console or Console()).print(
            "mrfi: skipped; --mrfi-python PATH names an interpreter that has MRFI and torch"
        )
        return []
    rows = []
    for share in _DENSITIES:
        rows += _compare(share, _DEVICES // 4 if quick else _DEVICES, repeats, mrfi_python)
    return rows


def _compare(share: float, devices: int, repeats: int, python: Path) -> list[harness.Row]:
    model, pictures = network("LeNet")[1], test_pictures("LeNet")
    maps = [stuck_cells(model, share, device) for device in range(devices)]
    walker, changes = Walker(model, SLC), [change_of(model, fault_map) for fault_map in maps]

    def ours() -> np.ndarray:
        return softmax(walker.logits(as_changes(model, changes), pictures))

    expected = Evaluator.of(model).confidences([apply_map(model.codes, m) for m in maps], pictures)
    with _Rival(python, _task(model, maps, pictures)) as rival:
        for way, most in _MOST_APART.items():
            apart = np.abs(rival.answers(way) - expected).max()
            if not apart <= most:
                raise RuntimeError(f"MRFI, {way}: confidences are {apart:.2g} apart from ours")
        times = {what: harness.Times([], []) for what in ("MRFI, values", "MRFI, bits", "lifesim")}
        ours()
        with single_threaded():
            for _ in range(repeats):
                (own,) = harness.take_turns({"lifesim": ours}, 1, warm_up=False).values()
                _append(times["lifesim"], own.cpu_s[0], own.wall_s[0])
                for way in _MOST_APART:
                    reply = rival.read(way)
                    _append(times[f"MRFI, {way}"], reply["cpu_s"], reply["wall_s"])
    macs = model.architecture.macs * len(pictures) * devices
    return [
        harness.rate_row(
            "mrfi", f"LeNet, {share:.3%} stuck, {len(pictures)} pictures", what, taken.cpu_s, devices, "devices/s",
            ratio=harness.ratio(taken.cpu_s, times["MRFI, values"].cpu_s), ratio_to="MRFI, values",
            matmul_share=macs / np.median(taken.cpu_s) / matmul_macs_per_s(), note=_NOTE,
        )
        for what, taken in times.items()
    ]  # fmt: skip


def _append(times: harness.Times, cpu_s: float, wall_s: float) -> None:
    times.cpu_s.append(cpu_s)
    times.wall_s.append(wall_s)


def _task(model: Model, maps: list[FaultMap], pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the rival is given: weights and changes in torch's layout."""
    task: dict[str, np.ndarray] = {"pictures": pictures, "devices": np.array(len(maps))}
    shapes = ((20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500))
    layers = model.architecture.crossbar_layers
    for layer, weights, biases, shape in zip(layers, model.weights(), model.biases, shapes, strict=True):
        task[f"{layer.name}.weights"] = np.ascontiguousarray(weights.T).reshape(shape)
        task[f"{layer.name}.biases"] = biases
    for device, fault_map in enumerate(maps):
        change = change_of(model, fault_map)
        all_ones = apply_map([np.full_like(c, -1) for c in model.codes], fault_map)
        all_zeros = apply_map([np.zeros_like(c) for c in model.codes], fault_map)
        for number, (layer, fmt) in enumerate(zip(layers, model.formats, strict=True)):
            places = change.places[number]
            source, output = np.divmod(places, layer.fan_out)
            task |= {
                f"{device}.{layer.name}.{part}": values
                for part, values in (
                    ("places", output * layer.fan_in + source),
                    ("values", fmt.dequantise(change.codes[number])),
                    ("kept", all_ones[number].reshape(-1)[places].astype(np.int32)),
                    ("set_to", all_zeros[number].reshape(-1)[places].astype(np.int32)),
                )
            }
    return task


class _Rival:
    """The other interpreter, waiting for its turns."""

    def __init__(self, python: Path, task: dict[str, np.ndarray]) -> None:
        self._python = python
        self._task = task

    def __enter__(self) -> _Rival:
        self._directory = tempfile.TemporaryDirectory()
        path = Path(self._directory.name) / "task.npz"
        np.savez(path, **self._task)
        self._process = subprocess.Popen(
            [str(self._python), str(_RIVAL), str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._directory.cleanup()

    def answers(self, way: str) -> np.ndarray:
        """Return the confidences [devices, pictures, classes]."""
        return np.array(self.read(f"{way} answers")["confidences"], np.float32)

    def read(self, way: str) -> dict:
        """Let all devices be read; return how long that took."""
        self._process.stdin.write(f"{way}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the interpreter with MRFI has stopped; see above")
        return json.loads(line)
