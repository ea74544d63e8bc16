"""Stuck weights of LeNet in MRFI (a fault injector for torch), as its user would set them up. Run by an interpreter that has MRFI and torch.

    PYTHON tests/benchmarks/rivals/mrfi_lenet.py TASK.npz

Talks in lines: each line read is one of the ways below (and "answers", to get the confidences as well); each line written says as JSON how long all
devices took. Imports and setting up are not timed.

"values": FixPositions selects the weights of a device, SetValue gives them what their stuck cells make of them. MRFI's quickest way.
"bits": the weights are quantised (FixPointQuantization, 16 bits), and a fault model of the user's own, as MRFI has none, forces the stuck bits.
"""

from __future__ import annotations

import json
import sys
import time

import mrfi
import numpy as np
import torch
from mrfi import MRFI, EasyConfig
from torch import nn

LAYERS = ("conv1", "conv2", "fc1", "fc2")
_QUANTISED = {"method": "FixPointQuantization", "integer_bit": 0, "decimal_bit": 15}


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv1(x))
        x = self.pool(self.conv2(x))
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def force_bits(x_in: torch.Tensor, kept: np.ndarray, set_to: np.ndarray) -> torch.Tensor:
    """A fault model for MRFI: of each code the bits in ``kept`` stay, those in ``set_to`` become one."""
    return ((x_in.int() & torch.tensor(kept)) | torch.tensor(set_to)).to(x_in.dtype)


def injected(task: dict[str, np.ndarray], way: str) -> MRFI:
    network = LeNet().eval()
    with torch.no_grad():
        for name in LAYERS:
            getattr(network, name).weight.copy_(torch.from_numpy(task[f"{name}.weights"]))
            getattr(network, name).bias.copy_(torch.from_numpy(task[f"{name}.biases"]))
    faults = {
        "type": "weight",
        "name": ["weight"],
        "selector": {"method": "FixPositions", "positions": []},
        "module_type": ["Conv2d", "Linear"],
    }
    if way == "values":
        faults["error_mode"] = {"method": "SetValue", "value": []}
    else:
        faults["error_mode"] = {"method": "force_bits", "kept": [], "set_to": []}
        faults["quantization"] = dict(_QUANTISED)
    return MRFI(network, EasyConfig({"faultinject": [faults]}))


def read_all(model: MRFI, task: dict[str, np.ndarray], way: str, faults: list, x: torch.Tensor) -> np.ndarray:
    """Return the confidences of all devices, one after the other."""
    selectors = model.get_weights_configs("selector.args")
    modes = model.get_weights_configs("error_mode.args")
    out = []
    for device in faults:
        for selector, mode, (places, values, kept, set_to) in zip(selectors, modes, device, strict=True):
            selector.positions = places
            if way == "values":
                mode.value = values
            else:
                mode.kept, mode.set_to = kept, set_to
        out.append(torch.softmax(model(x), dim=1).numpy())
    return np.stack(out)


def main(path: str) -> None:
    torch.set_num_threads(1)
    mrfi.mrfi.add_function("force_bits", force_bits)
    task = dict(np.load(path))
    x = torch.from_numpy(task["pictures"].astype(np.float32) / 256)
    faults = [
        [tuple(task[f"{d}.{n}.{part}"] for part in ("places", "values", "kept", "set_to")) for n in LAYERS]
        for d in range(int(task["devices"]))
    ]
    models = {way: injected(task, way) for way in ("values", "bits")}
    for line in sys.stdin:
        way, *rest = line.split()
        cpu, wall = time.process_time(), time.perf_counter()
        confidences = read_all(models[way], task, way, faults, x)
        reply = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        if rest:
            reply["confidences"] = confidences.tolist()
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
