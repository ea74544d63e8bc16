"""How the paper's fault model is read where its text leaves it open, and what a faulty network then holds."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Literal

import numpy as np

from lifesim.crossbar.encoding import Encoding
from lifesim.crossbar.faults import FaultMap, apply_map, random_map
from lifesim.detection.criteria import SDC3_THOUSANDTHS, Criterion, Golden, deviates
from lifesim.errors import UserError, did_you_mean
from lifesim.network.model import Model
from lifesim.normals import unit_normals
from lifesim.streams import generator, stream_key

Cells = Literal["SLC", "MLC"]
Copy = tuple[np.ndarray, ...]
"""Per layer int16 codes or float32 weights [fan_in, fan_out]."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong with a network: shares of its cells that are stuck and (one-bit cells) flipped, and Eq. 8's theta (two-bit cells)."""

    cells: Cells
    permanent: float = 0.0
    soft: float = 0.0
    theta: float = 0.0

    @property
    def name(self) -> str:
        """Which kinds of faults there are: permanent, soft or both."""
        soft = bool(self.soft or self.theta)
        return "both" if self.permanent and soft else "soft" if soft else "permanent"

    @property
    def key(self) -> int:
        """Addresses the streams of this condition."""
        return stream_key(self.cells, repr(self.permanent), repr(self.soft), repr(self.theta))


def _usual_theta() -> Mapping[str, str]:
    return {"mlp": "absolute", "lenet": "absolute", "convnet_quick": "of_layer_maximum"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of the paper's fault model.

    format
        Of the weights, as a scenario's ``network.format``.
    unit
        Whether rates are shares of cells or of weights, each with one faulty cell.
    stuck_at_top
        Share of the stuck cells that show the low-resistance state; the others show the high-resistance one.
    offset
        Offset binary instead of two's complement.
    sdc3
        Whether SDC-3 % compares the confidences of the golden class (a changed class counts, too), or the two highest ones.
    theta
        By network, whether the standard deviation of Eq. 8 is in units of the weights, or of each layer's largest.
    """

    name: str
    summary: str
    format: str = "global"
    unit: Literal["cells", "weights"] = "cells"
    stuck_at_top: float = 5 / 6
    offset: bool = False
    sdc3: Literal["golden_class", "maxima"] = "golden_class"
    theta: Mapping[str, str] = field(default_factory=_usual_theta)

    def encoding(self, cells: Cells) -> Encoding:
        """Return how weights lie in cells; two's complement in two-bit cells is the paper's bit pattern, whatever a column could sum."""
        return Encoding(1 if cells == "SLC" else 2, self.offset)

    def stuck(self, model: Model, cells: Cells, rate: float, key: int) -> FaultMap:
        """Return stuck cells of one device."""
        encoding = self.encoding(cells)
        per_weight = encoding.cells_per_weight
        if self.unit == "cells":
            sizes = [codes.size * per_weight for codes in model.codes]
            return random_map(key, sizes, rate, self.stuck_at_top, encoding)
        # One cell of each chosen weight: a map of weights, spread over their cells.
        weights = random_map(key, [codes.size for codes in model.codes], rate, self.stuck_at_top, encoding)
        rng = generator(stream_key(key, "digits"))
        digits = [rng.integers(0, per_weight, len(c)) for c in weights.cells]
        found = [c * per_weight + d for c, d in zip(weights.cells, digits, strict=True)]
        return FaultMap.of(found, weights.values, encoding)

    def faulty(self, model: Model, condition: Condition, key: int) -> Copy:
        """Return what one device holds under a condition: soft faults first, as a stuck cell cannot lose its state."""
        codes: Copy = model.codes
        if condition.soft:
            lost = self.stuck(model, condition.cells, condition.soft, stream_key(key, "soft"))
            top = lost.encoding.top_level
            codes = tuple(
                lost.encoding.write(c, cells, top - lost.encoding.levels_of(c, cells))
                for c, cells in zip(codes, lost.cells, strict=True)
            )
        if condition.permanent:
            stuck = self.stuck(model, condition.cells, condition.permanent, stream_key(key, "permanent"))
            codes = apply_map(codes, stuck)
        if not condition.theta:
            return codes
        sizes = self._deviations(model, condition.theta)
        z = np.split(
            unit_normals(stream_key(key, "theta"), 1, sum(c.size for c in codes))[0],
            np.cumsum([c.size for c in codes[:-1]]),
        )
        return tuple(
            fmt.dequantise(c) + np.float32(size) * of_layer.reshape(c.shape)
            for fmt, c, size, of_layer in zip(model.formats, codes, sizes, z, strict=True)
        )

    def _deviations(self, model: Model, theta: float) -> list[float]:
        """Return the standard deviation of Eq. 8 in each layer, in weights."""
        if self.theta.get(model.architecture.name, "absolute") == "absolute":
            return [theta] * len(model.codes)
        return [theta * float(np.abs(w).max(initial=0.0)) for w in model.weights()]

    def deviates(self, criterion: Criterion, golden: Golden, confidences: np.ndarray) -> np.ndarray:
        """Return which pictures deviate (bool [..., m]) for confidences [..., m, classes]."""
        if criterion == "sdc1" or self.sdc3 == "golden_class":
            return deviates(criterion, golden, confidences)
        highest = np.rint(np.nan_to_num(confidences.max(axis=-1), nan=0.0) * 1000.0).astype(np.int32)
        return np.abs(highest - golden.thousandths) > SDC3_THOUSANDTHS


@functools.cache
def readings() -> dict[str, Reading]:
    """Return all readings by name, the default first."""
    text = resources.files("lifesim.paper").joinpath("readings.toml").read_text(encoding="utf-8")
    return {name: Reading(name, **table) for name, table in tomllib.loads(text).items()}


def reading_named(name: str) -> Reading:
    """Return one reading. Raises UserError, naming the nearest, for an unknown name."""
    known = readings()
    if name not in known:
        raise UserError(
            f"--reading {name}: no such reading; allowed: {', '.join(known)}{did_you_mean(name, known)}"
        )
    return known[name]
