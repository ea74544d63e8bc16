"""What a network is made of, as far as its crossbars are concerned: shapes, and no arithmetic (nor torch)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lifesim.errors import UserError, did_you_mean
from lifesim.scenario.presets import load_preset


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with stride 1 and no padding; one crossbar layer."""

    name: str
    channels: int
    kernel: int


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer; one crossbar layer. Flattens pictures as (channel, height, width)."""

    name: str
    outputs: int


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The maximum over windows of ``size`` x ``size`` that do not overlap; digital."""

    size: int


@dataclass(frozen=True, slots=True)
class Relu:
    """max(x, 0); digital."""


Step = Conv | Dense | MaxPool | Relu
STEPS: dict[str, type] = {"conv": Conv, "dense": Dense, "maxpool": MaxPool, "relu": Relu}


@dataclass(frozen=True, slots=True)
class CrossbarLayer:
    """One matrix of weights [fan_in, fan_out], multiplied with ``positions`` input vectors per inference."""

    name: str
    fan_in: int
    fan_out: int
    positions: int

    @property
    def weights(self) -> int:
        return self.fan_in * self.fan_out

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations per inference."""
        return self.weights * self.positions


@dataclass(frozen=True)
class Architecture:
    """A feed-forward network: ``input_shape`` (channels, height, width) and its steps in order.

    The rows of a convolution's matrix are ordered (input channel, kernel row, kernel column), as
    torch.nn.functional.unfold has them. Raises UserError if the steps do not fit together.
    """

    name: str
    input_shape: tuple[int, int, int]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps or not isinstance(self.steps[0], Conv | Dense):
            raise UserError(f"network {self.name}: the first layer must be conv or dense")
        self.shapes  # noqa: B018 - impossible shapes are refused here, not at the first use

    @functools.cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes before each step and after the last: (channels, height, width) or (features,)."""
        shapes: list[tuple[int, ...]] = [self.input_shape]
        for step in self.steps:
            shapes.append(_shape_after(self.name, step, shapes[-1]))
        return tuple(shapes)

    @functools.cached_property
    def crossbar_layers(self) -> tuple[CrossbarLayer, ...]:
        """The layers whose weights lie in crossbars, in the order of the network."""
        layers: list[CrossbarLayer] = []
        for step, before, after in zip(self.steps, self.shapes, self.shapes[1:], strict=False):
            if isinstance(step, Conv):
                layers.append(
                    CrossbarLayer(step.name, before[0] * step.kernel**2, step.channels, after[1] * after[2])
                )
            elif isinstance(step, Dense):
                layers.append(CrossbarLayer(step.name, math.prod(before), step.outputs, 1))
        return tuple(layers)

    @property
    def weights(self) -> int:
        """Number of weights in crossbars (biases are digital)."""
        return sum(layer.weights for layer in self.crossbar_layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations per inference."""
        return sum(layer.macs for layer in self.crossbar_layers)

    @property
    def classes(self) -> int:
        return self.shapes[-1][0]


def parse_steps(tables: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Read steps from tables such as ``{type = "conv", name = "conv1", channels = 20, kernel = 5}``.

    Raises UserError for an unknown type, or keys and values that do not belong to it.
    """
    steps: list[Step] = []
    for table in tables:
        kind = table.get("type")
        if kind not in STEPS:
            raise UserError(
                f"no layer of type {kind!r}; there are: {', '.join(STEPS)}{did_you_mean(str(kind), STEPS)}"
            )
        wanted = {field.name: field.type for field in dataclasses.fields(STEPS[kind])}
        values = {key: value for key, value in table.items() if key != "type"}
        bad = [
            k for k, v in values.items() if type(v).__name__ != wanted.get(k) or (type(v) is int and v < 1)
        ]
        if bad or values.keys() != wanted.keys():
            raise UserError(f"layer {dict(table)}: {kind} takes {wanted or 'nothing else'}, numbers from 1")
        steps.append(STEPS[kind](**values))
    return tuple(steps)


def load_architecture(name: str) -> Architecture:
    """Return the architecture of a preset of kind ``network``. Raises UserError for an unknown name."""
    values = load_preset("network", name).values
    channels, height, width = values["input_shape"]
    return Architecture(name, (channels, height, width), parse_steps(values["layers"]))


def _shape_after(name: str, step: Step, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(step, Relu):
        return shape
    if isinstance(step, Dense):
        return (step.outputs,)
    if len(shape) == 3:
        channels, height, width = shape
        if isinstance(step, Conv) and min(height, width) >= step.kernel:
            return step.channels, height - step.kernel + 1, width - step.kernel + 1
        if isinstance(step, MaxPool) and height % step.size == 0 and width % step.size == 0:
            return channels, height // step.size, width // step.size
    raise UserError(f"network {name}: {step} does not fit what comes before it, of shape {shape}")
