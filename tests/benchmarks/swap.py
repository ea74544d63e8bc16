"""The rival that needs no library: a torch module into which one device's weights are written, read, and taken out again.

What a careful user of torch would write: layers of torch.nn in the memory format that is fastest here, inference mode, one thread; only the weights
that change are written, through numpy's view of their memory (torch's own ways to write a few numbers take five times as long). Where they lie in
torch's layout is worked out beforehand, and not timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lifesim.network.architecture import Architecture, AvgPool, Conv, Dense, MaxPool
from lifesim.network.model import Model
from tests.benchmarks.damaged import Change


@dataclass(frozen=True, slots=True)
class Written:
    """A change in the layout of the module: per layer that has one its number, where in memory (int64), and the int16 codes."""

    layers: tuple[int, ...]
    places: tuple[np.ndarray, ...]
    codes: tuple[np.ndarray, ...]


class SwappedModule:
    """A model as a torch module whose weights can be changed in place."""

    def __init__(self, model: Model) -> None:
        self._model = model
        architecture = model.architecture
        self.module = as_module(architecture).eval().to(memory_format=torch.channels_last)
        self._layers = [m for m in self.module if isinstance(m, nn.Conv2d | nn.Linear)]
        self._mean = torch.tensor(architecture.input_mean or [0.0]).view(1, -1, 1, 1)
        self._scales = [np.float32(f.scale) for f in model.formats]
        with torch.inference_mode():
            for layer, weights, biases in zip(self._layers, model.weights(), model.biases, strict=True):
                layer.weight.data.copy_(torch.from_numpy(weights.T.reshape(layer.weight.shape)))
                layer.bias.data.copy_(torch.tensor(biases))
            # Views: writing there is writing into the layer.
            self._memory = [_in_memory_order(layer.weight.data).numpy() for layer in self._layers]
            self._clean = [memory.copy() for memory in self._memory]

    def input(self, pictures: np.ndarray) -> torch.Tensor:
        """Return pictures uint8 [m, channels, height, width] as the module takes them."""
        x = (
            torch.from_numpy(pictures.astype(np.float32)) - self._mean
        ) * self._model.architecture.input_scale
        return x.contiguous(memory_format=torch.channels_last)

    def written(self, change: Change) -> Written:
        """Return a change in the layout of the module."""
        layers, places, codes = [], [], []
        for number, (layer, clean) in enumerate(zip(self._layers, self._model.codes, strict=True)):
            if not len(change.places[number]):
                continue
            source, output = np.divmod(change.places[number], clean.shape[1])
            if isinstance(layer, nn.Conv2d):
                k2 = layer.kernel_size[0] ** 2
                source = source % k2 * layer.in_channels + source // k2  # channels last
            layers.append(number)
            places.append(output * clean.shape[0] + source)
            codes.append(change.codes[number])
        return Written(tuple(layers), tuple(places), tuple(codes))

    def in_memory_order(self, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return dense float32 weights [fan_in, fan_out] per layer as :meth:`write_all` takes them."""
        out = []
        for layer, dense in zip(self._layers, weights, strict=True):
            values = torch.from_numpy(np.ascontiguousarray(dense.T)).view(layer.weight.shape)
            if isinstance(layer, nn.Conv2d):
                values = values.contiguous(memory_format=torch.channels_last)
            out.append(_in_memory_order(values).numpy().copy())
        return out

    def swapped(self, written: Written, inputs: Sequence[torch.Tensor]) -> list[np.ndarray]:
        """Return the confidences [m, classes] of one device for each of ``inputs``, and leave the module clean."""
        self.write(written)
        confidences = [self.confidences(x) for x in inputs]
        self._take_out(written)
        return confidences

    @torch.inference_mode()
    def swapped_noisy(self, written: Written, x: torch.Tensor, sigma: float) -> np.ndarray:
        """Return the confidences of one device whose weights each deviate by a relative N(0, ``sigma``^2), anew in every multiplication."""
        self.write(written)
        for layer in self.module:
            if isinstance(layer, nn.Conv2d):
                squares = F.conv2d(x * x, layer.weight * layer.weight, padding=layer.padding)
                x = layer(x).addcmul_(squares.sqrt_(), torch.randn_like(squares), value=sigma)
            elif isinstance(layer, nn.Linear):
                squares = F.linear(x * x, layer.weight * layer.weight)
                x = layer(x).addcmul_(squares.sqrt_(), torch.randn_like(squares), value=sigma)
            else:
                x = layer(x)
        self._take_out(written)
        return torch.softmax(x, dim=1).numpy()

    def write(self, written: Written) -> None:
        """Write a change and leave it there."""
        for layer, places, codes in zip(written.layers, written.places, written.codes, strict=True):
            self._memory[layer][places] = codes * self._scales[layer]

    def _take_out(self, written: Written) -> None:
        for layer, places in zip(written.layers, written.places, strict=True):
            self._memory[layer][places] = self._clean[layer][places]

    def write_all(self, weights: Sequence[np.ndarray]) -> None:
        """Write all weights, as :meth:`in_memory_order` returns them."""
        for memory, values in zip(self._memory, weights, strict=True):
            memory[:] = values

    @torch.inference_mode()
    def confidences(self, x: torch.Tensor) -> np.ndarray:
        """Return the confidences [m, classes] with the weights as they are."""
        return torch.softmax(self.module(x), dim=1).numpy()

    def clean(self) -> None:
        """Write the model's weights back."""
        for memory, clean in zip(self._memory, self._clean, strict=True):
            memory[:] = clean


def as_module(architecture: Architecture) -> nn.Sequential:
    """Return an architecture as torch's own layers, with weights at random."""
    modules: list[nn.Module] = []
    for step, shape in zip(architecture.steps, architecture.shapes, strict=False):
        match step:
            case Conv():
                modules.append(nn.Conv2d(shape[0], step.channels, step.kernel, padding=step.padding))
            case Dense():
                if len(shape) == 3:
                    modules.append(nn.Flatten())
                modules.append(nn.Linear(int(np.prod(shape)), step.outputs))
            case MaxPool():
                modules.append(nn.MaxPool2d(step.size, step.step, ceil_mode=True))
            case AvgPool():
                modules.append(nn.AvgPool2d(step.size, step.step, ceil_mode=True))
            case _:
                modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def _in_memory_order(weight: torch.Tensor) -> torch.Tensor:
    """Return a flat view of a weight, in the order in which it lies in memory."""
    return (weight.permute(0, 2, 3, 1) if weight.dim() == 4 else weight).reshape(-1)
