"""What a network is made of, as far as its crossbars are concerned: shapes, and no arithmetic (nor torch)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifesim.errors import UserError, did_you_mean
from lifesim.network.datasets import load_dataset
from lifesim.network.dotted import call_dotted
from lifesim.scenario.network import PICTURE_SHAPES, Network, is_dotted
from lifesim.scenario.presets import load_preset


class Described:
    """Shows the fields that are not at their defaults: what is described so keeps its digest when a field is added."""

    __slots__ = ()

    def __repr__(self) -> str:
        values = {f.name: (getattr(self, f.name), f.default) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        shown = (f"{name}={value!r}" for name, (value, default) in values.items() if value != default)
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, slots=True, repr=False)
class Conv(Described):
    """A convolution with stride 1; one crossbar layer. ``padding``: pixels of zeros around each picture."""

    name: str
    channels: int
    kernel: int
    padding: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Dense(Described):
    """A fully connected layer; one crossbar layer. Flattens pictures as (channel, height, width)."""

    name: str
    outputs: int


@dataclass(frozen=True, slots=True, repr=False)
class Pool(Described):
    """Windows of ``size`` x ``size``, ``stride`` apart (0: side by side); digital.

    As many windows as it takes to cover the picture (Caffe's and torch's ceil mode): the last ones may be cut short by its border.
    """

    size: int
    stride: int = 0

    @property
    def step(self) -> int:
        """Pixels from one window to the next."""
        return self.stride or self.size


@dataclass(frozen=True, slots=True, repr=False)
class MaxPool(Pool):
    """The maximum of every window."""


@dataclass(frozen=True, slots=True, repr=False)
class AvgPool(Pool):
    """The mean of every window, over the pixels that lie within the picture, as Caffe divides."""


@dataclass(frozen=True, slots=True, repr=False)
class Relu(Described):
    """max(x, 0); digital."""


Step = Conv | Dense | MaxPool | AvgPool | Relu
STEPS: dict[str, type] = {"conv": Conv, "dense": Dense, "maxpool": MaxPool, "avgpool": AvgPool, "relu": Relu}


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


@dataclass(frozen=True, repr=False)
class Architecture(Described):
    """A feed-forward network: ``input_shape`` (channels, height, width) and its steps in order.

    A picture's grey levels enter as (level - ``input_mean``[channel]) * ``input_scale``; no mean: nothing is subtracted.
    The rows of a convolution's matrix are ordered (input channel, kernel row, kernel column), as
    torch.nn.functional.unfold has them. Raises UserError if the steps do not fit together.
    """

    name: str
    input_shape: tuple[int, int, int]
    steps: tuple[Step, ...]
    input_scale: float = 1 / 256
    input_mean: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps or not isinstance(self.steps[0], Conv | Dense):
            raise UserError(f"network {self.name}: the first layer must be conv or dense")
        if len(self.input_mean) not in (0, self.input_shape[0]):
            raise UserError(
                f"network {self.name}: input_mean has {len(self.input_mean)} numbers; allowed: none, or one for each of the "
                f"{self.input_shape[0]} channels"
            )
        names = [step.name for step in self.steps if isinstance(step, Conv | Dense)]
        if len(set(names)) < len(names):
            raise UserError(f"network {self.name}: layers must have different names, not {', '.join(names)}")
        self.shapes  # noqa: B018 - impossible shapes are refused here, not at the first use

    @functools.cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes before each step and after the last: (channels, height, width) or (features,)."""
        shapes: list[tuple[int, ...]] = [self.input_shape]
        for step in self.steps:
            after = shape_after(step, shapes[-1])
            if after is None:
                raise UserError(
                    f"network {self.name}: {step} does not fit what comes before it, of shape {shapes[-1]}"
                )
            shapes.append(after)
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
        fields = {field.name: field for field in dataclasses.fields(STEPS[kind])}
        values = {key: value for key, value in table.items() if key != "type"}
        bad = [
            k
            for k, v in values.items()
            if k not in fields or type(v).__name__ != fields[k].type or (type(v) is int and v < 1)
        ]
        missing = [k for k, f in fields.items() if f.default is dataclasses.MISSING and k not in values]
        if bad or missing:
            wanted = {name: field.type for name, field in fields.items()}
            raise UserError(f"layer {dict(table)}: {kind} takes {wanted or 'nothing else'}, numbers from 1")
        steps.append(STEPS[kind](**values))
    return tuple(steps)


def load_architecture(network: Network | str) -> Architecture:
    """Return the architecture of a scenario's network, or of a preset of kind ``network`` by its name.

    A user's module is imported, with torch, and takes pictures of the shape that the data set has. Raises UserError for an unknown name, a
    module that cannot be translated, or a format for a layer that there is not.
    """
    if isinstance(network, str):
        load_preset("network", network)  # whose error names the nearest
        network = Network.model_construct(preset=network, **Network.preset_values(network))
    if network.module is None:
        values = load_preset("network", network.name).values
        shape, steps = values["input_shape"], parse_steps(values["layers"])
        if is_dotted(network.dataset):
            _check_shape(network, shape)
    else:
        from lifesim.network.module import translate

        shape = PICTURE_SHAPES.get(network.dataset) or load_dataset(network.data).images.shape[1:]
        steps = translate(network.name, call_dotted("network", network.module), shape)
    architecture = Architecture(
        network.name, tuple(shape), steps, network.input_scale, tuple(network.input_mean)
    )
    layers = [layer.name for layer in architecture.crossbar_layers]
    for key, problem in network.misfits(layers):
        raise UserError(f"network {network.name}: {'.'.join(key)}: {problem}")
    return architecture


def _check_shape(network: Network, wanted: Sequence[int]) -> None:
    given = load_dataset(network.data).images.shape[1:]
    if given != tuple(wanted):
        raise UserError(
            f"dataset {network.dataset}: its pictures have shape {given}, {network.name} takes {tuple(wanted)}"
        )


def shape_after(step: Step, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that a step makes of one, (channels, height, width) or (features,); None if it does not fit."""
    if isinstance(step, Relu):
        return shape
    if isinstance(step, Dense):
        return (step.outputs,)
    if len(shape) != 3:
        return None
    channels, *sides = shape
    if isinstance(step, Conv):
        sides = [side + 2 * step.padding - step.kernel + 1 for side in sides]
        return (step.channels, *sides) if min(sides) >= 1 else None
    # A stride beyond the size would skip pixels.
    if step.size > min(sides) or step.step > step.size:
        return None
    return (channels, *(-(-(side - step.size) // step.step) + 1 for side in sides))
