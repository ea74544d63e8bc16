"""A user's own torch module as a network: translated into steps, with its weights where they are wanted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from lifesim.errors import UserError
from lifesim.network.architecture import AvgPool, Conv, Dense, MaxPool, Relu, Step, shape_after

_TRANSLATED = "Conv2d, Linear, ReLU, MaxPool2d, AvgPool2d, Flatten, Sequential"


def translate(name: str, module: object, input_shape: tuple[int, ...]) -> tuple[Step, ...]:
    """Return the steps of a torch.nn.Sequential for pictures of ``input_shape`` (channels, height, width).

    A layer keeps the name that the module gives it; one that has only a number is called conv1, conv2, ... or fc1, fc2, ... Raises
    UserError for what is not one of the layers that crossbars and the digital units beside them compute.
    """
    if not isinstance(module, nn.Sequential):
        raise UserError(f"network {name}: must return a torch.nn.Sequential, not {type(module).__name__}")
    steps: list[Step] = []
    shape, flat = input_shape, False
    for label, layer in _layers(module):
        where = f"network {name}: layer {label} ({type(layer).__name__})"
        if isinstance(layer, nn.Flatten):
            if layer.start_dim != 1 or layer.end_dim not in (-1, 3):
                raise UserError(f"{where}: must flatten whole pictures (start_dim = 1, end_dim = -1)")
            flat = True
            continue
        if isinstance(layer, nn.Linear):
            if len(shape) == 3 and not flat:
                raise UserError(f"{where}: needs a Flatten before it, as pictures of shape {shape} arrive")
            if layer.in_features != int(np.prod(shape)):
                raise UserError(f"{where}: takes {layer.in_features} features, {int(np.prod(shape))} arrive")
        elif flat and not isinstance(layer, nn.ReLU):
            raise UserError(f"{where}: cannot come after Flatten; allowed there: Linear, ReLU")
        if isinstance(layer, nn.Conv2d) and layer.in_channels != shape[0]:
            raise UserError(f"{where}: takes {layer.in_channels} channels, {shape[0]} arrive")
        step = _step(where, label, layer, steps)
        after = shape_after(step, shape)
        if after is None:
            raise UserError(f"{where}: does not fit pictures of shape {shape}")
        if (
            isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)
            and not layer.ceil_mode
            and _leaves_some(step, shape)
        ):
            raise UserError(
                f"{where}: leaves pixels of shape {shape} out at the border; allowed: ceil_mode=True, or windows that cover them all"
            )
        if isinstance(step, Dense):
            flat = False
        steps.append(step)
        shape = after
    if not steps or len(shape) != 1 or isinstance(steps[-1], Relu):
        raise UserError(f"network {name}: must end with a Linear layer that gives one number for each class")
    return tuple(steps)


def weights_of(module: nn.Sequential) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return the weights [fan_in, fan_out] and biases [fan_out] of a translated module's layers, float32."""
    weights, biases = [], []
    for _, layer in _layers(module):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            matrix = layer.weight.detach().cpu().to(torch.float32).flatten(1).numpy().T
            weights.append(np.ascontiguousarray(matrix))
            bias = layer.bias
            given = np.zeros(matrix.shape[1]) if bias is None else bias.detach().cpu().numpy()
            biases.append(given.astype(np.float32))
    return tuple(weights), tuple(biases)


def _layers(module: nn.Sequential, above: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Give every layer with its name; Sequentials within are entered."""
    for label, layer in module.named_children():
        if isinstance(layer, nn.Sequential):
            yield from _layers(layer, f"{above}{label}_")
        else:
            yield f"{above}{label}", layer


def _step(where: str, label: str, layer: nn.Module, before: list[Step]) -> Step:
    if isinstance(layer, nn.Conv2d):
        kernel, padding = _square(where, "kernel_size", layer.kernel_size), layer.padding
        if padding == "same" and kernel % 2:
            padding = (kernel - 1) // 2
        _only(where, layer, stride=1, dilation=1, groups=1, padding_mode="zeros")
        return Conv(
            _name(label, "conv", before), layer.out_channels, kernel, _square(where, "padding", {"valid": 0}.get(padding, padding))
        )  # fmt: skip
    if isinstance(layer, nn.Linear):
        return Dense(_name(label, "fc", before), layer.out_features)
    if isinstance(layer, nn.ReLU):
        return Relu()
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        _only(where, layer, padding=0, dilation=1, divisor_override=None)
        size, stride = (_square(where, key, getattr(layer, key)) for key in ("kernel_size", "stride"))
        return (MaxPool if isinstance(layer, nn.MaxPool2d) else AvgPool)(
            size, 0 if stride == size else stride
        )
    advice = "; fold it into the layer before it" if "BatchNorm" in type(layer).__name__ else ""
    raise UserError(f"{where}: cannot be translated; allowed: {_TRANSLATED}{advice}")


def _name(label: str, kind: str, before: list[Step]) -> str:
    if not label.replace("_", "").isdecimal():
        return label
    return f"{kind}{1 + sum(isinstance(step, Conv if kind == 'conv' else Dense) for step in before)}"


def _square(where: str, key: str, value: object) -> int:
    sides = set(value) if isinstance(value, tuple | list) else {value}
    side = sides.pop()
    if sides or not isinstance(side, int):
        raise UserError(f"{where}: {key} = {value}: allowed: one number for both directions")
    return side


def _only(where: str, layer: nn.Module, **allowed: object) -> None:
    for key, value in allowed.items():
        given = getattr(layer, key, value)
        if given != value and given != (value, value):
            raise UserError(f"{where}: {key} = {given}: allowed: {value}")


def _leaves_some(step: Step, shape: tuple[int, ...]) -> bool:
    return any((side - step.size) % step.step for side in shape[1:])  # type: ignore[union-attr]
